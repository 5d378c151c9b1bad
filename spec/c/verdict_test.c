/*
 * verdict: what each kind of evidence means, whatever libcurl and OpenSSL say
 * in words: the words here are always misleading ones.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "check.h"
#include "net/verdict.h"

static const char words[] = "SSL: alert certificate revoked, self-signed "
                            "certificate, out of memory, HTTP code 407";

static const struct {
    struct cce_evidence evidence;
    enum cce_status status;
    bool untrusted, refused;
    int verify_error;
} cases[] = {
    /* An answer, whole and cut. */
    {{.result = CURLE_OK, .sent = true, .head_complete = true},
     .status = CCE_OK},
    {{.result = CURLE_OK, .sent = true}, .status = CCE_CONNECTION_LOST},

    /* The same CA with another key: libcurl and OpenSSL of Debian 12, of
     * Debian 13, and newer ones. */
    {{.result = CURLE_SSL_CONNECT_ERROR, .server = {.verify_error = 20}},
     CCE_TLS_FAILED,
     true,
     false,
     20},
    {{.result = CURLE_SSL_CONNECT_ERROR, .server = {.verify_error = 7}},
     CCE_TLS_FAILED,
     true,
     false,
     7},
    {{.result = CURLE_COULDNT_CONNECT, .server = {.verify_error = 7}},
     CCE_TLS_FAILED,
     true,
     false,
     7},
    /* The name is compared by libcurl; OpenSSL had no complaint. */
    {{.result = CURLE_PEER_FAILED_VERIFICATION},
     CCE_TLS_FAILED,
     true,
     false,
     62},
    {{.result = CURLE_SSL_CACERT_BADFILE}, CCE_TLS_FAILED, true, false, 0},
    /* Untrusted is asked before what the server said. */
    {{.result = CURLE_RECV_ERROR,
      .server = {.verify_error = 20,
                 .verified = true,
                 .alert_after = true,
                 .alert = 44}},
     CCE_TLS_FAILED,
     true,
     false,
     20},

    /* Alerts: of a server that is known, of one that is not, of others. */
    {{.result = CURLE_RECV_ERROR,
      .sent = true,
      .server = {.verified = true, .alert_after = true, .alert = 44}},
     CCE_TLS_FAILED,
     false,
     true,
     0},
    {{.result = CURLE_GOT_NOTHING,
      .sent = true,
      .server = {.verified = true, .alert_after = true, .alert = 48}},
     CCE_TLS_FAILED,
     false,
     true,
     0},
    {{.result = CURLE_SSL_CONNECT_ERROR, .server = {.alert = 44}},
     CCE_TLS_FAILED,
     false,
     false,
     0},
    {{.result = CURLE_SSL_CONNECT_ERROR,
      .server = {.verified = true, .alert = 44}},
     CCE_TLS_FAILED,
     false,
     false,
     0},
    {{.result = CURLE_RECV_ERROR,
      .sent = true,
      .server = {.verified = true, .alert_after = true, .alert = 45}},
     CCE_TLS_FAILED,
     false,
     false,
     0},
    {{.result = CURLE_RECV_ERROR,
      .sent = true,
      .server = {.verified = true, .alert_after = true, .alert = 116}},
     CCE_TLS_FAILED,
     false,
     false,
     0},
    {{.result = CURLE_RECV_ERROR,
      .sent = true,
      .answered = true,
      .server = {.verified = true, .alert_after = true, .alert = 80}},
     CCE_CONNECTION_LOST,
     false,
     false,
     0},
    {{.result = CURLE_SSL_CONNECT_ERROR}, CCE_TLS_FAILED, false, false, 0},

    /* The proxy, under the codes of several versions. */
    {{.result = CURLE_RECV_ERROR, .proxied = true, .connect_status = 407},
     .status = CCE_PROXY_FAILED},
    {{.result = CURLE_COULDNT_CONNECT, .proxied = true, .connect_status = 403},
     .status = CCE_PROXY_FAILED},
    {{.result = CURLE_PEER_FAILED_VERIFICATION,
      .proxied = true,
      .proxy = {.verify_error = 20}},
     .status = CCE_PROXY_FAILED},
    {{.result = CURLE_SSL_CONNECT_ERROR,
      .proxied = true,
      .proxy = {.alert = 48, .verified = true, .alert_after = true}},
     .status = CCE_PROXY_FAILED},
    {{.result = CURLE_GOT_NOTHING, .proxied = true},
     .status = CCE_PROXY_FAILED},
    {{.result = CURLE_PEER_FAILED_VERIFICATION, .proxied = true},
     .status = CCE_PROXY_FAILED},
    {{.result = CURLE_SSL_CACERT_BADFILE, .proxied = true},
     .status = CCE_PROXY_FAILED},
    {{.result = CURLE_SSL_CONNECT_ERROR, .proxied = true},
     .status = CCE_PROXY_FAILED},
    /* That file is the server's: the tunnel stands. */
    {{.result = CURLE_SSL_CACERT_BADFILE,
      .proxied = true,
      .connect_status = 200},
     CCE_TLS_FAILED,
     true,
     false,
     0},
    {{.result = CURLE_PEER_FAILED_VERIFICATION,
      .proxied = true,
      .tls_began = true,
      .connect_status = 200},
     CCE_TLS_FAILED,
     true,
     false,
     62},
    {{.result = CURLE_RECV_ERROR,
      .proxied = true,
      .tls_began = true,
      .connect_status = 200,
      .sent = true},
     .status = CCE_CONNECTION_LOST},

    /* What was refused by us. */
    {{.result = CURLE_ABORTED_BY_CALLBACK, .late = true},
     .status = CCE_TIMEOUT},
    {{.result = CURLE_ABORTED_BY_CALLBACK, .sent = true, .second_time = true},
     .status = CCE_CONNECTION_LOST},
    {{.result = CURLE_WRITE_ERROR, .sent = true, .body_long = true},
     .status = CCE_RESPONSE_TOO_LARGE},
    {{.result = CURLE_WRITE_ERROR, .sent = true, .headers_long = true},
     .status = CCE_RESPONSE_TOO_LARGE},
    {{.result = CURLE_WRITE_ERROR, .sent = true, .no_memory = true},
     .status = CCE_NO_MEMORY},

    /* Sizes and memory. */
    {{.result = (CURLcode)CCE_CURLE_TOO_LARGE, .sent = true},
     .status = CCE_RESPONSE_INVALID},
    {{.result = CURLE_FILESIZE_EXCEEDED, .sent = true},
     .status = CCE_RESPONSE_TOO_LARGE},
    {{.result = CURLE_OUT_OF_MEMORY}, .status = CCE_NO_MEMORY},
    {{.result = CURLE_SSL_CONNECT_ERROR, .server = {.verify_error = 17}},
     .status = CCE_NO_MEMORY},

    /* The way there and back. */
    {{.result = CURLE_COULDNT_RESOLVE_HOST}, .status = CCE_DNS_FAILED},
    {{.result = CURLE_COULDNT_CONNECT}, .status = CCE_CONNECT_FAILED},
    {{.result = CURLE_OPERATION_TIMEDOUT}, .status = CCE_TIMEOUT},
    {{.result = CURLE_OPERATION_TIMEDOUT, .sent = true}, .status = CCE_TIMEOUT},
    {{.result = CURLE_RECV_ERROR, .sent = true}, .status = CCE_CONNECTION_LOST},
    {{.result = CURLE_BAD_FUNCTION_ARGUMENT, .sent = true, .answered = true},
     .status = CCE_RESPONSE_INVALID},
    {{.result = CURLE_BAD_FUNCTION_ARGUMENT}, .status = CCE_INTERNAL},

    /* One term of a rule after the other. */
    {{.result = CURLE_OK,
      .head_complete = true,
      .server = {.verified = true, .alert_after = true, .alert = 44}},
     .status = CCE_OK},
    {{.result = CURLE_OK, .head_complete = true, .late = true},
     .status = CCE_OK},
    {{.result = CURLE_RECV_ERROR,
      .proxied = true,
      .proxy = {.verify_error = 17}},
     .status = CCE_NO_MEMORY},
    {{.result = CURLE_RECV_ERROR,
      .proxied = true,
      .sent = true,
      .connect_status = 407},
     .status = CCE_CONNECTION_LOST},
    {{.result = CURLE_RECV_ERROR,
      .proxied = true,
      .tls_began = true,
      .connect_status = 407},
     .status = CCE_CONNECTION_LOST},
    {{.result = CURLE_COULDNT_CONNECT, .proxied = true, .connect_status = 300},
     .status = CCE_PROXY_FAILED},
    {{.result = CURLE_COULDNT_CONNECT, .proxied = true, .connect_status = 299},
     .status = CCE_CONNECT_FAILED},
    {{.result = CURLE_SSL_CONNECT_ERROR,
      .proxied = true,
      .tls_began = true,
      .proxy = {.verify_error = 20}},
     .status = CCE_TLS_FAILED},
    {{.result = CURLE_RECV_ERROR,
      .proxied = true,
      .tls_began = true,
      .proxy = {.alert = 48}},
     .status = CCE_CONNECTION_LOST},
    {{.result = CURLE_RECV_ERROR}, .status = CCE_CONNECTION_LOST},
    {{.result = CURLE_RECV_ERROR, .proxied = true}, .status = CCE_PROXY_FAILED},
    {{.result = CURLE_RECV_ERROR, .proxied = true, .sent = true},
     .status = CCE_CONNECTION_LOST},
    {{.result = CURLE_RECV_ERROR, .proxied = true, .tls_began = true},
     .status = CCE_CONNECTION_LOST},
    {{.result = CURLE_SEND_ERROR, .proxied = true}, .status = CCE_PROXY_FAILED},
    {{.result = CURLE_SEND_ERROR}, .status = CCE_CONNECTION_LOST},
    {{.result = CURLE_GOT_NOTHING}, .status = CCE_CONNECTION_LOST},
    {{.result = CURLE_PARTIAL_FILE}, .status = CCE_CONNECTION_LOST},
    {{.result = CURLE_COULDNT_RESOLVE_PROXY}, .status = CCE_PROXY_FAILED},
    {{.result = (CURLcode)CCE_CURLE_PROXY}, .status = CCE_PROXY_FAILED},
    {{.result = CURLE_RECV_ERROR, .server = {.alert = 80}},
     .status = CCE_TLS_FAILED},
    {{.result = CURLE_SSL_ISSUER_ERROR}, .status = CCE_TLS_FAILED},
    {{.result = CURLE_SSL_CIPHER}, .status = CCE_TLS_FAILED},
    {{.result = CURLE_SSL_CERTPROBLEM}, .status = CCE_TLS_FAILED},
    {{.result = (CURLcode)CCE_CURLE_SSL_CLIENTCERT}, .status = CCE_TLS_FAILED},
    {{.result = CURLE_SSL_ENGINE_INITFAILED}, .status = CCE_TLS_FAILED},
    {{.result = CURLE_INTERFACE_FAILED}, .status = CCE_CONNECT_FAILED},
    {{.result = (CURLcode)CCE_CURLE_TOO_LARGE}, .status = CCE_INTERNAL},
    {{.result = CURLE_WEIRD_SERVER_REPLY}, .status = CCE_RESPONSE_INVALID},
    {{.result = CURLE_UNSUPPORTED_PROTOCOL}, .status = CCE_RESPONSE_INVALID},
    {{.result = CURLE_URL_MALFORMAT}, .status = CCE_INVALID_ARGUMENT},
};

