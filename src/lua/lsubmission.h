/*
 * lsubmission: how a request of core.operation becomes one on the wire:
 * address, headers, signature.
 */
#ifndef CCE_LUA_LSUBMISSION_H
#define CCE_LUA_LSUBMISSION_H

#include "core/endpoint.h"
#include "core/sign.h"
#include "lua/lengine.h"

enum { LCCE_MAX_HEADERS = 32, LCCE_MAX_QUERY = 64, LCCE_MAX_PARTS = 16 };

/* A body may be a list of strings, which are sent as they are, and secrets,
 * which are sent as strings of JSON: so no Lua string ever holds them. */
struct lcce_body_part {
    struct cce_bytes bytes;
    bool is_secret;
};

struct lcce_submission {
    struct cce_endpoint endpoint;
    enum cce_purpose purpose;
    struct lcce_body_part parts[LCCE_MAX_PARTS];
    size_t part_count;
    struct cce_bytes method, path, body, token;
    const char *endpoint_text;
    bool has_body, mutating, is_private, has_identity;
    struct cce_bytes ca, certificate, key;
    struct cce_signer *signer;
    struct cce_sign_work signing; /* the signature lies there when it is sent */
    char date[CCE_DATE_LENGTH + 1];
    double timeout, connect_timeout, depart_within, max_response, now;
    struct cce_pair query[LCCE_MAX_QUERY];
    size_t query_count;
    struct cce_pair headers[LCCE_MAX_HEADERS + 5];
    size_t header_count;
};

/* Reads the option table at `index`, which must stay until the submission was
 * started. Everything that can raise happens here, before anything is
 * acquired. */
void lcce_submission_read(lua_State *L, int index, struct lcce_submission *s);

/* From there to the wire; no Lua, nothing raises. What was acquired when it
 * fails lies in `to`. */
int lcce_submission_start(const struct lcce_engine_box *box,
                          struct lcce_submission *s,
                          struct lcce_transfer_box *to, struct cce_error *err);

#endif
