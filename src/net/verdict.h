/*
 * verdict: from the numbers of a finished transfer to what it means.
 *
 * No handle of libcurl and no word of its or OpenSSL's is looked at: their
 * texts change from version to version, and the one that answers can choose
 * some of them. They are shown to people, behind our own sentence, and nothing
 * else.
 *
 * verdict.c is one table. Its rows are tried in order, and the first that fits
 * is the verdict.
 */
#ifndef CCE_NET_VERDICT_H
#define CCE_NET_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"
#include "net/curl_global.h"
#include "net/tls.h"

struct cce_evidence {
    CURLcode result;
    const char *words; /* libcurl's own, "" for none */

    /* How far it got. */
    bool proxied;
    bool tls_began;     /* a handshake with the server itself has begun */
    bool sent;          /* the request was let out */
    bool answered;      /* a whole line of the answer came */
    bool head_complete; /* and the end of its headers */

    /* What we refused. */
    bool late;         /* to let it out: its time had passed */
    bool second_time;  /* to let it out once more */
    bool body_long;    /* a body beyond the limit */
    bool headers_long; /* headers beyond theirs */
    bool no_memory;    /* our own memory ran out */
    size_t body_limit, headers_limit;
    long timeout_ms, connect_timeout_ms;

    /* What the proxy and the server said. */
    long connect_status; /* of a proxy's answer to CONNECT; 0: none */
    struct cce_tls_handshake server, proxy;
};

struct cce_verdict {
    struct cce_error error; /* CCE_OK: there is an answer */
    bool untrusted;         /* the server's certificate was not accepted */
    bool refused;     /* a server that is known to be the right one said by a
                         TLS alert that it does not accept our certificate */
    int alert;        /* of the server; 0: none */
    int verify_error; /* X509_V_ERR_…, with `untrusted`; 0: not known */
    bool verified;    /* the server's certificate was accepted */
};

void cce_verdict(const struct cce_evidence *evidence,
                 struct cce_verdict *verdict);

#endif
