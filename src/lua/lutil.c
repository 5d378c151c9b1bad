#include "lua/lutil.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int lcce_fail(lua_State *L, const struct cce_error *err)
{
    lua_pushnil(L);
    lua_pushstring(L, err->message);
    lua_pushstring(L, cce_status_name(err->code));
    return 3;
}

static int default_tostring(lua_State *L)
{
    lua_getmetatable(L, 1);
    lua_getfield(L, -1, "__name");
    lua_pushfstring(L, "%s: %p", lua_tostring(L, -1), lua_touserdata(L, 1));
    return 1;
}

void lcce_newclass(lua_State *L, const char *name, const luaL_Reg *methods,
                   lua_CFunction finalize, lua_CFunction tostring)
{
    luaL_newmetatable(L, name);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pushcfunction(L, finalize);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, finalize);
    lua_setfield(L, -2, "__close");
    lua_pushcfunction(L, tostring != NULL ? tostring : default_tostring);
    lua_setfield(L, -2, "__tostring");
    /* No script gets at __gc, or at the class of another object. */
    lua_pushliteral(L, "protected");
    lua_setfield(L, -2, "__metatable");
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_pushcfunction(L, finalize);
    lua_setfield(L, -2, "close");
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

void *lcce_newobject(lua_State *L, const char *name, size_t size)
{
    void *object = lua_newuserdata(L, size);

    memset(object, 0, size);
    luaL_getmetatable(L, name);
    lua_setmetatable(L, -2);
    return object;
}

const char *lcce_check_text(lua_State *L, int index)
{
    size_t length;
    const char *text = luaL_checklstring(L, index, &length);

    luaL_argcheck(L, strlen(text) == length, index,
                  "it has a zero byte inside");
    return text;
}

int lcce_option_error(lua_State *L, const char *field, const char *format, ...)
{
    char message[256];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return luaL_error(L, "bad option '%s' (%s)", field, message);
}

void lcce_options(lua_State *L, int index, lcce_option_visitor *visit,
                  void *context)
{
    index = lua_absindex(L, index);
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        /* lua_tostring would turn a number into a string in its place, which
         * lua_next could not go on from. */
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "an option's name must be a string, not a %s",
                       luaL_typename(L, -2));
        if (!visit(L, lua_tostring(L, -2), context))
            luaL_error(L, "unknown option '%s'", lua_tostring(L, -2));
        lua_pop(L, 1);
    }
}

struct cce_bytes lcce_to_bytes(lua_State *L, int index)
{
    struct cce_bytes bytes;

    bytes.data = lua_tolstring(L, index, &bytes.length);
    return bytes;
}

const char *lcce_option_string(lua_State *L, const char *key)
{
    size_t length;
    const char *string;

    if (lua_type(L, -1) != LUA_TSTRING)
        lcce_option_error(L, key, "string expected, got %s",
                          luaL_typename(L, -1));
    string = lua_tolstring(L, -1, &length);
    if (strlen(string) != length)
        lcce_option_error(L, key, "it has a zero byte inside");
    return string;
}

bool lcce_option_boolean(lua_State *L, const char *key)
{
    if (lua_type(L, -1) != LUA_TBOOLEAN)
        lcce_option_error(L, key, "boolean expected, got %s",
                          luaL_typename(L, -1));
    return lua_toboolean(L, -1);
}

lua_Number lcce_option_number(lua_State *L, const char *key)
{
    if (lua_type(L, -1) != LUA_TNUMBER)
        lcce_option_error(L, key, "number expected, got %s",
                          luaL_typename(L, -1));
    return lua_tonumber(L, -1);
}
