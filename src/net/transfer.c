#include "net/engine_internal.h"

#include "net/tls.h"
#include "os/sys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_RESPONSE_HEADERS = 64 * 1024,
    MAX_REQUEST_BODY = 16 * 1024 * 1024,
    MAX_PEM = 1024 * 1024
};

/* ---- callbacks of one transfer; none calls Lua or jumps ---- */

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct cce_transfer *transfer = context;

    cce_buf_append(&transfer->response_body, bytes, size * count);
    return transfer->response_body.failed ? 0 : size * count;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *context)
{
    struct cce_transfer *transfer = context;
    struct cce_buf *headers = &transfer->response_headers;

    /* An answer like 100 may precede the real one. */
    if (size * count >= 5 && memcmp(bytes, "HTTP/", 5) == 0) {
        cce_buf_reset(headers);
        transfer->head_is_complete = false;
    } else if (bytes[0] == '\r' || bytes[0] == '\n') {
        transfer->head_is_complete = true; /* trailers may still come */
    }
    cce_buf_append(headers, bytes, size * count);
    return headers->failed ? 0 : size * count;
}

/* The last moment before a request leaves, whichever attempt of curl's own it
 * is: a mutating one passes here once. */
static int on_departure(void *context, char *ip, char *local_ip, int port,
                        int local_port)
{
    struct cce_transfer *transfer = context;

    (void)ip;
    (void)local_ip;
    (void)port;
    (void)local_port;
    if (transfer->mutating && transfer->departures > 0)
        return CURL_PREREQFUNC_ABORT;
    transfer->missed = transfer->departs_until > 0 &&
                       cce_sys_boottime() > transfer->departs_until;
    if (transfer->missed)
        return CURL_PREREQFUNC_ABORT;
    transfer->departures++;
    return CURL_PREREQFUNC_OK;
}

/* ---- handles: made once, used for many transfers ---- */

