/* lengine: what other bindings need of core.engine. */
#ifndef CCE_LENGINE_H
#define CCE_LENGINE_H

#include "engine_thread.h"
#include "lcompat.h"

/* The thread of the engine at `index`; raises when it is none, or has none. */
struct cce_thread *lcce_check_thread(lua_State *L, int index);

#endif
