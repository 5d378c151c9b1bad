/* core: the openers of the bindings, one a l*.c file. */
#ifndef CCE_LUA_CORE_H
#define CCE_LUA_CORE_H

#include "lua/lcompat.h"

int lcce_open_secret(lua_State *L);
int lcce_open_sign(lua_State *L);
int lcce_open_certificate(lua_State *L);
int lcce_open_operation(lua_State *L);
int lcce_open_engine(lua_State *L);
int lcce_open_digest(lua_State *L);
int lcce_open_encoding(lua_State *L);
int lcce_open_file(lua_State *L);
int lcce_open_append_file(lua_State *L);
int lcce_open_sys(lua_State *L);

#endif
