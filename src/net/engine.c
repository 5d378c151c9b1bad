#include "net/engine_internal.h"

#include "core/wire/http.h"
#include "os/file/path.h"
#include "os/pid.h"
#include "os/sigpipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A connection costs a handshake. So many to a host are opened at once; beyond
 * that a transfer first waits whether one becomes free, which with a server
 * that answers fast is sooner, and far cheaper.
 *
 * A transfer that has waited for PATIENCE_MS gets a connection of its own, but
 * no more than CONNECTING are opened at the same time: the handshakes of
 * hundreds all end late, while the first of few carry the requests of the
 * others meanwhile. The limit does not hold for a server that has completed no
 * handshake for STALL_MS.
 *
 * More connections help against a server that is slow, not against a program
 * that is: one that comes LATE_MS after its time may have let answers lie, and
 * patience begins anew, for up to BUSY_MS. */
enum {
    EVENTS_A_STEP = 64,
    LANE_WIDTH = 10,
    PATIENCE_MS = 30,
    LATE_MS = 10,
    BUSY_MS = 300,
    CONNECTING = 32,
    STALL_MS = 100
};

/* ---- what curl waits for, as one descriptor ---- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context,
                     void *known)
{
    struct cce_engine *engine = context;
    struct cce_poller *poller = &engine->poller;
    unsigned wanted = (what != CURL_POLL_OUT ? CCE_POLLER_READ : 0u) |
                      (what != CURL_POLL_IN ? CCE_POLLER_WRITE : 0u);
    uintptr_t tag = (uintptr_t)fd;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        cce_poller_remove(poller, fd);
        return 0;
    }
    /* epoll forgets a socket that was closed, and curl may still know it, or
     * its number be in use again: then it is added anew. */
    if (known != NULL && cce_poller_change(poller, fd, wanted, tag) == 0)
        return 0;
    curl_multi_assign(engine->multi, fd, engine);
    return cce_poller_add(poller, fd, wanted, tag);
}

/* curl moves its next time at every start and end of a transfer, mostly to a
 * later one. Then the poller's timer stays as it is, and rings once too early.
 */
static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    struct cce_engine *engine = context;

    (void)multi;
    if (timeout_ms >= 0)
        cce_poller_ring_at(&engine->poller, cce_poller_now_ms() + timeout_ms);
    return 0;
}

/* ---- queues ---- */

static void queue_append(struct cce_queue *queue, struct cce_transfer *transfer)
{
    transfer->queue = queue;
    transfer->previous_in_queue = queue->last;
    transfer->next_in_queue = NULL;
    if (queue->last != NULL)
        queue->last->next_in_queue = transfer;
    else
        queue->first = transfer;
    queue->last = transfer;
}

/* Nothing when it is in none. Without a walk: a caller with many transfers may
 * close them in any order. */
static void queue_remove(struct cce_transfer *transfer)
{
    struct cce_queue *queue = transfer->queue;

    if (queue == NULL)
        return;
    if (transfer->previous_in_queue != NULL)
        transfer->previous_in_queue->next_in_queue = transfer->next_in_queue;
    else
        queue->first = transfer->next_in_queue;
    if (transfer->next_in_queue != NULL)
        transfer->next_in_queue->previous_in_queue =
            transfer->previous_in_queue;
    else
        queue->last = transfer->previous_in_queue;
    transfer->queue = NULL;
}

static struct cce_transfer *queue_shift(struct cce_queue *queue)
{
    struct cce_transfer *transfer = queue->first;

    if (transfer != NULL)
        queue_remove(transfer);
    return transfer;
}

/* ---- lanes ---- */

/* The lane of the URL's origin, made when there is none; NULL and err. */
static struct cce_lane *find_lane(struct cce_engine *engine, const char *url,
                                  struct cce_error *err)
{
    const char *scheme_end = strstr(url, "://");
    const char *host = scheme_end != NULL ? scheme_end + 3 : url;
    size_t length = (size_t)(host - url) + strcspn(host, "/?");
    struct cce_lane *lane;

