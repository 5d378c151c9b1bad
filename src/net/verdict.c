#include "net/verdict.h"

#include <string.h>

#include <openssl/x509_vfy.h>

/* ---- what the rows ask for ---- */

/* A server refuses a client's certificate with one of these (RFC 8446, 6.2):
 * bad_certificate, certificate_revoked, certificate_unknown, unknown_ca,
 * access_denied. Not with certificate_expired (45), which would say nothing of
 * a revocation; nor with certificate_required (116), for which we have to have
 * sent none. Until the server has proved its identity, an attacker on the
 * network can send any alert. */
static bool is_refused(const struct cce_evidence *e)
{
    int alert = e->server.alert;

    return e->server.verified && e->server.alert_after &&
           (alert == 42 || alert == 44 || alert == 46 || alert == 48 ||
            alert == 49);
}

static bool is_late(const struct cce_evidence *e)
{
    return e->late;
}

static bool is_second_time(const struct cce_evidence *e)
{
    return e->second_time;
}

static bool is_body_long(const struct cce_evidence *e)
{
    return e->body_long;
}

static bool is_headers_long(const struct cce_evidence *e)
{
    return e->headers_long;
}

static bool lacks_memory(const struct cce_evidence *e)
{
    return e->no_memory || e->server.verify_error == X509_V_ERR_OUT_OF_MEM ||
           e->proxy.verify_error == X509_V_ERR_OUT_OF_MEM;
}

/* Once the tunnel stands, all else is the server's. */
static bool proxy_answered_no(const struct cce_evidence *e)
{
    return !e->sent && !e->tls_began && e->connect_status >= 300;
}

static bool proxy_is_untrusted(const struct cce_evidence *e)
{
    return !e->tls_began && e->proxy.verify_error != 0;
}

static bool proxy_sent_alert(const struct cce_evidence *e)
{
    return !e->tls_began && e->proxy.alert != 0;
}

static bool is_before_tunnel(const struct cce_evidence *e)
{
    return e->proxied && !e->sent && !e->tls_began && e->connect_status == 0;
}

static bool is_untrusted(const struct cce_evidence *e)
{
    return e->server.verify_error != 0;
}

/* Once an answer has begun, an alert is one more way for a connection to
 * break. With TLS 1.3 the request has left when our certificate is refused. */
static bool server_sent_alert(const struct cce_evidence *e)
{
    return !e->answered && e->server.alert != 0;
}

static bool is_answered(const struct cce_evidence *e)
{
    return e->answered;
}

static bool is_cut_off(const struct cce_evidence *e)
{
    return !e->head_complete;
}

static bool is_in_answer(const struct cce_evidence *e)
{
    return e->sent;
}

static bool is_unsent(const struct cce_evidence *e)
{
    return !e->sent;
}

static bool is_line_long(const struct cce_evidence *e)
{
    return e->sent && cce_curl_confuses_length_with_memory();
}

/* ---- the table ---- */

enum { ANY = -1 /* failure, that is: any result but CURLE_OK */ };

/* What stands behind the sentence, in brackets. */
enum detail {
    NOTHING,
    WORDS, /* of libcurl; its text for the result when it said nothing */
    PROXY_STATUS,
    PROXY_ALERT,
    PROXY_REASON,
    ALERT,
    REASON,
    BODY_LIMIT,
    HEADERS_LIMIT,
    CONNECT_TIME,
    ANSWER_TIME
};

