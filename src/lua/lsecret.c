/*
 * lsecret: core.secret, core.secret_from_env, core.secret_from_file.
 *
 * The bytes never come back to Lua: a secret is only handed on to other
 * objects of this library. A secret that is a whole JSON or INI text (an
 * answer, a profile file) gives out its parts: as secrets of their own, or, for
 * those that are none (the id of a key, a date), as strings.
 */
#include "lua/lsecret.h"

#include <string.h>

#include "core/field.h"
#include "core/ini.h"
#include "lua/core.h"
#include "lua/lutil.h"
#include "os/file/secret_file.h"

static struct cce_secret *to_secret(lua_State *L, int index)
{
    return luaL_checkudata(L, index, LCCE_SECRET);
}

/* The open secret at `index`; raises for another type or a closed one. */
static struct cce_secret *check_open(lua_State *L, int index)
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

/* A new userdata may run finalizers, and these close anything: so it comes
 * before the secret that is looked at, here and below. */
static int l_secret_new(lua_State *L)
{
    struct cce_secret *secret;
    struct cce_bytes bytes;
    struct cce_error err;

    lua_settop(L, 1);
    secret = new_secret(L);
    if (lua_isuserdata(L, 1)) {
        bytes = cce_secret_bytes(check_open(L, 1));
    } else {
        luaL_checktype(L, 1, LUA_TSTRING);
        bytes.data = lua_tolstring(L, 1, &bytes.length);
    }
    if (cce_secret_init(secret, bytes, &err) != 0)
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

static int l_secret_from_private_file(lua_State *L)
{
    const char *path = check_name(L, 1);
    struct cce_error err;

    if (cce_secret_from_private_file(new_secret(L), path, &err) != 0)
        return lcce_fail(L, &err);
    return 1;
}

/* ---- parts: secret:part("json", name, …), secret:part("ini", section, key) */

enum { MAX_NAMES = 8 };

struct part {
    struct cce_bytes text;
    const char *names[MAX_NAMES];
    size_t count;
    bool is_json;
};

/* All that raises, before anything is acquired. The arguments reach up to
 * `top`. The names come first: a number among them becomes a string. */
static void check_part(lua_State *L, int top, struct part *part)
{
    static const char *const formats[] = {"json", "ini", NULL};

    part->is_json = luaL_checkoption(L, 2, NULL, formats) == 0;
    part->count = (size_t)(top - 2);
    luaL_argcheck(L, top > 2 && top <= MAX_NAMES + 2, 3, "names expected");
    luaL_argcheck(L, part->is_json || part->count == 2, 3,
                  "a section and a key expected");
    for (int i = 3; i <= top; i++)
        part->names[i - 3] = check_name(L, i);
    part->text = cce_secret_bytes(check_open(L, 1));
}

static bool find_part(const struct part *part, struct cce_buf *out)
{
    if (part->is_json)
        return cce_field_json(part->text, part->names, part->count, out);
    return cce_ini_value(part->text, part->names[0], part->names[1], out);
}

/* nil when there is none, or an empty one */
static int l_secret_part(lua_State *L)
{
    struct part part;
    struct cce_buf found;
    struct cce_bytes bytes;
    int top = lua_gettop(L);
    struct cce_secret *secret = new_secret(L);
    struct cce_error err = {CCE_OK, ""};
    bool present;

    check_part(L, top, &part);
    cce_buf_init(&found, CCE_SECRET_MAX);
    present = find_part(&part, &found) && found.length > 0;
    bytes.data = found.data;
    bytes.length = found.length;
    if (found.failed)
        cce_fail_memory(&err);
    else if (present)
        cce_secret_init(secret, bytes, &err);
    cce_buf_cleanup(&found);
    if (err.code != CCE_OK)
        return lcce_fail(L, &err);
    if (!present)
        lua_pushnil(L);
    return 1;
}

/* secret:check_ini(section or nil) -> true | nil, message, code */
static int l_secret_check_ini(lua_State *L)
{
    const char *section = lua_isnoneornil(L, 2) ? NULL : check_name(L, 2);
    struct cce_bytes text = cce_secret_bytes(check_open(L, 1));
    struct cce_error err;

    if (cce_ini_check(text, section, &err) != 0)
        return lcce_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* key_problem(string or secret) -> nil | why it cannot be a key */
static int l_key_problem(lua_State *L)
{
    lua_settop(L, 1);
    lua_pushstring(L, cce_key_problem(lcce_option_secret(L, "key")));
    return 1;
}

/* A short one only, since pushing it may raise: it lies on the stack. */
static int l_secret_text(lua_State *L)
{
    char memory[1024];
    struct part part;
    struct cce_buf found;

    check_part(L, lua_gettop(L), &part);
    cce_buf_init_fixed(&found, memory, sizeof memory, sizeof memory - 1);
    if (!find_part(&part, &found) || found.failed || found.length == 0) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushlstring(L, found.data, found.length);
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
    static const luaL_Reg methods[] = {
        {"check_ini", l_secret_check_ini},
        {"part", l_secret_part},
        {"text", l_secret_text},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"key_problem", l_key_problem},
        {"secret", l_secret_new},
        {"secret_from_env", l_secret_from_env},
        {"secret_from_file", l_secret_from_file},
        {"secret_from_private_file", l_secret_from_private_file},
        {NULL, NULL},
    };

    lcce_newclass(L, LCCE_SECRET, methods, l_secret_close, l_secret_tostring);
    luaL_setfuncs(L, functions, 0);
    return 0;
}