    for (lane = engine->lanes; lane != NULL; lane = lane->next)
        if (strncmp(lane->origin, url, length) == 0 &&
            lane->origin[length] == '\0')
            return lane;
    lane = calloc(1, sizeof *lane + length + 1);
    if (lane == NULL) {
        cce_fail_memory(err);
        return NULL;
    }
    memcpy(lane->origin, url, length);
    lane->width = LANE_WIDTH;
    lane->next = engine->lanes;
    engine->lanes = lane;
    return lane;
}

static void drop_lane(struct cce_engine *engine, struct cce_lane *lane)
{
    struct cce_lane **link = &engine->lanes;

    while (*link != lane)
        link = &(*link)->next;
    *link = lane->next;
    free(lane);
}

static void stop_connecting(struct cce_transfer *transfer)
{
    if (!transfer->connecting)
        return;
    transfer->connecting = false;
    transfer->lane->connecting--;
}

void cce_engine_connected(struct cce_transfer *transfer)
{
    stop_connecting(transfer);
    transfer->lane->connected_ms = cce_poller_now_ms();
}

/* Takes the transfer out of curl and its lane; its outcome is known. */
static void end_transfer(struct cce_transfer *transfer)
{
    struct cce_engine *engine = transfer->engine;

    stop_connecting(transfer);

    /* Out of the multi handle first: cce_transfer_give_back passes the easy
     * handle on to the next transfer. */
    if (transfer->easy != NULL)
        curl_multi_remove_handle(engine->multi, transfer->easy);
    if (transfer->started)
        transfer->lane->active--;
    else
        queue_remove(transfer);
    cce_transfer_give_back(transfer);
    transfer->lane = NULL;
    transfer->finished = true;
    engine->in_flight--;
}

/* Hands a transfer to curl. What fails here is that transfer's outcome. */
static void depart(struct cce_transfer *transfer)
{
    struct cce_engine *engine = transfer->engine;

    transfer->started = true;
    transfer->lane->active++;
    /* Without the callback nothing would tell when it is connected. */
    transfer->connecting = CCE_HAS_PREREQ;
    transfer->lane->connecting += CCE_HAS_PREREQ;
    cce_transfer_prepare(transfer);
    if (transfer->easy != NULL &&
        curl_multi_add_handle(engine->multi, transfer->easy) == CURLM_OK)
        return;
    if (transfer->easy != NULL)
        cce_transfer_take_outcome(transfer, CURLE_OUT_OF_MEMORY);
    end_transfer(transfer);
    queue_append(&engine->finished, transfer);
}

/* Starts the transfers that may start. An empty lane is freed, unless it was
 * found too narrow once: the next burst need not wait. */
static void serve_lane(struct cce_engine *engine, struct cce_lane *lane)
{
    size_t limit = (size_t)engine->options.max_connections;

    while (lane->waiting.first != NULL && lane->active < lane->width &&
           lane->active < limit)
        depart(queue_shift(&lane->waiting));
    if (lane->active == 0 && lane->waiting.first == NULL &&
        lane->width == LANE_WIDTH)
        drop_lane(engine, lane);
}

/* When a transfer that waits gets a connection of its own (ms, monotonic). */
static int64_t patience_ends(const struct cce_transfer *transfer)
{
    int64_t at = transfer->engine->patient_until_ms;

    if (at > transfer->impatient_ms + BUSY_MS)
        at = transfer->impatient_ms + BUSY_MS;
    return at > transfer->impatient_ms ? at : transfer->impatient_ms;
}

/* Starts the transfers that have waited long enough, up to the limits. Returns
 * when to look again (ms, monotonic). */
static int64_t widen_lanes(struct cce_engine *engine, int64_t due_ms)
{
    size_t limit = (size_t)engine->options.max_connections;
    int64_t now = cce_poller_now_ms(), next = CCE_POLLER_NEVER;

    if (now - due_ms >= LATE_MS)
        engine->patient_until_ms = now + PATIENCE_MS;
    for (struct cce_lane *lane = engine->lanes; lane != NULL;
         lane = lane->next) {
        int64_t stalls_ms = lane->connected_ms + STALL_MS, at;
        struct cce_transfer *first;

        while ((first = lane->waiting.first) != NULL && lane->active < limit &&
               patience_ends(first) <= now &&
               (lane->connecting < CONNECTING || stalls_ms <= now)) {
            lane->width = lane->active + 1;
            depart(queue_shift(&lane->waiting));
        }
        /* At the limit only the end of a transfer makes room. */
        if (first == NULL || lane->active >= limit)
            continue;
        at = patience_ends(first);
        if (at <= now) {
            engine->is_crowded = true;
            at = stalls_ms;
        }
        if (at < next)
            next = at;
    }
    return next;
}

