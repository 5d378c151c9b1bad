/*
 * lsecret: core.secret, core.secret_from_env, core.secret_from_file.
 *
 * The bytes never come back to Lua: a secret is only handed on to other
 * objects of this library.
 */
#include "lsecret.h"

#include <string.h>

#include "core.h"
#include "lutil.h"

static struct cce_secret *to_secret(lua_State *L, int index)
{
    return luaL_checkudata(L, index, LCCE_SECRET);
}

struct cce_secret *lcce_check_secret(lua_State *L, int index)
{
    struct cce_secret *secret = to_secret(L, index);

    if (secret->data == NULL)
        luaL_argerror(L, index, "closed secret");
    return secret;
}

struct cce_bytes lcce_option_secret(lua_State *L, const char *key)
{
    struct cce_secret *secret = luaL_testudata(L, -1, LCCE_SECRET);
    struct cce_bytes bytes = {NULL, 0};

    if (secret != NULL && secret->data == NULL)
        lcce_option_error(L, key, "closed secret");
    if (secret != NULL)
        return cce_secret_bytes(secret);
    if (lua_type(L, -1) != LUA_TSTRING)
        lcce_option_error(L, key, "string or cce.secret expected, got %s",
                          luaL_typename(L, -1));
    bytes.data = lua_tolstring(L, -1, &bytes.length);
    return bytes;
}

/* A string argument without a zero byte inside: a name, a path. */
static const char *check_name(lua_State *L, int index)
{
    size_t length;
    const char *name;

    luaL_checktype(L, index, LUA_TSTRING);
    name = lua_tolstring(L, index, &length);
    luaL_argcheck(L, length > 0 && strlen(name) == length, index,
                  "it is empty or has a zero byte inside");
    return name;
}

static struct cce_secret *new_secret(lua_State *L)
{
    return lcce_newobject(L, LCCE_SECRET, sizeof(struct cce_secret));
}

static int l_secret_new(lua_State *L)
{
    struct cce_bytes bytes;
    struct cce_error err;

    luaL_checktype(L, 1, LUA_TSTRING);
    bytes.data = lua_tolstring(L, 1, &bytes.length);
    if (cce_secret_init(new_secret(L), bytes, &err) != 0)
        return lcce_fail(L, &err);
    return 1;
}

static int l_secret_from_env(lua_State *L)
{
    const char *name = check_name(L, 1);
    struct cce_error err;

    if (cce_secret_from_env(new_secret(L), name, &err) != 0)
        return lcce_fail(L, &err);
    return 1;
}

static int l_secret_from_file(lua_State *L)
{
    const char *path = check_name(L, 1);
    struct cce_error err;

    if (cce_secret_from_file(new_secret(L), path, &err) != 0)
        return lcce_fail(L, &err);
    return 1;
}

static int l_secret_close(lua_State *L)
{
    cce_secret_cleanup(to_secret(L, 1));
    return 0;
}

static int l_secret_tostring(lua_State *L)
{
    to_secret(L, 1);
    lua_pushliteral(L, LCCE_SECRET ": ***");
    return 1;
}

int lcce_open_secret(lua_State *L)
{
    static const luaL_Reg methods[] = {{NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"secret", l_secret_new},
        {"secret_from_env", l_secret_from_env},
        {"secret_from_file", l_secret_from_file},
        {NULL, NULL},
    };

    lcce_newclass(L, LCCE_SECRET, methods, l_secret_close, l_secret_tostring);
    luaL_setfuncs(L, functions, 0);
    return 0;
}
