/* lsign: how other bindings get at the signer inside a cce.signer. */
#ifndef CCE_LUA_LSIGN_H
#define CCE_LUA_LSIGN_H

#include "core/sign.h"
#include "lua/lcompat.h"

#define LCCE_SIGNER "cce.signer"

/* The open signer at `index`; raises for another type or a closed one. It
 * lives as long as the userdata, until someone closes it. */
struct cce_signer *lcce_check_signer(lua_State *L, int index);

#endif