/* Takes the outcome of a transfer that was handed to curl, and lets the next
 * one of its lane begin. */
static void finish(struct cce_transfer *transfer, CURLcode result)
{
    struct cce_engine *engine = transfer->engine;
    struct cce_lane *lane = transfer->lane;

    cce_transfer_take_outcome(transfer, result);
    end_transfer(transfer);
    queue_append(&engine->finished, transfer);
    serve_lane(engine, lane);
}

/* Where nothing asks us when a request leaves, those whose time has passed are
 * ended before libcurl gets to do anything. */
static void end_late(struct cce_engine *engine)
{
    struct cce_transfer *next;

    if (CCE_HAS_PREREQ)
        return;
    for (struct cce_transfer *transfer = engine->transfers; transfer != NULL;
         transfer = next) {
        next = transfer->next;
        if (transfer->easy != NULL && cce_transfer_is_too_late(transfer))
            finish(transfer, CURLE_ABORTED_BY_CALLBACK);
    }
}

static void drive_curl(struct cce_engine *engine, curl_socket_t fd, int events)
{
    struct cce_transfer *next;
    int running;

    if (curl_multi_socket_action(engine->multi, fd, events, &running) ==
        CURLM_OK)
        return;
    /* curl ran out of memory in the middle of something, and may never come
     * back to it: whatever it was, it has failed. */
    for (struct cce_transfer *transfer = engine->transfers; transfer != NULL;
         transfer = next) {
        next = transfer->next;
        if (transfer->easy != NULL)
            finish(transfer, CURLE_OUT_OF_MEMORY);
    }
}

static void collect_finished(struct cce_engine *engine)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(engine->multi, &left)) != NULL) {
        struct cce_transfer *transfer = NULL;
        CURLcode result = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        /* Not one byte has left: so this is no second attempt. */
        if (transfer->stale) {
            curl_multi_remove_handle(engine->multi, transfer->easy);
            if (cce_transfer_renew(transfer) &&
                curl_multi_add_handle(engine->multi, transfer->easy) ==
                    CURLM_OK)
                continue;
            result = CURLE_OUT_OF_MEMORY;
        }
        finish(transfer, result);
    }
}

/* ---- the engine ---- */

static int check_process(const struct cce_engine *engine, struct cce_error *err)
{
    if (cce_engine_is_inherited(engine))
        return cce_fail(err, CCE_UNSUPPORTED,
                        "this engine belongs to process %ld; a child after "
                        "fork needs its own",
                        (long)engine->pid);
    return 0;
}

/* Whether libcurl can decode a part of an address; one that is not there is
 * fine. */
static CURLUcode try_decode(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    CURLUcode result = curl_url_get(url, part, &text, CURLU_URLDECODE);

    if (text != NULL)
        cce_wipe(text, strlen(text));
    curl_free(text);
    return result == CURLUE_NO_USER || result == CURLUE_NO_PASSWORD ? CURLUE_OK
                                                                    : result;
}

/* A proxy's URL may hold a password: no message repeats it. Where libcurl
 * cannot decode a user name or a password, it goes without the proxy. */
