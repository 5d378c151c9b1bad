/*
 * lcertificate: core.certificate, core.key_matches and core.issued_by.
 */
#include <string.h>

#include "core/x509/certificate_facts.h"
#include "core/x509/pem.h"
#include "lua/core.h"
#include "lua/lutil.h"

#define CLASS "cce.certificate_reader"

/* Everything that is held during a call sits in one userdata, so that an error
 * raised by Lua on the way (memory) leaks nothing. */
struct reader {
    struct cce_certificate certificate;
    struct cce_certificate_key key;
    struct cce_certificate_facts facts;
};

static int l_reader_gc(lua_State *L)
{
    struct reader *reader = luaL_checkudata(L, 1, CLASS);

    cce_certificate_cleanup(&reader->certificate);
    cce_certificate_key_cleanup(&reader->key);
    cce_certificate_facts_cleanup(&reader->facts);
    return 0;
}

/* Frees a reader at once, not at some later collection. */
static void close_reader(lua_State *L, int index)
{
    lua_pushcfunction(L, l_reader_gc);
    lua_pushvalue(L, index);
    lua_call(L, 1, 0);
}

/* ===== Kubeconfigs ===== */

/* Pushes t[key] for the value at the top, nil when that is no table. */
static void push_member(lua_State *L, const char *key)
{
    if (lua_istable(L, -1)) {
        lua_pushstring(L, key);
        lua_rawget(L, -2);
    } else
        lua_pushnil(L);
}

/* Replaces the value at the top by its member. */
static void into_member(lua_State *L, const char *key)
{
    push_member(L, key);
    lua_remove(L, -2);
}

/* Replaces the list at the top by the entry whose name is the string at
 * `name`, or nil. */
static void into_named(lua_State *L, int name)
{
    int count = lua_istable(L, -1) ? (int)lua_rawlen(L, -1) : 0;

    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        push_member(L, "name");
        if (lua_type(L, -1) == LUA_TSTRING && lua_rawequal(L, -1, name)) {
            lua_pop(L, 1);
            lua_remove(L, -2);
            return;
        }
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
    lua_pushnil(L);
}

/* Pushes the "user" object of the kubeconfig at `index`, or nil. */
static void push_user(lua_State *L, int index)
{
    int name = lua_gettop(L) + 1;

    /* The user that the current context names. */
    lua_pushvalue(L, index);
    into_member(L, "current-context");
    lua_pushvalue(L, index);
    into_member(L, "contexts");
    into_named(L, name);
    into_member(L, "context");
    into_member(L, "user");
    lua_replace(L, name);
    lua_pushvalue(L, index);
    into_member(L, "users");
    into_named(L, name);
    lua_remove(L, name);

    /* Without such a user, the first one. */
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushvalue(L, index);
        into_member(L, "users");
        if (lua_istable(L, -1))
            lua_rawgeti(L, -1, 1);
        else
            lua_pushnil(L);
        lua_remove(L, -2);
    }
    into_member(L, "user");
}

/* Decodes the JSON at `index` and replaces the certificate at `index` and the
 * key at index + 1 by those of its user. */
static int open_kubeconfig(lua_State *L, int index, struct cce_error *err)
{
    int top = lua_gettop(L);

    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, index);
    lua_call(L, 1, 1);
    if (!lua_istable(L, -1))
        return cce_fail(err, CCE_INVALID_CERTIFICATE,
                        "the kubeconfig is not valid JSON");
    push_user(L, top + 1);
    push_member(L, "client-certificate-data");
    if (lua_type(L, -1) != LUA_TSTRING)
        return cce_fail(err, CCE_INVALID_CERTIFICATE,
                        "the kubeconfig's user has no "
                        "client-certificate-data");
    lua_replace(L, index);
    push_member(L, "client-key-data");
    if (lua_type(L, -1) == LUA_TSTRING)
        lua_replace(L, index + 1);
    lua_settop(L, top);
    return 0;
}

/* Neither PEM nor Base64 nor DER begins like JSON. */
static bool is_json(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '{';
}

/* ===== Facts ===== */

static void set_buf(lua_State *L, const char *key, const struct cce_buf *buf)
{
    lua_pushlstring(L, buf->data != NULL ? buf->data : "", buf->length);
    lua_setfield(L, -2, key);
}

