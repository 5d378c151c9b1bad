/*
 * lrequest: a request, read from its table in Lua: one to be signed
 * (signer:sign), what changes of one that was prepared (prepared:sign), or one
 * to be sent (engine:submit, see lsubmission).
 *
 * It is read into arrays on the C stack, and points into strings and secrets
 * that the table keeps alive. Nothing is allocated on the way: an allocation
 * may run finalizers, and these may close any object and change any table. A
 * request that is larger than the arrays is read anew, into larger ones. So no
 * Lua code may run between the reading and the use of what was read.
 */
#ifndef CCE_LUA_LREQUEST_H
#define CCE_LUA_LREQUEST_H

#include "core/wire/request.h"
#include "lua/lutil.h"

/* Where things stand on the stack of a method that reads a request. */
enum {
    LCCE_REQUEST_SPEC = 2,   /* the argument */
    LCCE_REQUEST_RESULT = 3, /* of signer:sign, the table of headers to send */
    LCCE_REQUEST_HOST = 4,   /* the spec's host, for signer:sign */
    LCCE_REQUEST_ANCHOR = 5, /* the larger arrays, or nil */
    LCCE_REQUEST_OWN = 6     /* what the method itself keeps there, or nil */
};

/* Parameters that need no userdata. */
enum { LCCE_REQUEST_HELD = 16 };

/* A whole number in a query, as text. */
struct lcce_number {
    char text[24];
};

struct lcce_request {
    struct cce_sign_request sign;
    struct cce_pair headers[CCE_HTTP_HEADERS_MAX];
    struct cce_bytes signed_headers[CCE_HTTP_HEADERS_MAX];
    struct cce_pair query_held[LCCE_REQUEST_HELD];
    struct lcce_number numbers_held[LCCE_REQUEST_HELD];
    struct lcce_number *numbers; /* as many as parameters, at most */
    size_t number_count, query_capacity;
    bool lacks_room;
    char date[CCE_DATE_LENGTH + 1];
    bool wants_headers; /* in the table at LCCE_REQUEST_RESULT */
    /* Of changes: to what, and what fills the places of its path (zeros: not
     * given). The caller that sets `prepared` zeroes `ids`. */
    const struct cce_sign_prepared *prepared;
    struct cce_bytes ids[CCE_SIGN_PLACES_MAX];
    /* Of a request that is sent: its body in parts, and what else its table
     * holds. The visitor reads the value at the top of the stack for `key`;
     * false for a name that it does not know. A key of NULL: forget what was
     * read, it is read anew. NULL for signing. */
    struct cce_request_part parts[CCE_REQUEST_PARTS_MAX];
    size_t part_count;
    bool holds_secret; /* a header or a part of the body is one */
    lcce_option_visitor *visit;
    void *context;
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
