/*
 * engine_internal: what engine.c (descriptors, lanes, which transfer is next)
 * and transfer.c (one request: its curl handle, its outcome) share. No other
 * file includes it.
 */
#ifndef CCE_NET_ENGINE_INTERNAL_H
#define CCE_NET_ENGINE_INTERNAL_H

#include <stdint.h>
#include <sys/types.h>

#include "net/curl_global.h"
#include "net/engine.h"
#include "net/outgoing.h"
#include "net/sockets.h"
#include "net/verdict.h"
#include "os/poller.h"

enum { CCE_ENGINE_IDLE_HANDLES = 128 };

/* Transfers in the order of their arrival. */
struct cce_queue {
    struct cce_transfer *first, *last;
};

/* One host: how many transfers to it are under way, and those that wait for
 * their turn. curl could queue them, but would count that against their time
 * limits, and look through all of them at every end of a transfer. */
struct cce_lane {
    struct cce_lane *next;
    size_t active;
    size_t width;      /* from so many under way on, the next waits a moment */
    size_t connecting; /* of those that are under way */
    int64_t connected_ms; /* when one was last let out */
    struct cce_queue waiting;
    char origin[]; /* scheme://host:port */
};

struct cce_transfer {
    struct cce_engine *engine; /* NULL once the engine is gone */
    struct cce_transfer *previous, *next;
    struct cce_queue *queue; /* of its lane, of the finished, or NULL */
    struct cce_transfer *previous_in_queue, *next_in_queue;
    struct cce_lane *lane; /* NULL once it has ended */
    int64_t impatient_ms;  /* when it stops waiting for a used connection */
    void *owner;
    CURL *easy;
    struct cce_outgoing outgoing; /* empty once it has ended */
    struct cce_buf response_headers, response_body;
    char detail[CURL_ERROR_SIZE];
    char method[16];
    long timeout_ms, connect_timeout_ms; /* the latter of the engine when 0 */
    bool mutating, direct, is_private, proxied;
    bool has_identity, system_ca;
    bool lacks_authorities; /* what it is to trust could not be read */
    double departs_until;   /* by the time since boot; 0: whenever */
    bool started, finished;
    bool connecting;     /* counted so in its lane */
    bool late;           /* it was not let out, its time had passed */
    bool second_time;    /* it was not let out once more */
    bool stale;          /* it was not let out on a connection that was not
                            quiet, and is to get a new one */
    bool head_complete;  /* the empty line after the final headers came */
    unsigned departures; /* how often the request was let out */
    struct cce_tls_handshake server_tls, proxy_tls;
    void *server_watch, *proxy_watch; /* see cce_tls_watch */
    struct cce_verdict verdict;
    long status;
    double seconds;
};

struct cce_engine {
    CURLM *multi;
    CURLSH *share; /* sessions of TLS: half a handshake for all but the first */
    struct cce_poller poller; /* the tag of a socket is its number */
    pid_t pid;
    struct cce_engine *next_inherited; /* see cce_engine_free */
    struct cce_engine_options options; /* its strings are ours */
    struct cce_sockets sockets;
    struct cce_tls_authorities system, given; /* ca_file */
    struct cce_transfer *transfers;
    struct cce_queue finished;
    struct cce_lane *lanes;
    size_t in_flight;
    bool is_crowded;          /* a transfer waits: too many connect at once */
    int64_t patient_until_ms; /* the program was busy */
    CURL *idle[CCE_ENGINE_IDLE_HANDLES];
    size_t idle_count;
    bool guard_sigpipe;
};

/* It has its connection, and is let out. */
void cce_engine_connected(struct cce_transfer *transfer);

/* Gives the transfer a curl handle that is ready to be added to the multi
 * handle. Otherwise `easy` stays NULL and the outcome is known. */
void cce_transfer_prepare(struct cce_transfer *transfer);

/* Whether its time to leave has passed, and it has not left. For a libcurl that
 * does not ask us. */
bool cce_transfer_is_too_late(struct cce_transfer *transfer);

/* Whether it ended without having left, for want of a quiet connection; then
 * the handle, which is in no multi handle any more, is made ready to be added
 * again, for a new connection. Not more than once for a transfer. */
bool cce_transfer_renew(struct cce_transfer *transfer);

/* Records how it ended, while the handle still knows. */
void cce_transfer_take_outcome(struct cce_transfer *transfer, CURLcode result);

/* Takes the handle back, which is in no multi handle any more, and wipes what
 * was sent. The outcome stays. */
void cce_transfer_give_back(struct cce_transfer *transfer);

#endif
