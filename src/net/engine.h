/*
 * engine: HTTP transfers that never block, behind one file descriptor.
 *
 * An engine is one libcurl multi handle, an
 * epoll set with the sockets that curl waits for, and a timerfd in that set.
 * The epoll descriptor is readable whenever there is something to do: a host
 * with an event loop polls it and calls cce_engine_step(engine, 0); a plain
 * program calls cce_engine_step with a time.
 *
 * An engine and its transfers belong to one thread at a time and to the
 * process that made them: in a child after fork every call but
 * cce_engine_free fails, and that one leaves the parent's connections alone.
 *
 * Nothing here touches signals, the environment or a global, but for one
 * curl_global_init a process.
 */
#ifndef CCE_NET_ENGINE_H
#define CCE_NET_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "core/status.h"

struct cce_engine;
struct cce_transfer;

/* Strings are copied; NULL or 0 takes what is said in brackets. */
struct cce_engine_options {
    const char *ca_file; /* PEM bundle [the system's] */
    const char *proxy;   /* URL, perhaps with user:password@ [none] */
    /* PEM bundle, for an https proxy [ca_file, and the system's directory] */
    const char *proxy_ca_file;
    const char *no_proxy; /* hosts to reach without it, as in NO_PROXY */
    const char *user_agent;
    long max_connections;    /* at most so many to one host [100] */
    long max_idle_seconds;   /* an older idle connection is not reused [15] */
    long connect_timeout_ms; /* DNS, TCP and TLS together [10,000] */
};

struct cce_header {
    const char *name, *value;
};

/* PEM text; NULL: none. */
struct cce_pem {
    const void *data;
    size_t length;
};

/* A client certificate, and the CA and the proxy that take the place of the
 * engine's; as a kubeconfig says it. */
struct cce_identity {
    struct cce_pem ca; /* NULL: that of the engine, or the system's */
    struct cce_pem certificate, key;
    bool system_ca; /* without `ca`: not that of the engine */
    /* What the server's certificate must name. [the host of the URL] */
    const char *server_name;
    const char *proxy; /* for whatever address [that of the engine] */
};

/* What cce_transfer_new needs; all of it is copied. */
struct cce_request {
    const char *method;
    const char *url;
    const struct cce_header *headers; /* no CR or LF inside */
    size_t header_count;
    const void *body; /* NULL: none */
    size_t body_length;
    /* True for a request that changes something: it leaves once and never
     * again. libcurl by itself resends a request when a reused connection
     * dies before the first byte of an answer; that second time is refused
     * and ends as CONNECTION_LOST. A reused connection that has ended, or on
     * which anything lies unread, gets nothing of it: see sockets.h. */
    bool mutating;
    bool direct; /* never through the proxy */
    /* The answer holds secrets: neither the connection nor curl's buffers are
     * kept for another transfer, and what curl frees was wiped. */
    bool is_private;
    /* So does what is sent: its copy is hidden from core dumps. */
    bool holds_secret;
    /* NULL, or a client certificate. Such a request is private, holds a
     * secret, has a connection and a TLS session of its own, and what was
     * copied of the identity is wiped when it ends. */
    const struct cce_identity *identity;
    long connect_timeout_ms; /* [that of the engine] */
    long timeout_ms;         /* the whole of it [60,000] */
    /* Seconds from now, the time of a suspended machine included, after which
     * it must not leave any more: then it ends as TIMEOUT, unsent. [0: no such
     * limit] */
    double depart_within;
    size_t max_response; /* bytes of the answer's body [4 MiB] */
};

/* What became of a transfer. The pointers live as long as the transfer. */
struct cce_result {
    struct cce_error error; /* code CCE_OK: an answer came, of any status */
    /* False: not one byte of the request left. True: it may have arrived. */
    bool sent;
    bool untrusted;   /* the server's certificate was not accepted */
    int verify_error; /* why, as OpenSSL's X509_V_ERR_…; 0: not known */
    /* The server, which had proved to be the one that its accepted certificate
     * names, does not accept ours: it sent alert 42, 44, 46, 48 or 49. */
    bool refused;
    int alert;     /* the fatal TLS alert of the server, by number; 0: none */
    bool verified; /* the server's certificate was accepted, name and all */
    long status;
    const char *headers; /* the header lines as received, CRLF between */
    size_t headers_length;
    const char *body;
    size_t body_length;
    double seconds;
};

/* The versions of libcurl and of the libraries under it, as libcurl writes
 * them: "libcurl/7.88.1 OpenSSL/3.0.17 …". Lives as long as the program. */
const char *cce_engine_libraries(void);

/* INVALID_ARGUMENT for what is no address of a proxy. */
int cce_engine_check_proxy(const char *proxy, struct cce_error *err);

/* INVALID_ARGUMENT for a bad proxy or user agent, NO_MEMORY, UNSUPPORTED. */
int cce_engine_new(struct cce_engine **engine,
                   const struct cce_engine_options *options,
                   struct cce_error *err);

/* Ends what is in flight (CLOSED), then frees. NULL is fine. Transfers may be
 * freed later. */
void cce_engine_free(struct cce_engine *engine);

/* True in a child of the process that made the engine. */
bool cce_engine_is_inherited(const struct cce_engine *engine);

/* Readable when cce_engine_step has something to do. */
int cce_engine_fd(const struct cce_engine *engine);

/* Waits at most timeout_ms (0: not at all, -1: for ever) for something to
 * happen, and handles it. Returns early, with 0, when a signal came. */
int cce_engine_step(struct cce_engine *engine, int timeout_ms,
                    struct cce_error *err);

/* How many transfers have not ended yet. */
size_t cce_engine_in_flight(const struct cce_engine *engine);

/* The next transfer that ended since it was last asked for, or NULL. */
struct cce_transfer *cce_engine_next_finished(struct cce_engine *engine);

/* Makes a transfer of a request, for any engine; touches none yet. */
int cce_transfer_new(struct cce_transfer **transfer,
                     const struct cce_request *request, struct cce_error *err);

/* A pointer for the transfer's user; NULL at first. */
void cce_transfer_set_owner(struct cce_transfer *transfer, void *owner);
void *cce_transfer_owner(const struct cce_transfer *transfer);

/* Begins a new transfer. What goes wrong from here on is its result. */
int cce_engine_start(struct cce_engine *engine, struct cce_transfer *transfer,
                     struct cce_error *err);

/* Takes a transfer out of its engine, and cancels it (CANCELLED) unless it has
 * finished: then any thread may ask for its result and free it. */
void cce_engine_release(struct cce_transfer *transfer);

bool cce_transfer_is_finished(const struct cce_transfer *transfer);

/* Of a transfer that has not finished it is CLOSED. */
void cce_transfer_result(const struct cce_transfer *transfer,
                         struct cce_result *result);

/* Releases and frees. NULL is fine. */
void cce_transfer_free(struct cce_transfer *transfer);

#endif
