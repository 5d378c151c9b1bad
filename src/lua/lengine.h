/*
 * lengine: what the bindings of the engine (lengine), of its transfers
 * (ltransfer) and of append files need of one another.
 */
#ifndef CCE_LUA_LENGINE_H
#define CCE_LUA_LENGINE_H

#include "lua/lcompat.h"
#include "net/engine.h"
#include "net/engine_thread.h"

#define LCCE_TRANSFER "cce.transfer"

/* One of the two: driven by the caller, or by a thread of its own. */
struct lcce_engine_box {
    struct cce_engine *engine;
    struct cce_thread *thread;
};

/* The same two kinds. While calls read the answer, a close leaves it to the
 * last of them to free: what they push may run a finalizer, which closes. */
struct lcce_transfer_box {
    struct cce_transfer *transfer;
    struct cce_job *job;
    unsigned readers;
    bool closed;
};

/* The thread of the engine at `index`; raises when it is none, or has none. */
struct cce_thread *lcce_check_thread(lua_State *L, int index);

/* Raises for what is no transfer, or is closed. */
struct lcce_transfer_box *lcce_check_transfer(lua_State *L, int index);

bool lcce_transfer_is_finished(const struct lcce_transfer_box *box);

/* The method transfer:result([is_private]). */
int lcce_transfer_result(lua_State *L);

/* Registers the class. */
void lcce_open_transfer(lua_State *L);

#endif