int cce_engine_check_proxy(const char *proxy, struct cce_error *err)
{
    static const char *const schemes[] = {"http",    "https",  "socks4",
                                          "socks4a", "socks5", "socks5h"};
    CURLU *url = curl_url();
    char *scheme = NULL, *host = NULL;
    CURLUcode parsed, decoded;
    bool known = false;

    if (url == NULL)
        return cce_fail_memory(err);
    parsed = curl_url_set(url, CURLUPART_URL, proxy,
                          CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME);
    if (parsed == CURLUE_OK)
        parsed = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
    if (parsed == CURLUE_OK)
        parsed = curl_url_get(url, CURLUPART_HOST, &host, 0);
    if (parsed == CURLUE_OK)
        for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
            known = known || strcmp(scheme, schemes[i]) == 0;
    /* An old libcurl takes what follows a password's own "@" for the host: it
     * would be asked of the resolver. */
    known = known && strchr(host, '@') == NULL;
    decoded = try_decode(url, CURLUPART_USER);
    if (decoded == CURLUE_OK)
        decoded = try_decode(url, CURLUPART_PASSWORD);
    /* libcurl has one code for a control character and for a lack of memory:
     * without %00 to %1F it is the latter. */
    if (decoded != CURLUE_OK && strstr(proxy, "%0") == NULL &&
        strstr(proxy, "%1") == NULL)
        decoded = CURLUE_OUT_OF_MEMORY;
    if (host != NULL)
        cce_wipe(host, strlen(host));
    curl_free(host);
    curl_free(scheme);
    curl_url_cleanup(url);

    if (parsed == CURLUE_OUT_OF_MEMORY || decoded == CURLUE_OUT_OF_MEMORY)
        return cce_fail_memory(err);
    if (!known)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "the proxy is not an address such as "
                        "http://host:port%s",
                        strchr(proxy, '@') == NULL
                            ? ""
                            : "; in its user name and password, characters "
                              "such as @ # / are written %40 %23 %2F");
    if (decoded != CURLUE_OK)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "the user name or the password of the proxy holds a "
                        "control character (%%00 to %%1F), which libcurl does "
                        "not send");
    return 0;
}

/* libcurl would wait for a FIFO, and trust whom another user names in /tmp.
 * What is not there may come yet: a call will tell. */
static int check_ca_file(const char *path, struct cce_error *err)
{
    struct cce_path target;
    struct stat info;
    int fd;

    if (path == NULL || stat(path, &info) != 0)
        return 0;
    if (cce_path_resolve(&target, "read", path, err) != 0)
        return -1;
    fd = cce_path_open(&target, "read", path, O_RDONLY, &info, err);
    cce_path_close(&target.dir);
    if (fd < 0)
        return -1;
    cce_path_close(&fd);
    return 0;
}

static bool copy_string(const char **copy, const char *string)
{
    *copy = string != NULL && string[0] != '\0' ? strdup(string) : NULL;
    return *copy != NULL || string == NULL || string[0] == '\0';
}

static bool copy_options(struct cce_engine_options *to,
                         const struct cce_engine_options *from)
{
    to->max_connections =
        from->max_connections > 0 ? from->max_connections : 100;
    to->max_idle_seconds =
        from->max_idle_seconds > 0 ? from->max_idle_seconds : 15;
    to->connect_timeout_ms =
        from->connect_timeout_ms > 0 ? from->connect_timeout_ms : 10000;
    return copy_string(&to->ca_file, from->ca_file) &&
           copy_string(&to->proxy, from->proxy) &&
           copy_string(&to->proxy_ca_file, from->proxy_ca_file) &&
           copy_string(&to->no_proxy, from->no_proxy) &&
           copy_string(&to->user_agent, from->user_agent);
}

static bool set_multi_options(struct cce_engine *engine)
{
    CURLM *multi = engine->multi;

    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == 0 &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, engine) == 0 &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer) == 0 &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, engine) == 0 &&
           curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS,
                             engine->options.max_connections) == 0 &&
           curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) == 0;
}

int cce_engine_new(struct cce_engine **result,
                   const struct cce_engine_options *options,
                   struct cce_error *err)
{
    struct cce_engine *engine = NULL;