static void set_time(lua_State *L, const char *key, int64_t seconds)
{
#if LUA_VERSION_NUM >= 503
    lua_pushinteger(L, seconds);
#else /* its integers may have 32 bits */
    lua_pushnumber(L, (lua_Number)seconds);
#endif
    lua_setfield(L, -2, key);
}

static void push_facts(lua_State *L, const struct cce_certificate_facts *facts)
{
    const char *name = facts->organizations.data;
    const char *end = name != NULL ? name + facts->organizations.length : name;

    lua_newtable(L);
    if (facts->user_id.length > 0)
        set_buf(L, "user_id", &facts->user_id);
    lua_newtable(L);
    for (int i = 1; name < end; i++, name += strlen(name) + 1) {
        lua_pushstring(L, name);
        lua_rawseti(L, -2, i);
    }
    lua_setfield(L, -2, "organizations");
    set_buf(L, "subject", &facts->subject);
    set_buf(L, "issuer", &facts->issuer);
    set_buf(L, "serial", &facts->serial);
    set_time(L, "not_before", facts->not_before);
    set_time(L, "not_after", facts->not_after);
    lua_pushstring(L, facts->sha256);
    lua_setfield(L, -2, "sha256");
}

/* ===== Functions ===== */

/* Reads the certificate at `index` and, unless nil, the key after it. */
static int read_texts(lua_State *L, int index, struct reader *reader,
                      struct cce_error *err)
{
    size_t length;
    const char *text = lua_tolstring(L, index, &length);

    if (cce_certificate_parse(text, length, &reader->certificate, err) != 0)
        return -1;
    if (lua_isnil(L, index + 1))
        return 0;
    text = lua_tolstring(L, index + 1, &length);
    return cce_certificate_parse_key(text, length, &reader->key, err);
}

/*** The facts of a certificate.
The first certificate of the text counts. Texts in the result are UTF-8 and safe
to print: control characters appear as `\XX`.
@function certificate
@tparam string text PEM, DER or Base64 of either; or a kubeconfig as JSON, of
which the current context's user counts, else the first
@tparam[opt] string key the private key (PEM, DER or Base64 of either), for
`key_matches`. A kubeconfig's own key is used instead where it has one
@treturn table `user_id` (the CN; nil when there is none, there are several, or
it has control characters), `organizations` (array), `subject`, `issuer`,
`serial` and `sha256` (hexadecimal), `not_before` and `not_after` (unix
seconds), and `key_matches` (boolean) when there is a key
@treturn[2] nil
@treturn[2] string what is wrong
@treturn[2] string INVALID_CERTIFICATE, INVALID_KEY (an encrypted key, too) or
NO_MEMORY
@usage
local facts = assert(core.certificate(pem))
print(facts.user_id, os.date("!%F", facts.not_after))
*/
static int l_certificate(lua_State *L)
{
    struct reader *reader;
    struct cce_error err;
    bool matches = false;
    int result;

    luaL_checktype(L, 1, LUA_TSTRING);
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TSTRING);
    lua_settop(L, 2);
    if (is_json(lua_tostring(L, 1)) && open_kubeconfig(L, 1, &err) != 0)
        return lcce_fail(L, &err);

    reader = lcce_newobject(L, CLASS, sizeof *reader);
    result = read_texts(L, 1, reader, &err);
    if (result == 0)
        result = cce_certificate_facts_read(&reader->certificate,
                                            &reader->facts, &err);
    if (result == 0 && reader->key.pkey != NULL)
        result = cce_certificate_key_matches(&reader->certificate, &reader->key,
                                             &matches, &err);
    if (result != 0) {
        close_reader(L, 3);
        return lcce_fail(L, &err);
    }
    push_facts(L, &reader->facts);
    if (reader->key.pkey != NULL) {
        lua_pushboolean(L, matches);
        lua_setfield(L, -2, "key_matches");
    }
    close_reader(L, 3);
    return 1;
}

