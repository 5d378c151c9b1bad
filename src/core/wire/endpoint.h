/*
 * endpoint: where a service is, and whether talking to it there is safe.
 *
 * An endpoint is scheme://host[:port][/path]. Cloud APIs are https only; http
 * is for a literal loopback address, or `localhost` pinned to one, where the
 * simulator listens. Where a cloud hands its keys to its own machines, http is
 * for a few more addresses, which are not routed: see cce_purpose. A user
 * name, a query or a fragment is refused: they would be sent, or signed,
 * without anybody having meant it.
 */
#ifndef CCE_CORE_WIRE_ENDPOINT_H
#define CCE_CORE_WIRE_ENDPOINT_H

#include <stdbool.h>

#include "core/status.h"

struct cce_endpoint {
    char origin[280]; /* what a URL begins with; http://localhost is already
                         http://127.0.0.1 here */
    char host[264];   /* the Host header: with the port unless it is the
                         scheme's own, brackets round an IPv6 address */
    char path[256];   /* what precedes every path, without a final slash */
    bool tls;
    bool loopback; /* a literal loopback address or localhost */
};

enum cce_purpose {
    CCE_PURPOSE_API,      /* https; http to loopback */
    CCE_PURPOSE_METADATA, /* http to 169.254.169.254, port 80, or loopback */
    CCE_PURPOSE_POD       /* https; http to loopback or link-local */
};

/* INVALID_ARGUMENT with the reason, else 0. */
int cce_endpoint_parse(enum cce_purpose purpose, struct cce_endpoint *endpoint,
                       const char *text, struct cce_error *err);

#endif
