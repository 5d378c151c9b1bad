#include "net/engine_internal.h"

#include "core/wire/http.h"
#include "core/wire/no_proxy.h"
#include "core/x509/certificate.h"
#include "os/clock.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RESPONSE_HEADERS = 64 * 1024 };

/* ---- callbacks of one transfer; none calls Lua or jumps ---- */

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct cce_transfer *transfer = context;

    cce_buf_append(&transfer->response_body, bytes, size * count);
    return transfer->response_body.failed ? 0 : size * count;
}

/* Called for each line. Answers like 100 precede the real one: each begins
 * anew. What comes after the empty line of the real one are the trailers of a
 * chunked body, of which we want none, whatever they look like. */
static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    struct cce_transfer *transfer = context;
    struct cce_buf *headers = &transfer->response_headers;
    size_t length = size * count;

    if (transfer->head_complete)
        return length;
    if (headers->length > 0 &&
        cce_http_status((struct cce_bytes){line, length}) != 0)
        cce_buf_reset(headers);
    cce_buf_append(headers, line, length);
    if (headers->failed)
        return 0;
    if (line[0] == '\r' || line[0] == '\n') {
        int status =
            cce_http_status((struct cce_bytes){headers->data, headers->length});

        transfer->head_complete = status >= 200 || status == 101;
    }
    return length;
}

static bool is_late(const struct cce_transfer *transfer)
{
    return transfer->departs_until > 0 &&
           cce_clock_boottime() > transfer->departs_until;
}

#if CCE_HAS_PREREQ

/* A new connection of TLS 1.3 can be read, too: the server sends tickets for
 * later sessions. It is left alone. */
static bool is_stale(struct cce_transfer *transfer, int local_port)
{
    struct curl_tlssessioninfo *tls = NULL;
    long connections = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connections);
    if (connections > 0)
        return false;
    if (!cce_sockets_is_quiet(&transfer->engine->sockets, local_port))
        return true;

    /* Bytes that TLS has received already are no longer in the socket. */
    return curl_easy_getinfo(transfer->easy, CURLINFO_TLS_SSL_PTR, &tls) ==
               CURLE_OK &&
           tls != NULL && tls->backend == CURLSSLBACKEND_OPENSSL &&
           tls->internals != NULL && cce_tls_has_unread(tls->internals);
}

/* The last moment before a request leaves, whichever attempt of libcurl's own
 * it is: a mutating one passes here once. */
static int on_departure(void *context, char *ip, char *local_ip, int port,
                        int local_port)
{
    struct cce_transfer *transfer = context;

    (void)ip;
    (void)local_ip;
    (void)port;
    transfer->second_time = transfer->mutating && transfer->departures > 0;
    transfer->late = is_late(transfer);
    if (transfer->second_time || transfer->late)
        return CURL_PREREQFUNC_ABORT;
    transfer->stale = transfer->mutating && is_stale(transfer, local_port);
    if (transfer->stale)
        return CURL_PREREQFUNC_ABORT;
    transfer->departures++;
    cce_engine_connected(transfer);
    return CURL_PREREQFUNC_OK;
}

#endif

/* ---- handles: made once, used for many transfers ---- */

static const struct {
    CURLoption option;
    long value;
} fixed_options[] = {
    {CURLOPT_NOSIGNAL, 1},
    {CURLOPT_PATH_AS_IS, 1},
    {CURLOPT_FOLLOWLOCATION, 0},
    /* HTTP/2 takes a third less CPU, but what ends a connection would leave
     * all its requests uncertain, and bytes that belong to others hide that it
     * is no longer quiet (see is_stale). */
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
    {CURLOPT_BUFFERSIZE, CCE_READ_BUFFER},
    {CURLOPT_UPLOAD_BUFFERSIZE, 16 * 1024},
};

/* Sets the first error, and does nothing once there is one. */
#define SET(result, easy, option, value)                      \
    do {                                                      \
        if ((result) == CURLE_OK)                             \
            (result) = curl_easy_setopt(easy, option, value); \
    } while (0)

/* NULL: it goes without. */
static const char *proxy_of(const struct cce_transfer *transfer)
{
    const struct cce_engine_options *options = &transfer->engine->options;
    const char *server = transfer->outgoing.server_url != NULL
                             ? transfer->outgoing.server_url
                             : transfer->outgoing.url;

    if (transfer->outgoing.proxy != NULL)
        return transfer->outgoing.proxy;
    if (transfer->direct || cce_no_proxy_matches(options->no_proxy, server))
        return NULL;
    return options->proxy;
}