/* Of all alerts only those that RFC 8446 has for a certificate refuse it, and
 * those only from a server that is known, after our certificate. */
static void check_alerts(void)
{
    for (int alert = 0; alert < 128; alert++)
        for (int known = 0; known < 4; known++) {
            struct cce_evidence evidence = {
                .result = CURLE_RECV_ERROR,
                .words = words,
                .server = {.verified = (known & 1) != 0,
                           .alert_after = (known & 2) != 0,
                           .alert = alert},
            };
            struct cce_verdict verdict;
            bool is_one = alert == 42 || alert == 44 || alert == 46 ||
                          alert == 48 || alert == 49;

            cce_verdict(&evidence, &verdict);
            if (verdict.refused != (is_one && known == 3)) {
                fprintf(stderr, "alert %d, known %d\n", alert, known);
                exit(1);
            }
        }
}

static void check_words(const struct cce_evidence *evidence, const char *said)
{
    struct cce_verdict verdict;

    cce_verdict(evidence, &verdict);
    if (strcmp(verdict.error.message, said) != 0) {
        fprintf(stderr, "not \"%s\": %s\n", said, verdict.error.message);
        exit(1);
    }
}

/* What had not left is told apart from what had. */
static void check_times(void)
{
    struct cce_evidence evidence = {.result = CURLE_OPERATION_TIMEDOUT,
                                    .words = words,
                                    .timeout_ms = 3000,
                                    .connect_timeout_ms = 2000};

    check_words(&evidence, "no connection within 2 s");
    evidence.connect_timeout_ms = 4000;
    check_words(&evidence, "no connection within 3 s");
    evidence.sent = true;
    check_words(&evidence, "no answer within 3 s");
    evidence.late = true;
    check_words(&evidence, "it was too late when it could leave");
}