static const struct {
    CURLoption option;
    long value;
} fixed_options[] = {
    {CURLOPT_NOSIGNAL, 1},
    {CURLOPT_PATH_AS_IS, 1},
    {CURLOPT_FOLLOWLOCATION, 0},
    {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
    {CURLOPT_HTTP09_ALLOWED, 0},
    {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
    {CURLOPT_SSL_VERIFYPEER, 1},
    {CURLOPT_SSL_VERIFYHOST, 2},
    {CURLOPT_PROXY_SSL_VERIFYPEER, 1},
    {CURLOPT_PROXY_SSL_VERIFYHOST, 2},
    {CURLOPT_SUPPRESS_CONNECT_HEADERS, 1},
    {CURLOPT_HTTPPROXYTUNNEL, 1},
    {CURLOPT_TCP_KEEPALIVE, 1},
    /* A handle that is under way has these two buffers; the calls are small.
     * curl's own 64 KiB for what is sent would be most of a call's memory, and
     * make malloc tidy up after every one. */
    {CURLOPT_BUFFERSIZE, 8 * 1024},
    {CURLOPT_UPLOAD_BUFFERSIZE, 16 * 1024},
};

/* Sets the first error, and does nothing once there is one. */
#define SET(result, easy, option, value)                      \
    do {                                                      \
        if ((result) == CURLE_OK)                             \
            (result) = curl_easy_setopt(easy, option, value); \
    } while (0)

static CURLcode set_protocols(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https,http");
#else
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
                            (long)(CURLPROTO_HTTPS | CURLPROTO_HTTP));
#endif
}

static CURLcode on_tls_context(CURL *easy, void *tls, void *context)
{
    (void)easy;
    (void)context;
    cce_tls_wipe_plaintext(tls);
    return CURLE_OK;
}

/* Other TLS libraries have a context of another kind. */
static bool has_openssl(void)
{
    const char *name = curl_version_info(CURLVERSION_NOW)->ssl_version;

    return name != NULL && strncmp(name, "OpenSSL/3", 9) == 0;
}

static CURLcode set_engine_options(const struct cce_engine *engine, CURL *easy)
{
    const struct cce_engine_options *options = &engine->options;
    CURLcode result = set_protocols(easy);

    for (size_t i = 0; i < sizeof fixed_options / sizeof *fixed_options; i++)
        SET(result, easy, fixed_options[i].option, fixed_options[i].value);
    SET(result, easy, CURLOPT_WRITEFUNCTION, on_body);
    SET(result, easy, CURLOPT_HEADERFUNCTION, on_header);
    SET(result, easy, CURLOPT_PREREQFUNCTION, on_departure);
    if (has_openssl())
        SET(result, easy, CURLOPT_SSL_CTX_FUNCTION, on_tls_context);
    SET(result, easy, CURLOPT_MAXAGE_CONN, options->max_idle_seconds);
    SET(result, easy, CURLOPT_USERAGENT, options->user_agent);
    if (options->ca_file != NULL) {
        SET(result, easy, CURLOPT_CAINFO, options->ca_file);
        SET(result, easy, CURLOPT_CAPATH, NULL);
    }
    SET(result, easy, CURLOPT_NOPROXY,
        options->no_proxy != NULL ? options->no_proxy : "");
    return result;
}

static CURL *take_handle(struct cce_engine *engine)
{
    CURL *easy;

    if (engine->idle_count > 0)
        return engine->idle[--engine->idle_count];
    easy = curl_easy_init();
    if (easy != NULL && set_engine_options(engine, easy) != CURLE_OK) {
        curl_easy_cleanup(easy);
        return NULL;
    }
    return easy;
}

/* Its pointers into the transfer are replaced before it is used again. */
static void give_handle(struct cce_engine *engine, CURL *easy, bool is_private)
{
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
    if (!is_private && engine->idle_count < CCE_ENGINE_IDLE_HANDLES)
        engine->idle[engine->idle_count++] = easy;
    else
        curl_easy_cleanup(easy);
}

static CURLcode set_method(const struct cce_transfer *transfer)
{
    CURL *easy = transfer->easy;
    const char *method = transfer->method;
    bool has_body = transfer->body.data != NULL || strcmp(method, "POST") == 0;
    bool is_plain = strcmp(method, has_body ? "POST" : "GET") == 0;
    CURLcode result = CURLE_OK;

    if (has_body) {
        SET(result, easy, CURLOPT_POST, 1L);
        SET(result, easy, CURLOPT_POSTFIELDS,
            transfer->body.data != NULL ? transfer->body.data : "");
        SET(result, easy, CURLOPT_POSTFIELDSIZE_LARGE,
            (curl_off_t)transfer->body.length);
    } else {
        SET(result, easy, CURLOPT_HTTPGET, 1L);
    }
    SET(result, easy, CURLOPT_CUSTOMREQUEST, is_plain ? NULL : method);
    return result;
}

static long connect_timeout_of(const struct cce_transfer *transfer)
{
    return transfer->connect_timeout_ms > 0
               ? transfer->connect_timeout_ms
               : transfer->engine->options.connect_timeout_ms;
}

/* curl reads the text where it is: it stays until the handle is gone. */
static CURLcode set_pem(CURL *easy, CURLoption option, struct cce_buf *pem)
{
    struct curl_blob blob;

    if (pem->length == 0)
        return CURLE_OK;
    blob.data = pem->data;
    blob.len = pem->length;
    blob.flags = CURL_BLOB_NOCOPY;
    return curl_easy_setopt(easy, option, &blob);
}

/* A handle with an identity is private, so no other request ever gets it. The
 * server must look at the certificate each time: so no connection and no
 * session of another request is taken. */
static CURLcode set_identity(struct cce_transfer *transfer)
{
    CURL *easy = transfer->easy;
    CURLcode result = CURLE_OK;

    if (!transfer->has_identity)
        return CURLE_OK;
    SET(result, easy, CURLOPT_FRESH_CONNECT, 1L);
    SET(result, easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    if (transfer->ca.length > 0) {
        SET(result, easy, CURLOPT_CAINFO, NULL);
        SET(result, easy, CURLOPT_CAPATH, NULL);
    }
    if (result == CURLE_OK)
        result = set_pem(easy, CURLOPT_CAINFO_BLOB, &transfer->ca);
    if (result == CURLE_OK)
        result = set_pem(easy, CURLOPT_SSLCERT_BLOB, &transfer->certificate);
    if (result == CURLE_OK)
        result = set_pem(easy, CURLOPT_SSLKEY_BLOB, &transfer->key);
    return result;
}

static CURLcode set_transfer_options(struct cce_transfer *transfer)
{
    const struct cce_engine_options *options = &transfer->engine->options;
    CURL *easy = transfer->easy;
    bool proxied = options->proxy != NULL && !transfer->direct;
    CURLcode result = set_method(transfer);

    SET(result, easy, CURLOPT_URL, transfer->url);
    SET(result, easy, CURLOPT_HTTPHEADER, transfer->headers);
    SET(result, easy, CURLOPT_TIMEOUT_MS, transfer->timeout_ms);
    SET(result, easy, CURLOPT_CONNECTTIMEOUT_MS, connect_timeout_of(transfer));
    SET(result, easy, CURLOPT_FORBID_REUSE, (long)transfer->is_private);
    SET(result, easy, CURLOPT_PROXY, proxied ? options->proxy : "");
    SET(result, easy, CURLOPT_MAXFILESIZE_LARGE,
        (curl_off_t)transfer->response_body.maximum);
    SET(result, easy, CURLOPT_WRITEDATA, transfer);
    SET(result, easy, CURLOPT_HEADERDATA, transfer);
    SET(result, easy, CURLOPT_PREREQDATA, transfer);
    SET(result, easy, CURLOPT_PRIVATE, transfer);
    SET(result, easy, CURLOPT_ERRORBUFFER, transfer->detail);
    return result == CURLE_OK ? set_identity(transfer) : result;
}

/* ---- how a transfer ends ---- */

static const struct {
    CURLcode curl;
    enum cce_status status;
    const char *text;
} outcomes[] = {
    {CURLE_OUT_OF_MEMORY, CCE_NO_MEMORY,
     "out of memory, or a header line of the answer is too long"},
    {CURLE_COULDNT_RESOLVE_HOST, CCE_DNS_FAILED, "the host name is not known"},
    {CURLE_COULDNT_RESOLVE_PROXY, CCE_PROXY_FAILED,
     "the proxy's host name is not known"},
    {CURLE_PROXY, CCE_PROXY_FAILED, "the proxy refused"},
    {CURLE_COULDNT_CONNECT, CCE_CONNECT_FAILED, "no connection"},
    {CURLE_INTERFACE_FAILED, CCE_CONNECT_FAILED, "no connection"},
    {CURLE_SSL_CONNECT_ERROR, CCE_TLS_FAILED, "TLS failed"},
    {CURLE_PEER_FAILED_VERIFICATION, CCE_TLS_FAILED,
     "the server's certificate is not accepted"},
    {CURLE_SSL_CACERT_BADFILE, CCE_TLS_FAILED, "the CA file cannot be read"},
    {CURLE_SSL_ISSUER_ERROR, CCE_TLS_FAILED, "TLS failed"},
    {CURLE_SSL_CIPHER, CCE_TLS_FAILED, "TLS failed"},
    {CURLE_SSL_CERTPROBLEM, CCE_TLS_FAILED, "TLS failed"},
    {CURLE_SSL_CLIENTCERT, CCE_TLS_FAILED,
     "the server wants another client certificate"},
    {CURLE_SSL_ENGINE_INITFAILED, CCE_TLS_FAILED, "TLS failed"},
    {CURLE_GOT_NOTHING, CCE_CONNECTION_LOST,
     "the connection broke before an answer came"},
    {CURLE_RECV_ERROR, CCE_CONNECTION_LOST, "the connection broke"},
    {CURLE_SEND_ERROR, CCE_CONNECTION_LOST, "the connection broke"},
    {CURLE_PARTIAL_FILE, CCE_CONNECTION_LOST, "the answer is cut off"},
    {CURLE_ABORTED_BY_CALLBACK, CCE_CONNECTION_LOST,
     "the connection broke after the request had left; it was not sent again"},
    {CURLE_FILESIZE_EXCEEDED, CCE_RESPONSE_TOO_LARGE, "the answer is too long"},
    {CURLE_WEIRD_SERVER_REPLY, CCE_RESPONSE_INVALID, "the answer is no HTTP"},
    {CURLE_UNSUPPORTED_PROTOCOL, CCE_RESPONSE_INVALID, "the answer is no HTTP"},
    {CURLE_URL_MALFORMAT, CCE_INVALID_ARGUMENT, "the address is not valid"},
};

/* Whether the server's certificate names a CA that is trusted, and is signed by
 * another key: that of a cluster that was rotated. OpenSSL then finds no chain
 * at fault, so that curl passes on the words for a wrong signature alone. */
static bool is_forged(CURLcode result, const char *detail)
{
    return result == CURLE_SSL_CONNECT_ERROR &&
           (strstr(detail, ":asn1 encoding routines:") != NULL ||
            strstr(detail, ":rsa routines:") != NULL);
}

/* The reason alone of "OpenSSL/3.0.22: error:0A00010B:SSL routines::reason". */
static const char *plain_detail(const char *detail)
{
    const char *numbers = strstr(detail, "error:");
    const char *reason = numbers == NULL ? NULL : strstr(numbers, "::");

    return reason == NULL ? detail : reason + 2;
}

static void explain_outcome(struct cce_transfer *transfer, CURLcode result)
{
    const char *detail = plain_detail(transfer->detail);
    size_t count = sizeof outcomes / sizeof outcomes[0];
    size_t i = 0;

    if (is_forged(result, transfer->detail)) {
        result = CURLE_PEER_FAILED_VERIFICATION;
        detail = "it is not signed by the CA that it names";
    }
    while (i < count && outcomes[i].curl != result)
        i++;
    if (detail[0] == '\0')
        detail = curl_easy_strerror(result);
    if (i == count)
        cce_fail(&transfer->error, CCE_INTERNAL, "libcurl failed: %s", detail);
    else if (result == CURLE_ABORTED_BY_CALLBACK)
        cce_fail(&transfer->error, outcomes[i].status, "%s", outcomes[i].text);
    else
        cce_fail(&transfer->error, outcomes[i].status, "%s (%s)",
                 outcomes[i].text, detail);
}

/* curl has one code for a body that we refused to take. */
static void explain_refused_write(struct cce_transfer *transfer)
{
    if (transfer->response_body.too_long)
        cce_fail(&transfer->error, CCE_RESPONSE_TOO_LARGE,
                 "the answer is longer than %zu bytes",
                 transfer->response_body.maximum);
    else if (transfer->response_headers.too_long)
        cce_fail(&transfer->error, CCE_RESPONSE_TOO_LARGE,
                 "the answer's headers are longer than %d bytes",
                 (int)MAX_RESPONSE_HEADERS);
    else
        cce_fail_memory(&transfer->error);
}

static void explain_timeout(struct cce_transfer *transfer)
{
    long limit = transfer->timeout_ms;
    const char *what = "answer";

    if (transfer->departures == 0) {
        what = "connection";
        if (connect_timeout_of(transfer) < limit)
            limit = connect_timeout_of(transfer);
    }
    cce_fail(&transfer->error, CCE_TIMEOUT, "no %s within %g s", what,
             (double)limit / 1000);
}

/* The HTTP status with which a proxy refused to connect, else 0. curl calls
 * that a failure to receive. */
static long proxy_refusal(const struct cce_transfer *transfer, CURLcode result)
{
    long status = 0;

    if (result == CURLE_RECV_ERROR && transfer->departures == 0)
        curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    return status >= 300 ? status : 0;
}

static void explain(struct cce_transfer *transfer, CURLcode result)
{
    long refusal;

    if (result == CURLE_OK)
        return;
    refusal = proxy_refusal(transfer, result);
    if (transfer->missed)
        cce_fail(&transfer->error, CCE_TIMEOUT,
                 "it was too late when it could leave");
    else if (refusal != 0)
        cce_fail(&transfer->error, CCE_PROXY_FAILED,
                 "the proxy refused with HTTP %ld", refusal);
    else if (result == CURLE_WRITE_ERROR)
        explain_refused_write(transfer);
    else if (result == CURLE_OPERATION_TIMEDOUT)
        explain_timeout(transfer);
    else
        explain_outcome(transfer, result);
}

/* Whether the server said by a TLS alert that it does not accept our
 * certificate. curl tells only in words, which are those of OpenSSL. */
static bool is_refusal(const char *detail)
{
    static const char *const alerts[] = {
        "alert bad certificate",     "alert certificate revoked",
        "alert certificate unknown", "alert unknown ca",
        "alert access denied",       "alert certificate required",
    };

    for (size_t i = 0; i < sizeof alerts / sizeof alerts[0]; i++)
        if (strstr(detail, alerts[i]) != NULL)
            return true;
    return false;
}

/* What is sent is not needed any more, and may hold secrets. */
static void wipe_request(struct cce_transfer *transfer)
{
    for (struct curl_slist *line = transfer->headers; line != NULL;
         line = line->next)
        cce_wipe(line->data, strlen(line->data));
    curl_slist_free_all(transfer->headers);
    transfer->headers = NULL;
    cce_buf_cleanup(&transfer->body);
    cce_buf_cleanup(&transfer->ca);
    cce_buf_cleanup(&transfer->certificate);
    cce_buf_cleanup(&transfer->key);
    free(transfer->url);
    transfer->url = NULL;
}

void cce_transfer_take_outcome(struct cce_transfer *transfer, CURLcode result)
{
    curl_off_t microseconds = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE,
                      &transfer->status);
    curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &microseconds);
    transfer->seconds = (double)microseconds / 1e6;
    transfer->untrusted = result == CURLE_PEER_FAILED_VERIFICATION ||
                          result == CURLE_SSL_CACERT_BADFILE ||
                          is_forged(result, transfer->detail);
    transfer->refused = result != CURLE_OK && is_refusal(transfer->detail);
    explain(transfer, result);
    /* curl takes the end of the connection for the end of the headers, too. */
    if (result == CURLE_OK && !transfer->head_is_complete)
        cce_fail(&transfer->error, CCE_CONNECTION_LOST,
                 "the answer is cut off in its headers");
}