/* NULL: those of the identity. */
static struct cce_tls_authorities *
authorities_of(const struct cce_transfer *transfer)
{
    struct cce_engine *engine = transfer->engine;

    if (transfer->outgoing.ca.length > 0)
        return NULL;
    return transfer->system_ca || engine->given.file == NULL ? &engine->system
                                                             : &engine->given;
}

/* A connection begins TLS: with an https proxy, and then with the server
 * through its tunnel. */
static CURLcode on_tls_context(CURL *easy, void *tls, void *context)
{
    struct cce_transfer *transfer = context;
    const char *proxy = proxy_of(transfer);
    struct cce_tls_authorities *authorities = authorities_of(transfer);
    bool to_proxy = proxy != NULL && strncmp(proxy, "https:", 6) == 0;
    long tunnel = 0;

    if (to_proxy) {
        curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &tunnel);
        to_proxy = tunnel < 200 || tunnel > 299;
    }
    if (to_proxy) {
        cce_tls_unwatch(transfer->proxy_watch);
        transfer->proxy_watch = cce_tls_watch(tls, &transfer->proxy_tls);
        return CURLE_OK;
    }
    cce_tls_unwatch(transfer->server_watch);
    memset(&transfer->server_tls, 0, sizeof transfer->server_tls);
    transfer->server_tls.host = transfer->outgoing.host;
    transfer->server_watch = cce_tls_watch(tls, &transfer->server_tls);
    transfer->lacks_authorities =
        authorities == NULL ? !cce_tls_trust(tls, transfer->outgoing.ca.data,
                                             transfer->outgoing.ca.length)
                            : !cce_tls_trust_files(tls, authorities);
    return transfer->lacks_authorities ? CURLE_SSL_CACERT_BADFILE : CURLE_OK;
}

static CURLcode set_engine_options(struct cce_engine *engine, CURL *easy)
{
    const struct cce_engine_options *options = &engine->options;
    CURLcode result = CURLE_OK;

#if LIBCURL_VERSION_NUM >= 0x075500
    SET(result, easy, CURLOPT_PROTOCOLS_STR, "https,http");
#else
    SET(result, easy, CURLOPT_PROTOCOLS,
        (long)(CURLPROTO_HTTPS | CURLPROTO_HTTP));
#endif
    for (size_t i = 0; i < sizeof fixed_options / sizeof *fixed_options; i++)
        SET(result, easy, fixed_options[i].option, fixed_options[i].value);
    SET(result, easy, CURLOPT_WRITEFUNCTION, on_body);
    SET(result, easy, CURLOPT_HEADERFUNCTION, on_header);
#if CCE_HAS_PREREQ
    SET(result, easy, CURLOPT_PREREQFUNCTION, on_departure);
#endif
    SET(result, easy, CURLOPT_OPENSOCKETFUNCTION, cce_sockets_open);
    SET(result, easy, CURLOPT_OPENSOCKETDATA, &engine->sockets);
    SET(result, easy, CURLOPT_CLOSESOCKETFUNCTION, cce_sockets_close);
    SET(result, easy, CURLOPT_CLOSESOCKETDATA, &engine->sockets);
    SET(result, easy, CURLOPT_SSL_CTX_FUNCTION, on_tls_context);
    SET(result, easy, CURLOPT_SHARE, engine->share);
    SET(result, easy, CURLOPT_MAXAGE_CONN, options->max_idle_seconds);
    SET(result, easy, CURLOPT_USERAGENT, options->user_agent);

    /* Whom the server is trusted by is set in on_tls_context, and no libcurl is
     * to keep that for the next connection. */
    SET(result, easy, CURLOPT_CAINFO, NULL);
    SET(result, easy, CURLOPT_CAPATH, NULL);
    if (result == CURLE_OK) {
        result = curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
        if (result == CURLE_UNKNOWN_OPTION) /* before 7.87, which keeps none */
            result = CURLE_OK;
    }
    if (options->ca_file != NULL)
        SET(result, easy, CURLOPT_PROXY_CAINFO, options->ca_file);
    /* A site with a CA of its own for the cloud may have a proxy with a public
     * certificate: the system's directory stays, unless the proxy has one. */
    if (options->proxy_ca_file != NULL) {
        SET(result, easy, CURLOPT_PROXY_CAINFO, options->proxy_ca_file);
        SET(result, easy, CURLOPT_PROXY_CAPATH, NULL);
    }
    /* Neither NO_PROXY of the environment, nor libcurl's own reading of ours.
     */
    SET(result, easy, CURLOPT_NOPROXY, "");
    return result;
}

