/*
 * lrequest: a request to sign, read from its table in Lua in one walk.
 *
 * It is read into arrays on the C stack, and points into strings that the table
 * keeps alive. Nothing is allocated on the way: Lua may run a finalizer where
 * it allocates, and that may change the table. A request that is larger than
 * the arrays is read anew, into larger ones. So no Lua code may run between the
 * reading and the signing.
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
    LCCE_REQUEST_ANCHOR = 5, /* the larger arrays, or nil */
    LCCE_REQUEST_OWN = 6     /* what the method itself keeps there, or nil */
};

/* Parameters, headers and names that need no userdata. */
enum { LCCE_REQUEST_HELD = 16 };

/* A whole number in a query, as text. */
struct lcce_number {
    char text[24];
};

/* What a request is read into; each array has room for `room` entries. */
struct lcce_request_arrays {
    struct cce_pair *query, *headers;
    struct cce_bytes *names;
    struct lcce_number *numbers;
};

struct lcce_request {
    struct cce_sign_request sign;
    struct lcce_request_arrays arrays;
    size_t room, query_count, header_count, number_count;
    bool lacks_room;
    struct cce_pair held_query[LCCE_REQUEST_HELD];
    struct cce_pair held_headers[LCCE_REQUEST_HELD];
    struct cce_bytes held_names[LCCE_REQUEST_HELD];
    struct lcce_number held_numbers[LCCE_REQUEST_HELD];
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
 * up to LCCE_REQUEST_OWN. Raises for wrong use. */
int lcce_request_read(lua_State *L, struct lcce_request *request);

/* The text of unix time that came from Lua. */
int lcce_request_date(lua_Number seconds, char text[CCE_DATE_LENGTH + 1],
                      struct cce_error *err);

#endif