    *result = NULL;
    if (cce_curl_init(err) != 0)
        return -1;
    if (options->user_agent != NULL &&
        !cce_http_is_value(cce_bytes_of(options->user_agent)))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "user_agent has a control character");
    if (options->proxy != NULL && options->proxy[0] != '\0' &&
        cce_engine_check_proxy(options->proxy, err) != 0)
        return -1;
    if (check_ca_file(options->ca_file, err) != 0 ||
        check_ca_file(options->proxy_ca_file, err) != 0)
        return -1;

    /* Of a zeroed engine cce_engine_free frees what there is. */
    engine = calloc(1, sizeof *engine);
    if (engine == NULL)
        return cce_fail_memory(err);
    engine->pid = cce_pid();
    engine->guard_sigpipe = cce_curl_raises_sigpipe();
    engine->system.file = cce_curl_ca_file();
    engine->system.directory = cce_curl_ca_directory();
    if (cce_poller_open(&engine->poller, CCE_POLLER_RINGS, err) != 0)
        goto failed;
    engine->multi = curl_multi_init();
    engine->share = curl_share_init();
    if (engine->multi == NULL || engine->share == NULL ||
        curl_share_setopt(engine->share, CURLSHOPT_SHARE,
                          CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK ||
        !copy_options(&engine->options, options) ||
        !set_multi_options(engine)) {
        cce_fail_memory(err);
        goto failed;
    }
    engine->given.file = engine->options.ca_file;
    *result = engine;
    return 0;

failed:
    cce_engine_free(engine);
    return -1;
}

bool cce_engine_is_inherited(const struct cce_engine *engine)
{
    return engine->pid != cce_pid();
}

int cce_engine_fd(const struct cce_engine *engine)
{
    return engine->poller.fd;
}

size_t cce_engine_in_flight(const struct cce_engine *engine)
{
    return engine->in_flight;
}

/* The engine ends: what is still under way is CLOSED. In a child after fork
 * curl's handles are the parent's connections: they are left alone, and their
 * memory with them. */
static void detach(struct cce_transfer *transfer, bool inherited)
{
    if (inherited) {
        transfer->easy = NULL;
        transfer->lane = NULL;
        transfer->finished = true;
    } else if (!transfer->finished) {
        end_transfer(transfer);
    }
    if (transfer->verdict.error.code == CCE_OK && transfer->status == 0)
        cce_fail(&transfer->verdict.error, CCE_CLOSED,
                 "the client was closed during the call");
    transfer->engine = NULL;
}

/* Engines of the parent that this process, its child, has let go of: curl's
 * handles in them are the parent's connections, so they are left as they are,
 * but not lost. */
static struct cce_engine *inherited_engines;

static void detach_all(struct cce_engine *engine, bool inherited)
{
    for (struct cce_transfer *transfer = engine->transfers; transfer != NULL;
         transfer = transfer->next)
        detach(transfer, inherited);
}