static CURLcode set_method(const struct cce_transfer *transfer)
{
    CURL *easy = transfer->easy;
    const char *method = transfer->method;
    bool has_body =
        transfer->outgoing.body.data != NULL || strcmp(method, "POST") == 0;
    bool is_plain = strcmp(method, has_body ? "POST" : "GET") == 0;
    CURLcode result = CURLE_OK;

    /* curl has settings for GET and POST alone. Another method is one of the
     * two, with or without a body, under its own name. */
    if (has_body) {
        SET(result, easy, CURLOPT_POST, 1L);
        SET(result, easy, CURLOPT_POSTFIELDS,
            transfer->outgoing.body.data != NULL ? transfer->outgoing.body.data
                                                 : "");
        SET(result, easy, CURLOPT_POSTFIELDSIZE_LARGE,
            (curl_off_t)transfer->outgoing.body.length);
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

#if !CCE_HAS_PREREQ
/* A request leaves as soon as it is connected: so that it does not leave too
 * late, it must not be connected too late. */
static long connect_time_left(const struct cce_transfer *transfer)
{
    double left = (transfer->departs_until - cce_clock_boottime()) * 1000;
    long timeout = connect_timeout_of(transfer);

    if (transfer->departs_until == 0 || left > (double)timeout)
        return timeout;
    return left > 1 ? (long)left : 1;
}
#else
#define connect_time_left connect_timeout_of
#endif

/* curl reads the text where it is: it stays until the handle is gone. */
static CURLcode set_pem(CURL *easy, CURLoption option,
                        const struct cce_bytes *pem)
{
    struct curl_blob blob;

    if (pem->length == 0)
        return CURLE_OK;
    blob.data = (void *)(uintptr_t)pem->data;
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
    SET(result, easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    if (transfer->outgoing.proxy != NULL)
        SET(result, easy, CURLOPT_NOPROXY, "");
    if (result == CURLE_OK)
        result = set_pem(easy, CURLOPT_SSLCERT_BLOB,
                         &transfer->outgoing.certificate);
    if (result == CURLE_OK)
        result = set_pem(easy, CURLOPT_SSLKEY_BLOB, &transfer->outgoing.key);
    return result;
}

static CURLcode set_transfer_options(struct cce_transfer *transfer)
{
    const char *proxy = proxy_of(transfer);
    CURL *easy = transfer->easy;
    /* Where libcurl does not ask before a request leaves: it sends a request
     * again on a connection that was reused, and on no other. */
    bool alone = transfer->mutating && !CCE_HAS_PREREQ;
    CURLcode result = set_method(transfer);

    transfer->proxied = proxy != NULL;

    SET(result, easy, CURLOPT_URL, transfer->outgoing.url);
    SET(result, easy, CURLOPT_CONNECT_TO, transfer->outgoing.connect_to);
    SET(result, easy, CURLOPT_HTTPHEADER, transfer->outgoing.headers);
    SET(result, easy, CURLOPT_TIMEOUT_MS, transfer->timeout_ms);
    SET(result, easy, CURLOPT_CONNECTTIMEOUT_MS, connect_time_left(transfer));
    SET(result, easy, CURLOPT_FORBID_REUSE,
        (long)(transfer->is_private || alone));
    SET(result, easy, CURLOPT_PROXY, proxy != NULL ? proxy : "");
    SET(result, easy, CURLOPT_MAXFILESIZE_LARGE,
        (curl_off_t)transfer->response_body.maximum);
    SET(result, easy, CURLOPT_WRITEDATA, transfer);
    SET(result, easy, CURLOPT_HEADERDATA, transfer);
#if CCE_HAS_PREREQ
    SET(result, easy, CURLOPT_PREREQDATA, transfer);
#endif
    SET(result, easy, CURLOPT_FRESH_CONNECT,
        (long)(transfer->has_identity || alone));
    SET(result, easy, CURLOPT_SSL_CTX_DATA, transfer);
    SET(result, easy, CURLOPT_PRIVATE, transfer);
    SET(result, easy, CURLOPT_ERRORBUFFER, transfer->detail);
    return result == CURLE_OK ? set_identity(transfer) : result;
}

/* ---- how a transfer ends ---- */

/* In the place of libcurl's words, which are that a callback has failed. */
static void tell_lack(struct cce_transfer *transfer)
{
    const struct cce_tls_authorities *authorities = authorities_of(transfer);
    const char *place = "the identity's CA";

    if (authorities != NULL)
        place = authorities->file != NULL ? authorities->file
                                          : "this libcurl's places";
    snprintf(transfer->detail, sizeof transfer->detail,
             "no authority can be read from %s", place);
}

static void judge(struct cce_transfer *transfer, CURLcode result)
{
    const struct cce_buf *body = &transfer->response_body;
    const struct cce_buf *headers = &transfer->response_headers;
    struct cce_evidence evidence = {
        .result = result,
        .words = transfer->detail,
        .proxied = transfer->proxied,
        .tls_began = transfer->server_watch != NULL,
        .sent = transfer->departures > 0,
        .answered = headers->length > 0,
        .head_complete = transfer->head_complete,
        .late = transfer->late,
        .second_time = transfer->second_time,
        .body_long = body->too_long,
        .headers_long = headers->too_long,
        .no_memory = (body->failed && !body->too_long) ||
                     (headers->failed && !headers->too_long),
        .body_limit = body->maximum,
        .headers_limit = headers->maximum,
        .timeout_ms = transfer->timeout_ms,
        .connect_timeout_ms = connect_timeout_of(transfer),
        .server = transfer->server_tls,
        .proxy = transfer->proxy_tls,
    };

    if (transfer->lacks_authorities)
        tell_lack(transfer);
    /* Without a handle nothing was sent, not even to a proxy. */
    if (transfer->easy != NULL)
        curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE,
                          &evidence.connect_status);
    cce_verdict(&evidence, &transfer->verdict);
}

bool cce_transfer_renew(struct cce_transfer *transfer)
{
    transfer->stale = false;
    transfer->detail[0] = '\0';
    return curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L) ==
           CURLE_OK;
}

/* Without the callback nothing has counted. libcurl sends a request as soon as
 * it is connected: so what is connected may have been sent. Of a connection
 * that is reused, libcurl says that it was connected at once. */
static void count_departures(struct cce_transfer *transfer)
{
#if CCE_HAS_PREREQ
    (void)transfer;
#else
    CURL *easy = transfer->easy;
    curl_off_t connected = 0, secured = 0;
    long connections = 0;
    bool is_tls = strncmp(transfer->outgoing.url, "https:", 6) == 0;

    curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected);
    curl_easy_getinfo(easy, CURLINFO_APPCONNECT_TIME_T, &secured);
    curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections);
    /* The proxy's own handshake counts as `secured`, too. */
    transfer->departures =
        is_tls
            ? secured > 0 && (connections == 0 || transfer->server_tls.finished)
            : connected > 0;
