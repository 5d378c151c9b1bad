/* lsecret: what other bindings do with a cce.secret. */
#ifndef CCE_LUA_LSECRET_H
#define CCE_LUA_LSECRET_H

#include "core/secret.h"
#include "lua/lcompat.h"

#define LCCE_SECRET "cce.secret"

/* The value at the top of the stack for option `key`: a string or an open
 * secret, else raises. Good as long as the value lives and is not closed. */
struct cce_bytes lcce_option_secret(lua_State *L, const char *key);

#endif