void cce_engine_free(struct cce_engine *engine)
{
    struct cce_sigpipe guard;

    if (engine == NULL)
        return;
    if (cce_engine_is_inherited(engine)) {
        detach_all(engine, true);
        cce_poller_close(&engine->poller);
        engine->next_inherited =
            __atomic_load_n(&inherited_engines, __ATOMIC_ACQUIRE);
        while (!__atomic_compare_exchange_n(
            &inherited_engines, &engine->next_inherited, engine, false,
            __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            continue;
        return;
    }

    /* What closes a connection may write to it. */
    cce_sigpipe_block(&guard, engine->guard_sigpipe);
    detach_all(engine, false);
    while (engine->lanes != NULL)
        drop_lane(engine, engine->lanes);
    while (engine->idle_count > 0)
        curl_easy_cleanup(engine->idle[--engine->idle_count]);
    if (engine->multi != NULL)
        curl_multi_cleanup(engine->multi);
    curl_share_cleanup(engine->share);
    cce_sockets_cleanup(&engine->sockets);
    cce_tls_forget(&engine->system);
    cce_tls_forget(&engine->given);
    cce_sigpipe_restore(&guard);
    cce_poller_close(&engine->poller);
    /* The proxy's URL may hold a password. */
    if (engine->options.proxy != NULL)
        cce_wipe((char *)engine->options.proxy, strlen(engine->options.proxy));
    free((char *)engine->options.ca_file);
    free((char *)engine->options.proxy);
    free((char *)engine->options.proxy_ca_file);
    free((char *)engine->options.no_proxy);
    free((char *)engine->options.user_agent);
    free(engine);
}

int cce_engine_step(struct cce_engine *engine, int timeout_ms,
                    struct cce_error *err)
{
    struct cce_poller_event events[EVENTS_A_STEP];
    struct cce_sigpipe guard;
    int64_t due_ms = engine->poller.rings_ms;
    int count;

    if (check_process(engine, err) != 0)
        return -1;
    /* The caller has results to take: it is not to wait for others. */
    if (engine->finished.first != NULL)
        timeout_ms = 0;
    count = cce_poller_wait(&engine->poller, events, EVENTS_A_STEP, timeout_ms);
    if (count < 0 && errno != EINTR)
        return cce_fail(err, CCE_INTERNAL, "the engine cannot wait: %s",
                        strerror(errno));
    /* From here on curl may write to connections that the peer has closed. */
    cce_sigpipe_block(&guard, engine->guard_sigpipe);
    end_late(engine);
    for (int i = 0; i < count; i++) {
        unsigned ready = events[i].ready;

        drive_curl(engine, (curl_socket_t)events[i].tag,
                   (ready & CCE_POLLER_READ ? CURL_CSELECT_IN : 0) |
                       (ready & CCE_POLLER_WRITE ? CURL_CSELECT_OUT : 0) |
                       (ready & CCE_POLLER_FAILED ? CURL_CSELECT_ERR : 0));
    }
    /* However early it rang, curl then says anew when it wants to be called. */
    if (engine->poller.rang)
        drive_curl(engine, CURL_SOCKET_TIMEOUT, 0);
    collect_finished(engine);
    if (engine->poller.rang || engine->is_crowded) {
        engine->is_crowded = false;
        cce_poller_ring_at(&engine->poller, widen_lanes(engine, due_ms));
    }
    cce_sigpipe_restore(&guard);
    return 0;
}

struct cce_transfer *cce_engine_next_finished(struct cce_engine *engine)
{
    return queue_shift(&engine->finished);
}

/* ---- transfers ---- */

int cce_engine_start(struct cce_engine *engine, struct cce_transfer *transfer,
                     struct cce_error *err)
{
    struct cce_lane *lane = NULL;

    if (check_process(engine, err) == 0)
        lane = find_lane(engine, transfer->outgoing.url, err);
    if (lane == NULL) {
        transfer->verdict.error = *err;
        transfer->finished = true;
        return -1;
    }
    transfer->engine = engine;
    transfer->lane = lane;
    transfer->next = engine->transfers;
    if (transfer->next != NULL)
        transfer->next->previous = transfer;
    engine->transfers = transfer;
    engine->in_flight++;

    queue_append(&lane->waiting, transfer);
    serve_lane(engine, lane);
    /* The lane is full: it waits a moment for a connection that becomes free.
     */
    if (!transfer->started) {
        transfer->impatient_ms = cce_poller_now_ms() + PATIENCE_MS;
        cce_poller_ring_at(&engine->poller, transfer->impatient_ms);
    }
    return 0;
}

void cce_engine_release(struct cce_transfer *transfer)
{
    struct cce_engine *engine = transfer->engine;
    struct cce_lane *lane = transfer->lane;
    struct cce_sigpipe guard;

    if (engine == NULL)
        return;
    if (transfer->previous != NULL)
        transfer->previous->next = transfer->next;
    else
        engine->transfers = transfer->next;
    if (transfer->next != NULL)
        transfer->next->previous = transfer->previous;
    if (cce_engine_is_inherited(engine)) {
        detach(transfer, true);
        return;
    }

    cce_sigpipe_block(&guard, engine->guard_sigpipe);
    if (transfer->finished) {
        queue_remove(transfer);
    } else {
        end_transfer(transfer);
        cce_fail(&transfer->verdict.error, CCE_CANCELLED,
                 "the call was cancelled");
    }
    /* Its place in the lane may be free now. */
    if (lane != NULL)
        serve_lane(engine, lane);
    cce_sigpipe_restore(&guard);
    transfer->engine = NULL;
}

const char *cce_engine_libraries(void)
{
    return curl_version();
}
