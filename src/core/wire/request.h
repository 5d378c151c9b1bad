/*
 * request: from what is asked of a service to what goes on the wire: address,
 * headers with their signature or token, body. No I/O and no clock.
 *
 * One set of rules (http.h) holds for signed and unsigned requests alike.
 * Besides: Host is the endpoint's, and how long the body is says the engine.
 * All failures are INVALID_ARGUMENT, NO_MEMORY, or what the signer says.
 */
#ifndef CCE_CORE_WIRE_REQUEST_H
#define CCE_CORE_WIRE_REQUEST_H

#include "core/sign.h"
#include "core/wire/endpoint.h"
#include "core/wire/http.h"

enum {
    CCE_REQUEST_METHOD_MAX = 15,     /* characters */
    CCE_REQUEST_URL_MAX = 16 * 1024, /* bytes */
    CCE_REQUEST_BODY_MAX = 16 * 1024 * 1024,
    CCE_REQUEST_PARTS_MAX = 16,
    /* Those given, and Host, X-Auth-Token or the three of a signature. */
    CCE_REQUEST_HEADERS_MAX = CCE_HTTP_HEADERS_MAX + 4
};

/* A body may come in parts: bytes, which are sent as they are, and secrets,
 * which are sent as strings of JSON. */
struct cce_request_part {
    struct cce_bytes bytes;
    bool is_secret;
};

/* What is asked for. All bytes are followed by a NUL, as Lua's are. */
struct cce_request_spec {
    const char *endpoint;
    enum cce_purpose purpose;
    /* Without `host`. Its path goes behind that of the endpoint. */
    struct cce_sign_request sign;
    const struct cce_request_part *parts; /* instead of a body */
    size_t part_count;
    struct cce_signer *signer; /* NULL: it is not signed */
    struct cce_bytes token;    /* for X-Auth-Token; no data: none */
};

/* What goes on the wire. It points into the spec and into itself: so neither
 * moves while it is used. */
struct cce_request_wire {
    struct cce_endpoint endpoint;
    const char *url;
    /* Names and values end with a NUL, and have none inside. */
    struct cce_pair headers[CCE_REQUEST_HEADERS_MAX];
    size_t header_count;
    struct cce_bytes body; /* no data: none */

    /* private */
    struct cce_sign_result signature;
    struct cce_sign_work signing;
    struct cce_buf path, address, joined;
    char path_memory[512], address_memory[1024];
};

/* Fills *wire, whatever it held; cce_request_cleanup it in any case. */
int cce_request_build(const struct cce_request_spec *spec,
                      struct cce_request_wire *wire, struct cce_error *err);

/* Wipes what was made for the request. */
void cce_request_cleanup(struct cce_request_wire *wire);

#endif
