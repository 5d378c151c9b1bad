/*
 * lrequest: a request to sign, read from its table in Lua in one walk.
 *
 * It is read into arrays on the C stack (larger ones become userdata), and
 * points into strings that the table keeps alive. So nothing is allocated for
 * requests of a usual size, and no Lua code may run between the reading and
 * the signing.
 */
#ifndef CCE_LUA_LREQUEST_H
#define CCE_LUA_LREQUEST_H

#include "core/sign.h"
#include "lua/lcompat.h"

/* Where things stand on the stack of a method that reads a request. */
enum {
    LCCE_REQUEST_SPEC = 2,   /* the argument */
    LCCE_REQUEST_RESULT = 3, /* of signer:sign, the table of headers to send */
    LCCE_REQUEST_HOST = 4,   /* the spec's host, for signer:sign */
    LCCE_REQUEST_ANCHOR = 5  /* a table of what the request points to besides,
                                or nil */
};

/* Parameters, headers and names that need no userdata. */
enum { LCCE_REQUEST_HELD = 16 };

struct lcce_pairs {
    struct cce_pair held[LCCE_REQUEST_HELD], *list;
    size_t count, capacity;
};

struct lcce_request {
    struct cce_sign_request sign;
    struct lcce_pairs query, headers;
    struct cce_bytes signed_held[LCCE_REQUEST_HELD];
    char date[CCE_DATE_LENGTH + 1];
    bool wants_headers; /* in the table at LCCE_REQUEST_RESULT */
    struct cce_error *err;
};

/* An empty request. With `wants_headers` its headers are also put into the
 * table at LCCE_REQUEST_RESULT, as they are sent, too. *err is filled by the
 * functions below. */
void lcce_request_init(struct lcce_request *request, bool wants_headers,
                       struct cce_error *err);

/* Reads the table at LCCE_REQUEST_SPEC into request->sign; the stack reaches
 * up to LCCE_REQUEST_ANCHOR. Raises for wrong use. */
int lcce_request_read(lua_State *L, struct lcce_request *request);

/* The text of unix time that came from Lua. */
int lcce_request_date(lua_Number seconds, char text[CCE_DATE_LENGTH + 1],
                      struct cce_error *err);

#endif
