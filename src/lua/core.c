/*
 * core: luaopen_cce_core, the table that `require "cce.core"` returns.
 *
 * Each lXXX.c file adds its own functions with lcce_open_XXX(L), which finds
 * the module's table at the top of the stack and leaves it there.
 */
#include "lua/core.h"

#include "lua/lutil.h"

#define CCE_VERSION "0.2.0"

static const lua_CFunction openers[] = {
    lcce_open_secret,      lcce_open_sign,   lcce_open_certificate,
    lcce_open_operation,   lcce_open_engine, lcce_open_file,
    lcce_open_append_file, lcce_open_digest, lcce_open_encoding,
    lcce_open_sys,
};

__attribute__((visibility("default"))) int luaopen_cce_core(lua_State *L);

int luaopen_cce_core(lua_State *L)
{
    lua_newtable(L);
    lua_pushliteral(L, CCE_VERSION);
    lua_setfield(L, -2, "_VERSION");

    lua_newtable(L);
    for (int i = CCE_OK + 1; i < CCE_STATUS_COUNT; i++) {
        lua_pushstring(L, cce_status_text(i));
        lua_setfield(L, -2, cce_status_name(i));
    }
    lua_setfield(L, -2, "codes");

    /* JSON is lua-cjson's, on an instance of our own, which returns its errors
     * as nil, message. Its 14 digits suffice: no number of the API is longer.
     * It takes no NaN, Infinity or 0x10 for a number.
     */
    lua_getglobal(L, "require");
    lua_pushliteral(L, "cjson.safe");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "new");
    lua_remove(L, -2);
    lua_call(L, 0, 1);
    lua_getfield(L, -1, "decode_invalid_numbers");
    lua_pushboolean(L, false);
    lua_call(L, 1, 0);
    lua_setfield(L, -2, "json");

    for (size_t i = 0; i < sizeof openers / sizeof openers[0]; i++)
        openers[i](L);
    return 1;
}