void cce_transfer_prepare(struct cce_transfer *transfer)
{
    CURLcode result = CURLE_OUT_OF_MEMORY;

    transfer->easy = take_handle(transfer->engine);
    if (transfer->easy != NULL)
        result = set_transfer_options(transfer);
    if (result == CURLE_OK)
        return;
    explain(transfer, result);
    if (transfer->easy != NULL)
        curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
}

void cce_transfer_give_back(struct cce_transfer *transfer)
{
    if (transfer->easy != NULL)
        give_handle(transfer->engine, transfer->easy, transfer->is_private);
    transfer->easy = NULL;
    wipe_request(transfer);
}

static bool add_header_line(struct cce_transfer *transfer,
                            const struct cce_header *header)
{
    /* curl sends "Name:" only when told "Name;". */
    const char *between = header->value[0] != '\0' ? ": " : ";";
    struct curl_slist *list;
    struct cce_buf line;
    char memory[512];

    cce_buf_init_fixed(&line, memory, sizeof memory, MAX_RESPONSE_HEADERS);
    cce_buf_append_string(&line, header->name);
    cce_buf_append_string(&line, between);
    cce_buf_append_string(&line, header->value);
    list = line.failed ? NULL : curl_slist_append(transfer->headers, line.data);
    cce_buf_cleanup(&line);
    if (list == NULL)
        return false;
    transfer->headers = list;
    return true;
}

