/*
 * lencoding: core.to_base64(bytes) and core.from_base64(text), for services
 * that put any bytes into JSON. Both work in memory that Lua owns, so that
 * nothing is lost when making the string raises.
 */
#include "core/base64.h"
#include "lua/core.h"
#include "lua/lutil.h"

/* A buffer of exactly `size` bytes, on the stack as a userdata. */
static void new_buffer(lua_State *L, struct cce_buf *buf, size_t size)
{
    char *memory = lua_newuserdata(L, size + 1);

    cce_buf_init_fixed(buf, memory, size + 1, size);
}

static int l_to_base64(lua_State *L)
{
    struct cce_buf out;
    size_t length;
    const char *bytes = luaL_checklstring(L, 1, &length);

    new_buffer(L, &out, cce_base64_length(length));
    cce_base64_encode(bytes, length, &out);
    lua_pushlstring(L, out.data, out.length);
    return 1;
}

/* nil, message, code for what is no Base64 */
static int l_from_base64(lua_State *L)
{
    struct cce_buf out;
    struct cce_error err;
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);

    new_buffer(L, &out, length / 4 * 3 + 3);
    if (cce_base64_decode(text, length, &out, &err) != 0)
        return lcce_fail(L, &err);
    lua_pushlstring(L, out.data, out.length);
    return 1;
}

int lcce_open_encoding(lua_State *L)
{
    lua_pushcfunction(L, l_to_base64);
    lua_setfield(L, -2, "to_base64");
    lua_pushcfunction(L, l_from_base64);
    lua_setfield(L, -2, "from_base64");
    return 0;
}