/* Where libcurl says nothing, its own text for the result stands. */
static void check_silence(void)
{
    const struct cce_evidence evidence = {.result = CURLE_COULDNT_CONNECT,
                                          .words = ""};
    char said[200];

    snprintf(said, sizeof said, "no connection (%s)",
             curl_easy_strerror(CURLE_COULDNT_CONNECT));
    check_words(&evidence, said);
}

/* A libcurl without TLS names no library. */
static void check_library(void)
{
    char ours[32];

    snprintf(ours, sizeof ours, "OpenSSL/%lu.99", OpenSSL_version_num() >> 28);
    CHECK(cce_tls_is_ours(ours));
    CHECK(!cce_tls_is_ours(NULL));
    CHECK(!cce_tls_is_ours("GnuTLS/3.7.9"));
    CHECK(!cce_tls_is_ours("OpenSSL/9.0.0"));
    memcpy(ours, "wolf", 4);
    CHECK(!cce_tls_is_ours(ours));
}

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cce_evidence evidence = cases[i].evidence;
        struct cce_verdict verdict;

        evidence.words = words;
        cce_verdict(&evidence, &verdict);
        if (verdict.error.code != cases[i].status ||
            verdict.untrusted != cases[i].untrusted ||
            verdict.refused != cases[i].refused ||
            verdict.verify_error != cases[i].verify_error) {
            fprintf(stderr, "case %zu: %s (%s), untrusted %d, refused %d, %d\n",
                    i, cce_status_name(verdict.error.code),
                    verdict.error.message, verdict.untrusted, verdict.refused,
                    verdict.verify_error);
            exit(1);
        }
    }
    check_alerts();
    check_times();
    check_silence();
    check_library();
    return 0;
}