#endif
}

bool cce_transfer_is_too_late(struct cce_transfer *transfer)
{
    if (!is_late(transfer))
        return false;
    count_departures(transfer);
    transfer->late = transfer->departures == 0;
    return transfer->late;
}

void cce_transfer_take_outcome(struct cce_transfer *transfer, CURLcode result)
{
    curl_off_t microseconds = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE,
                      &transfer->status);
    curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &microseconds);
    transfer->seconds = (double)microseconds / 1e6;
    count_departures(transfer);
    judge(transfer, result);
}

/* libcurl has one code for all that can be wrong with them, and other words
 * with each version of OpenSSL. */
static int check_identity(const struct cce_transfer *transfer,
                          struct cce_error *err)
{
    struct cce_certificate certificate = {NULL, false};
    struct cce_certificate_key key = {NULL};
    bool matches = false;
    int result = -1;

    if (!transfer->has_identity)
        return 0;
    if (cce_certificate_parse(transfer->outgoing.certificate.data,
                              transfer->outgoing.certificate.length,
                              &certificate, err) != 0 ||
        cce_certificate_parse_key(transfer->outgoing.key.data,
                                  transfer->outgoing.key.length, &key,
                                  err) != 0 ||
        cce_certificate_key_matches(&certificate, &key, &matches, err) != 0)
        goto done;
    result = matches ? 0
                     : cce_fail(err, CCE_KEY_MISMATCH,
                                "the client key does not belong to the client "
                                "certificate");
done:
    cce_certificate_cleanup(&certificate);
    cce_certificate_key_cleanup(&key);
    return result;
}