static const struct row {
    int result;
    bool (*fits)(const struct cce_evidence *evidence); /* NULL: always */
    enum cce_status status;
    enum detail detail;
    bool untrusted;
    const char *text;
} rows[] = {
    /* libcurl takes the end of a connection for the end of the headers. */
    {CURLE_OK, is_cut_off, CCE_CONNECTION_LOST, NOTHING, false,
     "the answer is cut off in its headers"},
    {CURLE_OK, NULL, CCE_OK, NOTHING, false, ""},

    /* What we decided ourselves, under whatever code libcurl returns it. */
    {ANY, is_late, CCE_TIMEOUT, NOTHING, false,
     "it was too late when it could leave"},
    {ANY, is_second_time, CCE_CONNECTION_LOST, NOTHING, false,
     "the connection broke after the request had left; it was not sent again"},
    {ANY, is_body_long, CCE_RESPONSE_TOO_LARGE, BODY_LIMIT, false,
     "the answer is longer than"},
    {ANY, is_headers_long, CCE_RESPONSE_TOO_LARGE, HEADERS_LIMIT, false,
     "the answer's headers are longer than"},
    {ANY, lacks_memory, CCE_NO_MEMORY, NOTHING, false, "out of memory"},

    /* The proxy. What it refuses is CURLE_RECV_ERROR in one version of libcurl
     * and CURLE_COULDNT_CONNECT in another. */
    {ANY, proxy_answered_no, CCE_PROXY_FAILED, PROXY_STATUS, false,
     "the proxy refused"},
    {ANY, proxy_is_untrusted, CCE_PROXY_FAILED, PROXY_REASON, false,
     "the proxy's certificate is not accepted"},
    {ANY, proxy_sent_alert, CCE_PROXY_FAILED, PROXY_ALERT, false,
     "the proxy ended TLS"},
    {CURLE_PEER_FAILED_VERIFICATION, is_before_tunnel, CCE_PROXY_FAILED, WORDS,
     false, "the proxy's certificate is not accepted"},
    {CURLE_SSL_CACERT_BADFILE, is_before_tunnel, CCE_PROXY_FAILED, WORDS, false,
     "the proxy's CA file cannot be read"},
    {CURLE_SSL_CONNECT_ERROR, is_before_tunnel, CCE_PROXY_FAILED, WORDS, false,
     "TLS with the proxy failed"},
    {CURLE_RECV_ERROR, is_before_tunnel, CCE_PROXY_FAILED, WORDS, false,
     "the proxy broke off"},
    {CURLE_SEND_ERROR, is_before_tunnel, CCE_PROXY_FAILED, WORDS, false,
     "the proxy broke off"},
    {CURLE_GOT_NOTHING, is_before_tunnel, CCE_PROXY_FAILED, WORDS, false,
     "the proxy broke off"},
    {CURLE_COULDNT_RESOLVE_PROXY, NULL, CCE_PROXY_FAILED, WORDS, false,
     "the proxy's host name is not known"},
    {CCE_CURLE_PROXY, NULL, CCE_PROXY_FAILED, WORDS, false,
     "the proxy refused"},

    /* TLS. Whether the server is the right one is asked before what it said.
     * A CA that changed its key gives CURLE_SSL_CONNECT_ERROR or
     * CURLE_PEER_FAILED_VERIFICATION, and another X509_V_ERR_… with each
     * version of OpenSSL: all are the same to us. */
    {ANY, is_untrusted, CCE_TLS_FAILED, REASON, true,
     "the server's certificate is not accepted"},
    {CURLE_PEER_FAILED_VERIFICATION, NULL, CCE_TLS_FAILED, WORDS, true,
     "the server's certificate is not accepted"},
    {CURLE_SSL_CACERT_BADFILE, NULL, CCE_TLS_FAILED, WORDS, true,
     "the CA file cannot be read"},
    {ANY, is_refused, CCE_TLS_FAILED, ALERT, false,
     "the server does not accept our certificate"},
    {ANY, server_sent_alert, CCE_TLS_FAILED, ALERT, false,
     "the server ended TLS"},
    {CURLE_SSL_CONNECT_ERROR, NULL, CCE_TLS_FAILED, WORDS, false, "TLS failed"},
    {CURLE_SSL_ISSUER_ERROR, NULL, CCE_TLS_FAILED, WORDS, false, "TLS failed"},
    {CURLE_SSL_CIPHER, NULL, CCE_TLS_FAILED, WORDS, false, "TLS failed"},
    {CURLE_SSL_CERTPROBLEM, NULL, CCE_TLS_FAILED, WORDS, false,
     "the client certificate cannot be used"},
    {CCE_CURLE_SSL_CLIENTCERT, NULL, CCE_TLS_FAILED, WORDS, false,
     "the server wants a client certificate"},
    {CURLE_SSL_ENGINE_INITFAILED, NULL, CCE_TLS_FAILED, WORDS, false,
     "TLS failed"},

    /* The way to the server. */
    {CURLE_COULDNT_RESOLVE_HOST, NULL, CCE_DNS_FAILED, WORDS, false,
     "the host name is not known"},
    {CURLE_COULDNT_CONNECT, NULL, CCE_CONNECT_FAILED, WORDS, false,
     "no connection"},
    {CURLE_INTERFACE_FAILED, NULL, CCE_CONNECT_FAILED, WORDS, false,
     "no connection"},
    {CURLE_OPERATION_TIMEDOUT, is_unsent, CCE_TIMEOUT, CONNECT_TIME, false,
     "no connection"},
    {CURLE_OPERATION_TIMEDOUT, NULL, CCE_TIMEOUT, ANSWER_TIME, false,
     "no answer"},

    /* The answer. A line that is longer than libcurl takes has a code of its
     * own since 8.6; before that it is a lack of memory. */
    {CURLE_OUT_OF_MEMORY, is_line_long, CCE_RESPONSE_INVALID, NOTHING, false,
     "a line of the answer's headers is too long, or memory ran out"},
    {CCE_CURLE_TOO_LARGE, is_in_answer, CCE_RESPONSE_INVALID, WORDS, false,
     "a line of the answer's headers is too long"},
    {CURLE_OUT_OF_MEMORY, NULL, CCE_NO_MEMORY, NOTHING, false, "out of memory"},
    {CURLE_FILESIZE_EXCEEDED, NULL, CCE_RESPONSE_TOO_LARGE, BODY_LIMIT, false,
     "the answer is longer than"},
    {CURLE_GOT_NOTHING, NULL, CCE_CONNECTION_LOST, WORDS, false,
     "the connection broke before an answer came"},
    {CURLE_RECV_ERROR, NULL, CCE_CONNECTION_LOST, WORDS, false,
     "the connection broke"},
    {CURLE_SEND_ERROR, NULL, CCE_CONNECTION_LOST, WORDS, false,
     "the connection broke"},
    {CURLE_PARTIAL_FILE, NULL, CCE_CONNECTION_LOST, WORDS, false,
     "the answer is cut off"},
    {CURLE_WEIRD_SERVER_REPLY, NULL, CCE_RESPONSE_INVALID, WORDS, false,
     "the answer is no HTTP"},
    {CURLE_UNSUPPORTED_PROTOCOL, NULL, CCE_RESPONSE_INVALID, WORDS, false,
     "the answer is no HTTP"},
    {CURLE_URL_MALFORMAT, NULL, CCE_INVALID_ARGUMENT, WORDS, false,
     "the address is not valid"},

    /* What else fails while an answer comes in is something in it. */
    {ANY, is_answered, CCE_RESPONSE_INVALID, WORDS, false,
     "the answer cannot be read"},
    {ANY, NULL, CCE_INTERNAL, WORDS, false, "libcurl failed"},
};

