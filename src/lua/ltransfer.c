/*
 * ltransfer: the methods of core.transfer, which engine:submit returns.
 */
#include "core/wire/http.h"
#include "lua/lengine.h"
#include "lua/lsecret.h"
#include "lua/lutil.h"

#include <string.h>

struct lcce_transfer_box *lcce_check_transfer(lua_State *L, int index)
{
    struct lcce_transfer_box *box = luaL_checkudata(L, index, LCCE_TRANSFER);

    luaL_argcheck(L,
                  !box->closed && (box->transfer != NULL || box->job != NULL),
                  index, "the transfer is closed");
    return box;
}

bool lcce_transfer_is_finished(const struct lcce_transfer_box *box)
{
    return box->job != NULL ? cce_job_is_finished(box->job)
                            : cce_transfer_is_finished(box->transfer);
}

static void free_transfer(struct lcce_transfer_box *box)
{
    cce_transfer_free(box->transfer);
    cce_job_free(box->job);
    box->transfer = NULL;
    box->job = NULL;
}

static int l_transfer_close(lua_State *L)
{
    struct lcce_transfer_box *box = luaL_checkudata(L, 1, LCCE_TRANSFER);

    box->closed = true;
    if (box->readers == 0)
        free_transfer(box);
    return 0;
}

/* A reader that is still counted ran out of memory. */
static int l_transfer_gc(lua_State *L)
{
    struct lcce_transfer_box *box = luaL_checkudata(L, 1, LCCE_TRANSFER);

    box->closed = true;
    free_transfer(box);
    return 0;
}

/* ---- transfer methods ---- */

static int l_transfer_finished(lua_State *L)
{
    lua_pushboolean(L, lcce_transfer_is_finished(lcce_check_transfer(L, 1)));
    return 1;
}

/* What to send to the socket of the engine's thread, and to get back. */
static int l_transfer_id(lua_State *L)
{
    struct lcce_transfer_box *box = lcce_check_transfer(L, 1);
    char id[CCE_JOB_ID_LENGTH];

    luaL_argcheck(L, box->job != NULL, 1, "the engine has no thread");
    memcpy(id, cce_job_id(box->job), sizeof id);
    lua_pushlstring(L, id, sizeof id);
    return 1;
}

/* Tables that need not grow; the caller adds two fields to an answer. */
enum { USUAL_HEADERS = 8, ANSWER_FIELDS = 6 };

static const struct cce_bytes token_name = CCE_BYTES("x-subject-token");

/* The header lines of an answer. */
static struct cce_bytes lines_of(const struct cce_result *result)
{
    return (struct cce_bytes){result->headers, result->headers_length};
}

/* A table of the headers by lower-case name; a repeated one is joined. A token
 * stays out of a private answer's. */
static void push_headers(lua_State *L, const struct cce_result *result,
                         bool is_private)
{
    struct cce_bytes lines = lines_of(result);
    struct cce_pair header;
    luaL_Buffer name;

    lua_createtable(L, 0, USUAL_HEADERS);
    while (cce_http_next_header(&lines, &header)) {
        if (is_private && cce_bytes_same_letters(header.name, token_name))
            continue;
        luaL_buffinit(L, &name);
        for (size_t i = 0; i < header.name.length; i++)
            luaL_addchar(&name, (char)cce_lower(header.name.data[i]));
        luaL_pushresult(&name);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            lua_pushlstring(L, header.value.data, header.value.length);
        } else {
            lua_pushliteral(L, ", ");
            lua_pushlstring(L, header.value.data, header.value.length);
            lua_concat(L, 3);
        }
        lua_rawset(L, -3);
    }
}

/* The result points into the transfer. */
static struct lcce_transfer_box *check_result(lua_State *L,
                                              struct cce_result *result)
{
    struct lcce_transfer_box *box = lcce_check_transfer(L, 1);