static bool copy_headers(struct cce_transfer *transfer,
                         const struct cce_request *request)
{
    /* No pause for a "100 Continue" before a long body. */
    transfer->headers = curl_slist_append(NULL, "Expect:");
    if (transfer->headers == NULL)
        return false;
    for (size_t i = 0; i < request->header_count; i++)
        if (!add_header_line(transfer, &request->headers[i]))
            return false;
    return true;
}

static bool copy_pem(struct cce_buf *copy, const struct cce_pem *pem)
{
    cce_buf_init(copy, MAX_PEM);
    if (pem != NULL && pem->data != NULL)
        cce_buf_append(copy, pem->data, pem->length);
    return !copy->failed;
}

static bool copy_identity(struct cce_transfer *transfer,
                          const struct cce_identity *identity)
{
    bool ca, certificate, key;

    transfer->has_identity = identity != NULL;
    ca = copy_pem(&transfer->ca, identity ? &identity->ca : NULL);
    certificate = copy_pem(&transfer->certificate,
                           identity ? &identity->certificate : NULL);
    key = copy_pem(&transfer->key, identity ? &identity->key : NULL);
    return ca && certificate && key;
}

static bool copy_request(struct cce_transfer *transfer,
                         const struct cce_request *request)
{
    size_t max_response =
        request->max_response > 0 ? request->max_response : 4 * 1024 * 1024;

    transfer->mutating = request->mutating;
    transfer->direct = request->direct;
    transfer->is_private = request->is_private || request->identity != NULL;
    transfer->connect_timeout_ms = request->connect_timeout_ms;
    if (request->depart_within > 0)
        transfer->departs_until = cce_sys_boottime() + request->depart_within;
    transfer->timeout_ms =
        request->timeout_ms > 0 ? request->timeout_ms : 60000;
    cce_buf_init(&transfer->body, MAX_REQUEST_BODY);
    cce_buf_init(&transfer->response_headers, MAX_RESPONSE_HEADERS);
    cce_buf_init(&transfer->response_body, max_response);
    snprintf(transfer->method, sizeof transfer->method, "%s", request->method);
    transfer->url = strdup(request->url);
    if (request->body != NULL)
        cce_buf_append(&transfer->body, request->body, request->body_length);
    return copy_identity(transfer, request->identity) &&
           transfer->url != NULL && !transfer->body.failed &&
           copy_headers(transfer, request);
}