void cce_transfer_prepare(struct cce_transfer *transfer)
{
    struct cce_engine *engine = transfer->engine;
    CURLcode result = CURLE_OUT_OF_MEMORY;
    CURL *easy;

    if (check_identity(transfer, &transfer->verdict.error) != 0)
        return;
    transfer->late = is_late(transfer);
    if (transfer->late) {
        judge(transfer, CURLE_ABORTED_BY_CALLBACK);
        return;
    }

    if (engine->idle_count > 0) {
        easy = engine->idle[--engine->idle_count];
    } else {
        easy = curl_easy_init();
        if (easy != NULL && set_engine_options(engine, easy) != CURLE_OK) {
            curl_easy_cleanup(easy);
            easy = NULL;
        }
    }
    transfer->easy = easy;
    if (easy != NULL)
        result = set_transfer_options(transfer);
    if (result == CURLE_OK)
        return;

    /* What is set up halfway fits no other transfer. */
    judge(transfer, result);
    if (transfer->easy != NULL)
        curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
}

void cce_transfer_give_back(struct cce_transfer *transfer)
{
    struct cce_engine *engine = transfer->engine;
    CURL *easy = transfer->easy;

    if (easy != NULL) {
        /* Also of one that was cancelled: whether it had left stays known. */
        count_departures(transfer);
        /* The handle's other pointers into the transfer are replaced before it
         * is used again. One with an identity or a secret is not used again. */
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
        if (!transfer->is_private &&
            engine->idle_count < CCE_ENGINE_IDLE_HANDLES)
            engine->idle[engine->idle_count++] = easy;
        else
            curl_easy_cleanup(easy);
    }
    transfer->easy = NULL;
    cce_tls_unwatch(transfer->server_watch);
    cce_tls_unwatch(transfer->proxy_watch);
    transfer->server_watch = transfer->proxy_watch = NULL;
    cce_outgoing_wipe(&transfer->outgoing);
}

int cce_transfer_new(struct cce_transfer **result,
                     const struct cce_request *request, struct cce_error *err)
{
    struct cce_transfer *transfer = calloc(1, sizeof *transfer);
    size_t max_response =
        request->max_response > 0 ? request->max_response : 4 * 1024 * 1024;

    *result = NULL;
    if (transfer == NULL)
        return cce_fail_memory(err);
    transfer->mutating = request->mutating;
    transfer->direct = request->direct;
    transfer->has_identity = request->identity != NULL;
    transfer->system_ca =
        request->identity != NULL && request->identity->system_ca;
    transfer->is_private = request->is_private || request->identity != NULL;
    transfer->connect_timeout_ms = request->connect_timeout_ms;
    if (request->depart_within > 0)
        transfer->departs_until = cce_clock_boottime() + request->depart_within;
    transfer->timeout_ms =
        request->timeout_ms > 0 ? request->timeout_ms : 60000;
    cce_buf_init(&transfer->response_headers, MAX_RESPONSE_HEADERS);
    cce_buf_init(&transfer->response_body, max_response);
    snprintf(transfer->method, sizeof transfer->method, "%s", request->method);
    if (cce_outgoing_copy(&transfer->outgoing, request, err) != 0) {
        cce_transfer_free(transfer);
        return -1;
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
    const struct cce_verdict *verdict = &transfer->verdict;

    result->error = verdict->error;
    if (!transfer->finished)
        cce_fail(&result->error, CCE_CLOSED,
                 "the client was closed during the call");
    result->sent = transfer->departures > 0;
    result->untrusted = verdict->untrusted;
    result->verify_error = verdict->verify_error;
    result->refused = verdict->refused;
    result->alert = verdict->alert;
    result->verified = verdict->verified;
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
    cce_outgoing_wipe(&transfer->outgoing);
    cce_buf_cleanup(&transfer->response_headers);
    cce_buf_cleanup(&transfer->response_body);
    free(transfer);
}