/*** Whether a private key belongs to a certificate.
@function key_matches
@tparam string certificate PEM, DER or Base64 of either
@tparam string key the same
@treturn boolean
@treturn[2] nil
@treturn[2] string what is wrong
@treturn[2] string INVALID_CERTIFICATE, INVALID_KEY (an encrypted key, too) or
NO_MEMORY
@usage
assert(core.key_matches(certificate_pem, key_pem) == true)
*/
static int l_key_matches(lua_State *L)
{
    struct reader *reader;
    struct cce_error err;
    bool matches = false;
    int result;

    luaL_checktype(L, 1, LUA_TSTRING);
    luaL_checktype(L, 2, LUA_TSTRING);
    lua_settop(L, 2);
    reader = lcce_newobject(L, CLASS, sizeof *reader);
    result = read_texts(L, 1, reader, &err);
    if (result == 0)
        result = cce_certificate_key_matches(&reader->certificate, &reader->key,
                                             &matches, &err);
    close_reader(L, 3);
    if (result != 0)
        return lcce_fail(L, &err);
    lua_pushboolean(L, matches);
    return 1;
}

static int parse_at(lua_State *L, int index, int text, struct cce_error *err)
{
    struct reader *reader = lua_touserdata(L, index);
    size_t length;
    const char *bytes = lua_tolstring(L, text, &length);

    return cce_certificate_parse(bytes, length, &reader->certificate, err);
}

/*** Whether a CA issued a certificate, at once or by way of others that stand
in the certificate's text. Both are trusted to be valid at that time only.
@function issued_by
@tparam string certificate as for `certificate`
@tparam string ca one CA or several: PEM, DER or Base64 of either
@tparam number at unix time
@treturn boolean
@treturn[2] nil
@treturn[2] string what is wrong
@treturn[2] string INVALID_CERTIFICATE: one of the texts; or NO_MEMORY
@usage
local issued = assert(core.issued_by(pem, ca_pem, os.time()) ~= nil)
*/
static int l_issued_by(lua_State *L)
{
    struct reader *reader, *ca;
    struct cce_error err;
    lua_Number at = luaL_checknumber(L, 3);
    int result;

    luaL_checktype(L, 1, LUA_TSTRING);
    luaL_checktype(L, 2, LUA_TSTRING);
    luaL_argcheck(L, at >= 0 && at < 1e12, 3, "it is no unix time");
    lua_settop(L, 2);
    /* A kubeconfig is replaced by its certificate, and what is after it by its
     * key. */
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    if (is_json(lua_tostring(L, 3)) && open_kubeconfig(L, 3, &err) != 0)
        return lcce_fail(L, &err);
    reader = lcce_newobject(L, CLASS, sizeof *reader);
    ca = lcce_newobject(L, CLASS, sizeof *ca);
    result = parse_at(L, 5, 3, &err);
    if (result == 0)
        result = parse_at(L, 6, 2, &err);
    if (result == 0) {
        bool issued =
            cce_certificate_check_issuer(&reader->certificate, &ca->certificate,
                                         (int64_t)at, &err) == 0;

        if (!issued && err.code == CCE_NO_MEMORY)
            result = -1;
        lua_pushboolean(L, issued);
    }
    close_reader(L, 5);
    close_reader(L, 6);
    return result == 0 ? 1 : lcce_fail(L, &err);
}

/*** Whether the start of a PEM block is in a text.
@function is_pem
@tparam string text
@treturn boolean
*/
static int l_is_pem(lua_State *L)
{
    struct cce_bytes text;

    luaL_checktype(L, 1, LUA_TSTRING);
    text = lcce_to_bytes(L, 1);
    lua_pushboolean(L, cce_pem_is(text.data, text.length));
    return 1;
}

int lcce_open_certificate(lua_State *L)
{
    static const luaL_Reg none[] = {{NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"is_pem", l_is_pem}, {"key_matches", l_key_matches}, {NULL, NULL}};

    lcce_newclass(L, CLASS, none, l_reader_gc, NULL);
    luaL_setfuncs(L, functions, 0);
    lua_getfield(L, -1, "json");
    lua_getfield(L, -1, "decode");
    lua_remove(L, -2);
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, l_certificate, 1);
    lua_setfield(L, -3, "certificate");
    lua_pushcclosure(L, l_issued_by, 1);
    lua_setfield(L, -2, "issued_by");
    return 0;
}