static bool row_fits(const struct row *row, const struct cce_evidence *e)
{
    bool fits = row->result == ANY ? e->result != CURLE_OK
                                   : row->result == (int)e->result;

    return fits && (row->fits == NULL || row->fits(e));
}

/* ---- the sentence ---- */

static void say_alert(struct cce_error *err, const struct row *row, int alert)
{
    cce_fail(err, row->status, "%s (TLS alert %d: %s)", row->text, alert,
             cce_tls_alert_text(alert));
}

static void say(struct cce_error *err, const struct row *row,
                const struct cce_evidence *e)
{
    const char *words = e->words;
    long connect_ms = e->connect_timeout_ms < e->timeout_ms
                          ? e->connect_timeout_ms
                          : e->timeout_ms;

    if (words[0] == '\0')
        words = curl_easy_strerror(e->result);
    switch (row->detail) {
    case NOTHING:
        cce_fail(err, row->status, "%s", row->text);
        break;
    case WORDS:
        /* libcurl 7.74 ends some with a line feed. */
        cce_fail(err, row->status, "%s (%.*s)", row->text,
                 (int)strcspn(words, "\n"), words);
        break;
    case PROXY_STATUS:
        cce_fail(err, row->status, "%s with HTTP %ld", row->text,
                 e->connect_status);
        break;
    case PROXY_ALERT:
        say_alert(err, row, e->proxy.alert);
        break;
    case PROXY_REASON:
        cce_fail(err, row->status, "%s (%s)", row->text,
                 cce_tls_verify_text(e->proxy.verify_error));
        break;
    case ALERT:
        say_alert(err, row, e->server.alert);
        break;
    case REASON:
        cce_fail(err, row->status, "%s (%s)", row->text,
                 cce_tls_verify_text(e->server.verify_error));
        break;
    case BODY_LIMIT:
        cce_fail(err, row->status, "%s %zu bytes", row->text, e->body_limit);
        break;
    case HEADERS_LIMIT:
        cce_fail(err, row->status, "%s %zu bytes", row->text, e->headers_limit);
        break;
    case CONNECT_TIME:
        cce_fail(err, row->status, "%s within %g s", row->text,
                 (double)connect_ms / 1000);
        break;
    case ANSWER_TIME:
        cce_fail(err, row->status, "%s within %g s", row->text,
                 (double)e->timeout_ms / 1000);
        break;
    }
}

void cce_verdict(const struct cce_evidence *evidence,
                 struct cce_verdict *verdict)
{
    const struct row *row = rows;

    while (!row_fits(row, evidence))
        row++;
    memset(verdict, 0, sizeof *verdict);
    say(&verdict->error, row, evidence);
    verdict->untrusted = row->untrusted;
    verdict->alert = evidence->server.alert;
    verdict->verified = evidence->server.verified;
    if (!row->untrusted)
        verdict->refused = evidence->result != CURLE_OK && is_refused(evidence);
    else if (evidence->server.verify_error != 0)
        verdict->verify_error = evidence->server.verify_error;
    /* libcurl compares the name by itself, after OpenSSL had no complaint. */
    else if (evidence->result == CURLE_PEER_FAILED_VERIFICATION)
        verdict->verify_error = X509_V_ERR_HOSTNAME_MISMATCH;
}