int cce_transfer_new(struct cce_transfer **result,
                     const struct cce_request *request, struct cce_error *err)
{
    struct cce_transfer *transfer = calloc(1, sizeof *transfer);

    *result = NULL;
    if (transfer == NULL)
        return cce_fail_memory(err);
    if (!copy_request(transfer, request)) {
        cce_transfer_free(transfer);
        return cce_fail_memory(err);
    }
    *result = transfer;
    return 0;
}

void cce_transfer_set_owner(struct cce_transfer *transfer, void *owner)
{
    transfer->owner = owner;
}

void *cce_transfer_owner(const struct cce_transfer *transfer)
{
    return transfer->owner;
}

bool cce_transfer_is_finished(const struct cce_transfer *transfer)
{
    return transfer->finished;
}

void cce_transfer_result(const struct cce_transfer *transfer,
                         struct cce_result *result)
{
    result->error = transfer->error;
    if (!transfer->finished)
        cce_fail(&result->error, CCE_CLOSED,
                 "the client was closed during the call");
    result->sent = transfer->departures > 0;
    result->untrusted = transfer->untrusted;
    result->refused = transfer->refused;
    result->status = transfer->status;
    result->headers = transfer->response_headers.data;
    result->headers_length = transfer->response_headers.length;
    result->body = transfer->response_body.data;
    result->body_length = transfer->response_body.length;
    result->seconds = transfer->seconds;
}

void cce_transfer_free(struct cce_transfer *transfer)
{
    if (transfer == NULL)
        return;
    cce_engine_release(transfer);
    wipe_request(transfer);
    cce_buf_cleanup(&transfer->response_headers);
    cce_buf_cleanup(&transfer->response_body);
    free(transfer);
}
