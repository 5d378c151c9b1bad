/*
 * lsubmission: what engine:submit is given, and how it reaches the engine.
 */
#ifndef CCE_LUA_LSUBMISSION_H
#define CCE_LUA_LSUBMISSION_H

#include "lua/lengine.h"
#include "lua/lrequest.h"

struct lcce_submission {
    struct lcce_request request; /* the first; the rest is read anew with it */
    struct cce_request_spec spec;
    bool mutating, is_private, has_identity, system_ca;
    struct cce_bytes ca, certificate, key;
    const char *server_name, *identity_proxy;
    double timeout, connect_timeout, depart_within, max_response;
    char now[CCE_DATE_LENGTH + 1];
};

/* Reads the option table at LCCE_REQUEST_SPEC, which must stay until the
 * submission was started; the stack reaches up to LCCE_REQUEST_OWN. All that
 * can raise happens here, before anything is acquired. */
int lcce_submission_read(lua_State *L, struct lcce_submission *s,
                         struct cce_error *err);

/* From there to the wire; no Lua, nothing raises. What was acquired when it
 * fails lies in `to`. */
int lcce_submission_start(const struct lcce_engine_box *box,
                          struct lcce_submission *s,
                          struct lcce_transfer_box *to, struct cce_error *err);

#endif
