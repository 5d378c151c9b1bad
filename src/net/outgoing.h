/*
 * outgoing: the copy of what a request sends, and of the identity it is sent
 * with.
 *
 * It is one block of memory, since all of it begins and ends together: it is
 * wiped and freed as soon as the transfer has ended, while the answer stays.
 */
#ifndef CCE_NET_OUTGOING_H
#define CCE_NET_OUTGOING_H

#include <curl/curl.h>
#include <stddef.h>

#include "core/bytes.h"
#include "net/engine.h"

/* Zeroed is valid and empty. The pointers lead into the block. */
struct cce_outgoing {
    char *memory;
    struct curl_slist *headers;
    struct curl_slist *connect_to; /* where the host of the URL is, or NULL */
    char *server_url; /* the URL without the name for TLS, if there is one */
    char *url, *host; /* the latter without brackets and port */
    char *proxy;      /* of the identity, or NULL */
    struct cce_bytes body;
    struct cce_bytes ca, certificate, key; /* of the identity, if any */
};

/* INVALID_ARGUMENT for what is too long, or NO_MEMORY. */
int cce_outgoing_copy(struct cce_outgoing *outgoing,
                      const struct cce_request *request, struct cce_error *err);

void cce_outgoing_wipe(struct cce_outgoing *outgoing);

#endif