    luaL_argcheck(L, lcce_transfer_is_finished(box), 1,
                  "the transfer has not ended yet");
    if (box->job != NULL)
        cce_job_result(box->job, result);
    else
        cce_transfer_result(box->transfer, result);
    return box;
}

/* No bytes when there is no such header. */
static struct cce_bytes find_header(const struct cce_result *result,
                                    const char *name)
{
    struct cce_bytes lines = lines_of(result), none = {NULL, 0};
    struct cce_pair header;

    while (cce_http_next_header(&lines, &header))
        if (cce_bytes_same_letters(header.name, cce_bytes_of(name)))
            return header.value;
    return none;
}

/* transfer:secret() is the body, transfer:secret(name) a header: a
 * cce.secret, or nil, message, code. */
static int l_transfer_secret(lua_State *L)
{
    const char *name = luaL_optstring(L, 2, NULL);
    struct cce_secret *secret;
    struct cce_result result;
    struct cce_bytes bytes;
    struct cce_error err;

    lua_settop(L, 2);
    secret = lcce_newobject(L, LCCE_SECRET, sizeof *secret);
    check_result(L, &result);
    bytes.data = result.body;
    bytes.length = result.body_length;
    if (name != NULL)
        bytes = find_header(&result, name);
    if (result.error.code == CCE_OK && bytes.length == 0)
        cce_fail(&result.error, CCE_RESPONSE_INVALID, "the answer has no %s",
                 name != NULL ? name : "body");
    if (result.error.code != CCE_OK)
        return lcce_fail(L, &result.error);
    if (cce_secret_init(secret, bytes, &err) != 0)
        return lcce_fail(L, &err);
    return 1;
}

/* With a true argument the body of a success and a token stay out. */
int lcce_transfer_result(lua_State *L)
{
    bool is_private = lua_toboolean(L, 2);
    struct cce_result result;
    struct lcce_transfer_box *box = check_result(L, &result);

    if (result.error.code != CCE_OK) {
        lcce_fail(L, &result.error);
        lua_createtable(L, 0, 7);
        lua_pushboolean(L, result.sent);
        lua_setfield(L, -2, "sent");
        lua_pushboolean(L, result.untrusted);
        lua_setfield(L, -2, "untrusted");
        lua_pushboolean(L, result.refused);
        lua_setfield(L, -2, "refused");
        lua_pushinteger(L, result.alert);
        lua_setfield(L, -2, "alert");
        lua_pushboolean(L, result.verified);
        lua_setfield(L, -2, "verified");
        lua_pushinteger(L, result.verify_error);
        lua_setfield(L, -2, "verify_error");
        lua_pushnumber(L, result.seconds);
        lua_setfield(L, -2, "seconds");
        return 4;
    }

    /* A push may run a finalizer that closes the transfer: a counted reader
     * keeps what the result points to. */
    box->readers++;
    lua_createtable(L, 0, ANSWER_FIELDS);
    lua_pushinteger(L, result.status);
    lua_setfield(L, -2, "status");
    push_headers(L, &result, is_private);
    lua_setfield(L, -2, "headers");
    if (result.body_length == 0 ||
        (is_private && result.status >= 200 && result.status <= 299))
        lua_pushliteral(L, "");
    else
        lua_pushlstring(L, result.body, result.body_length);
    lua_setfield(L, -2, "body");
    lua_pushnumber(L, result.seconds);
    lua_setfield(L, -2, "seconds");
    box->readers--;
    if (box->closed && box->readers == 0)
        free_transfer(box);
    return 1;
}

void lcce_open_transfer(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"finished", l_transfer_finished},
        {"result", lcce_transfer_result},
        {"secret", l_transfer_secret},
        {"id", l_transfer_id},
        {NULL, NULL},
    };

    lcce_newclass(L, LCCE_TRANSFER, methods, l_transfer_close, NULL);
    luaL_getmetatable(L, LCCE_TRANSFER);
    lua_pushcfunction(L, l_transfer_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}
