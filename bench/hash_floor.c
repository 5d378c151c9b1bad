/*
 * hash_floor: the least that the hashes of a signature cost from Lua.
 *
 * A bare binding of two hashes, on digests that were fetched before and an HMAC
 * whose pads were hashed before: floor:sha256(data) and floor:hmac(data) return
 * hex. floor:sign(body, canonical, to_sign) does all the hashes of one
 * SDK-HMAC-SHA256 signature in a single call. They read and build no request,
 * and check and wipe nothing of one. bench/rows/signing.lua compares
 * signer:sign with both.
 */
#include <lauxlib.h>
#include <lua.h>
#include <openssl/evp.h>
#include <string.h>

#define FLOOR "hash_floor"

enum { BLOCK = 64, HASH = 32 };

struct floor {
    EVP_MD *sha256;
    EVP_MD_CTX *scratch, *inner, *outer;
};

static void hash(struct floor *floor, const char *data, size_t length,
                 unsigned char result[HASH])
{
    EVP_DigestInit_ex2(floor->scratch, floor->sha256, NULL);
    EVP_DigestUpdate(floor->scratch, data, length);
    EVP_DigestFinal_ex(floor->scratch, result, NULL);
}

static void hash_after(struct floor *floor, const EVP_MD_CTX *pad,
                       const void *data, size_t length,
                       unsigned char result[HASH])
{
    EVP_MD_CTX_copy_ex(floor->scratch, pad);
    EVP_DigestUpdate(floor->scratch, data, length);
    EVP_DigestFinal_ex(floor->scratch, result, NULL);
}

static void to_hex(const unsigned char bytes[HASH], char hex[2 * HASH])
{
    for (int i = 0; i < HASH; i++) {
        hex[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
}

static int l_floor_sha256(lua_State *L)
{
    struct floor *floor = luaL_checkudata(L, 1, FLOOR);
    unsigned char result[HASH];
    char hex[2 * HASH];
    size_t length;
    const char *data = luaL_checklstring(L, 2, &length);

    hash(floor, data, length, result);
    to_hex(result, hex);
    lua_pushlstring(L, hex, sizeof hex);
    return 1;
}

static int l_floor_hmac(lua_State *L)
{
    struct floor *floor = luaL_checkudata(L, 1, FLOOR);
    unsigned char result[HASH], inner[HASH];
    char hex[2 * HASH];
    size_t length;
    const char *data = luaL_checklstring(L, 2, &length);

    hash_after(floor, floor->inner, data, length, inner);
    hash_after(floor, floor->outer, inner, HASH, result);
    to_hex(result, hex);
    lua_pushlstring(L, hex, sizeof hex);
    return 1;
}

static int l_floor_sign(lua_State *L)
{
    struct floor *floor = luaL_checkudata(L, 1, FLOOR);
    unsigned char result[HASH], inner[HASH];
    char hex[3][2 * HASH];
    size_t length;
    const char *data = luaL_checklstring(L, 2, &length);

    hash(floor, data, length, result);
    to_hex(result, hex[0]);
    data = luaL_checklstring(L, 3, &length);
    hash(floor, data, length, result);
    to_hex(result, hex[1]);
    data = luaL_checklstring(L, 4, &length);
    hash_after(floor, floor->inner, data, length, inner);
    hash_after(floor, floor->outer, inner, HASH, result);
    to_hex(result, hex[2]);
    if (memcmp(hex[1], data + length - 2 * HASH, 2 * HASH) != 0)
        return luaL_error(L, "the string to sign is of another request");
    lua_pushlstring(L, hex[2], 2 * HASH);
    return 1;
}

static EVP_MD_CTX *new_pad(struct floor *floor, const char *key, size_t length,
                           unsigned char mask)
{
    EVP_MD_CTX *pad = EVP_MD_CTX_new();
    unsigned char block[BLOCK];

    memset(block, mask, sizeof block);
    for (size_t i = 0; i < length; i++)
        block[i] ^= (unsigned char)key[i];
    EVP_DigestInit_ex2(pad, floor->sha256, NULL);
    EVP_DigestUpdate(pad, block, sizeof block);
    return pad;
}

static int l_floor_new(lua_State *L)
{
    size_t length;
    const char *key = luaL_checklstring(L, 1, &length);
    struct floor *floor;

    luaL_argcheck(L, length <= BLOCK, 1, "at most 64 bytes");
    floor = lua_newuserdata(L, sizeof *floor);
    memset(floor, 0, sizeof *floor);
    luaL_getmetatable(L, FLOOR);
    lua_setmetatable(L, -2);
    floor->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    floor->scratch = EVP_MD_CTX_new();
    floor->inner = new_pad(floor, key, length, 0x36);
    floor->outer = new_pad(floor, key, length, 0x5c);
    return 1;
}

static int l_floor_gc(lua_State *L)
{
    struct floor *floor = luaL_checkudata(L, 1, FLOOR);

    EVP_MD_CTX_free(floor->scratch);
    EVP_MD_CTX_free(floor->inner);
    EVP_MD_CTX_free(floor->outer);
    EVP_MD_free(floor->sha256);
    memset(floor, 0, sizeof *floor);
    return 0;
}

__attribute__((visibility("default"))) int luaopen_hash_floor(lua_State *L);

int luaopen_hash_floor(lua_State *L)
{
    luaL_newmetatable(L, FLOOR);
    lua_pushcfunction(L, l_floor_gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    lua_pushcfunction(L, l_floor_sha256);
    lua_setfield(L, -2, "sha256");
    lua_pushcfunction(L, l_floor_hmac);
    lua_setfield(L, -2, "hmac");
    lua_pushcfunction(L, l_floor_sign);
    lua_setfield(L, -2, "sign");
    lua_setfield(L, -2, "__index");
    lua_newtable(L);
    lua_pushcfunction(L, l_floor_new);
    lua_setfield(L, -2, "new");
    return 1;
}
