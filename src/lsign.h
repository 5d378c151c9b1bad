/* lsign: how other bindings get at the signer inside a cce.signer. */
#ifndef CCE_LSIGN_H
#define CCE_LSIGN_H

#include "lcompat.h"
#include "sign.h"

#define LCCE_SIGNER "cce.signer"

/* The open signer at `index`; raises for another type or a closed one. It
 * lives as long as the userdata, until someone closes it. */
struct cce_signer *lcce_check_signer(lua_State *L, int index);

#endif
