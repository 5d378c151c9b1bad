/*
 * ldigest: core.sha256(data [, key]) for what is kept in files: the hash as
 * lower-case hex, or the HMAC when there is a key (a string or a cce.secret).
 */
#include "core/digest.h"
#include "lua/core.h"
#include "lua/lsecret.h"
#include "lua/lutil.h"

/* The key is looked at last: a number as data becomes a string first, which may
 * run a finalizer that closes the key. */
static int l_sha256(lua_State *L)
{
    unsigned char hash[CCE_DIGEST_SIZE];
    char hex[CCE_DIGEST_HEX];
    struct cce_digest digest;
    struct cce_error err;
    struct cce_bytes data, key = {NULL, 0};
    int result;

    data.data = luaL_checklstring(L, 1, &data.length);
    lua_settop(L, 2);
    if (!lua_isnil(L, 2))
        key = lcce_option_secret(L, "key");
    result = cce_digest_init(&digest, CCE_DIGEST_SHA256, &err);
    if (result == 0)
        result = lua_isnil(L, 2)
                     ? cce_digest_hash(&digest, data, hash, &err)
                     : cce_digest_hmac_once(&digest, key, data, hash, &err);
    cce_digest_cleanup(&digest);
    if (result != 0)
        return lcce_fail(L, &err);
    cce_digest_hex(hash, hex);
    lua_pushlstring(L, hex, sizeof hex);
    return 1;
}

int lcce_open_digest(lua_State *L)
{
    lua_pushcfunction(L, l_sha256);
    lua_setfield(L, -2, "sha256");
    return 0;
}
