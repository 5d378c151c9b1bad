/*
 * lcompat: one C source for Lua 5.1 to 5.5 and LuaJIT.
 *
 * Code is written for Lua 5.3; what an older one lacks is here. Only core.c,
 * the l*.c bindings and this file include lua.h.
 */
#ifndef CCE_LUA_LCOMPAT_H
#define CCE_LUA_LCOMPAT_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#if LUA_VERSION_NUM < 502
#define lua_rawlen(L, index) lua_objlen(L, index)
#define lua_absindex(L, index)                   \
    ((index) > 0 || (index) <= LUA_REGISTRYINDEX \
         ? (index)                               \
         : lua_gettop(L) + (index) + 1)

/* LuaJIT has this one, under the same name; ours must not collide. */
#define luaL_setfuncs(L, list, upvalues) lcce_setfuncs(L, list, upvalues)
static inline void lcce_setfuncs(lua_State *L, const luaL_Reg *list,
                                 int upvalues)
{
    for (; list->name != NULL; list++) {
        for (int i = 0; i < upvalues; i++)
            lua_pushvalue(L, -upvalues);
        lua_pushcclosure(L, list->func, upvalues);
        lua_setfield(L, -(upvalues + 2), list->name);
    }
    lua_pop(L, upvalues);
}

#define luaL_testudata(L, index, name) lcce_testudata(L, index, name)
static inline void *lcce_testudata(lua_State *L, int index, const char *name)
{
    void *object = lua_touserdata(L, index);

    if (object == NULL || !lua_getmetatable(L, index))
        return NULL;
    luaL_getmetatable(L, name);
    if (!lua_rawequal(L, -1, -2))
        object = NULL;
    lua_pop(L, 2);
    return object;
}
#endif

/* The one table that belongs to a userdata, for what it must keep alive.
 * get pushes it (nil when none was set); set pops it. */
#if LUA_VERSION_NUM < 502
#define lcce_getuservalue(L, index) lua_getfenv(L, index)
#define lcce_setuservalue(L, index) lua_setfenv(L, index)
#elif LUA_VERSION_NUM < 504
#define lcce_getuservalue(L, index) lua_getuservalue(L, index)
#define lcce_setuservalue(L, index) lua_setuservalue(L, index)
#else
#define lcce_getuservalue(L, index) lua_getiuservalue(L, index, 1)
#define lcce_setuservalue(L, index) lua_setiuservalue(L, index, 1)
#endif

/* A macro of 5.4 for what came before it. */
#if LUA_VERSION_NUM >= 504 && !defined(lua_newuserdata)
#define lua_newuserdata(L, size) lua_newuserdatauv(L, size, 1)
#endif

#endif
