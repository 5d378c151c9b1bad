/*
 * lsign: core.signer and its methods.
 *
 * The way of signer:sign is kept free of allocations (see lrequest.h); the
 * clock, which is Lua code, is asked before the request is read.
 *
 * What is pushed may run finalizers, and these any Lua code: it may close the
 * signer, and sign with it. So the results lie in memory that a call has for
 * itself until it returns: that of the signer, or memory of its own for a call
 * inside of another one.
 */
#include "lua/lsign.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "lua/core.h"
#include "lua/lrequest.h"
#include "lua/lsecret.h"
#include "lua/lutil.h"

#define WORK     "cce.sign_work"
#define PREPARED "cce.prepared"

/* In the table that belongs to the userdata: of a signer; of a prepared
 * request, where its headers follow, each name with its value behind it. */
enum { CLOCK_SLOT = 1, SIGNER_SLOT = 1, HEADERS_SLOT = 2 };

/* In the userdata. */
struct lsigner {
    struct cce_signer signer;
    struct cce_sign_work work;
    bool work_is_taken; /* by a call; for good if that ran out of memory */
    bool has_clock;
    time_t now; /* as now_text says; 0 at first, which is in the past */
    char now_text[CCE_DATE_LENGTH + 1];
};

struct lprepared {
    struct cce_sign_prepared prepared;
    struct lsigner *signer; /* which its table keeps */
    int header_count;
};

/* The upvalues of every method: what would else be looked up by name for
 * each signature. */
enum { METATABLE = 1, NAME_HOST, NAME_DATE, NAME_AUTHORIZATION, UPVALUES = 4 };

static struct lsigner *check_open(lua_State *L, int index,
                                  struct lsigner *object)
{
    if (object->signer.algorithm == NULL)
        luaL_argerror(L, index, "closed signer");
    return object;
}

/* What a method was called on. */
static void *to_self(lua_State *L, const char *class)
{
    void *object = lua_touserdata(L, 1);
    bool ours = object != NULL && lua_getmetatable(L, 1) &&
                lua_rawequal(L, -1, lua_upvalueindex(METATABLE));

    if (!ours)
        luaL_checkudata(L, 1, class); /* which raises */
    lua_pop(L, 1);
    return object;
}

static struct lsigner *to_open(lua_State *L)
{
    return check_open(L, 1, to_self(L, LCCE_SIGNER));
}

struct cce_signer *lcce_check_signer(lua_State *L, int index)
{
    struct lsigner *object = luaL_checkudata(L, index, LCCE_SIGNER);

    return &check_open(L, index, object)->signer;
}

/* --- core.signer --- */

struct signer_options {
    struct cce_sign_options sign;
    bool has_clock; /* it is in the table at CLOCKS */
};

enum { CLOCKS = 3 };

static struct cce_bytes option_bytes(lua_State *L, const char *key)
{
    const char *string = lcce_option_string(L, key);

    return (struct cce_bytes){string, strlen(string)};
}

static void read_not_empty(lua_State *L, const char *key,
                           struct cce_bytes *bytes)
{
    *bytes = option_bytes(L, key);
    if (bytes->length == 0)
        lcce_option_error(L, key, "it is empty");
}

static bool read_signer_option(lua_State *L, const char *key, void *context)
{
    struct signer_options *options = context;
    struct cce_sign_options *sign = &options->sign;

    if (strcmp(key, "ak") == 0)
        sign->ak = option_bytes(L, key);
    else if (strcmp(key, "sk") == 0)
        sign->sk = lcce_option_secret(L, key);
    else if (strcmp(key, "security_token") == 0)
        sign->security_token = lcce_option_secret(L, key);
    else if (strcmp(key, "algorithm") == 0)
        read_not_empty(L, key, &sign->algorithm);
    else if (strcmp(key, "scheme") == 0)
        read_not_empty(L, key, &sign->scheme);
    else if (strcmp(key, "region") == 0)
        sign->region = option_bytes(L, key);
    else if (strcmp(key, "service") == 0)
        sign->service = option_bytes(L, key);
    else if (strcmp(key, "clock") == 0) {
        if (lua_type(L, -1) != LUA_TFUNCTION)
            lcce_option_error(L, key, "function expected, got %s",
                              luaL_typename(L, -1));
        lua_pushvalue(L, -1);
        lua_rawseti(L, CLOCKS, CLOCK_SLOT);
        options->has_clock = true;
    } else
        return false;
    return true;
}

static void require_option(lua_State *L, struct cce_bytes value,
                           const char *key)
{
    if (value.data == NULL)
        lcce_option_error(L, key, "it is missing");
}

/* The object and its table come first: what they allocate may close a secret
 * among the options, or change the options. */
static int l_signer_new(lua_State *L)
{
    struct signer_options options;
    struct lsigner *object;
    struct cce_error err;

    memset(&options, 0, sizeof options);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    object = lcce_newobject(L, LCCE_SIGNER, sizeof *object);
    lua_createtable(L, CLOCK_SLOT, 0);
    lcce_options(L, 1, read_signer_option, &options);
    require_option(L, options.sign.ak, "ak");
    require_option(L, options.sign.sk, "sk");
    if (cce_sign_init(&object->signer, &options.sign, &err) != 0) {
        cce_sign_cleanup(&object->signer);
        return lcce_fail(L, &err);
    }
    object->has_clock = options.has_clock;
    lcce_setuservalue(L, 2);
    return 1;
}

/* --- the request --- */

enum { RESULT_HINT = 8 /* headers, most often */ };

/* Asks the clock of the signer at `index` for the time of a request without a
 * date. That runs Lua code, which may change the spec or close the signer. */
static int ask_clock(lua_State *L, int index, struct lcce_request *request)
{
    lua_Number now;

    lua_pushliteral(L, "date");
    lua_rawget(L, LCCE_REQUEST_SPEC);
    if (!lua_isnil(L, -1))
        return 0;
    lcce_getuservalue(L, index);
    lua_rawgeti(L, -1, CLOCK_SLOT);
    lua_call(L, 0, 1);
    if (lua_type(L, -1) != LUA_TNUMBER)
        luaL_error(L, "the clock of a signer must return a number, not a %s",
                   luaL_typename(L, -1));
    now = floor(lua_tonumber(L, -1));
    lcce_check_signer(L, index);
    return lcce_request_date(now, request->date, request->err);
}

/* Reads the table at LCCE_REQUEST_SPEC into request->sign, and finds memory for
 * the results. From the return on, what the request points to and the signer
 * are there until Lua is called again. */
static int read_request(lua_State *L, struct lsigner *object,
                        struct cce_sign_work **work,
                        struct lcce_request *request)
{
    *work = &object->work;
    if (object->work_is_taken) {
        *work = lcce_newobject(L, WORK, sizeof **work);
        lua_replace(L, LCCE_REQUEST_OWN);
    }
    if (lcce_request_read(L, request) != 0)
        return -1;
    check_open(L, 1, object);
    if (request->sign.date.data != NULL)
        return 0;

    /* Without a clock of its own it is the system's time, which is written anew
     * once a second only. */
    if (request->date[0] == '\0') {
        time_t now = time(NULL);

        if (now != object->now &&
            cce_date_format(now, object->now_text, request->err) != 0)
            return -1;
        object->now = now;
        memcpy(request->date, object->now_text, sizeof request->date);
    }
    request->sign.default_date =
        (struct cce_bytes){request->date, CCE_DATE_LENGTH};
    return 0;
}

static void take_work(struct lsigner *object, struct cce_sign_work *work)
{
    if (work == &object->work)
        object->work_is_taken = true;
    cce_sign_work_init(work);
}

static void give_work(struct lsigner *object, struct cce_sign_work *work)
{
    cce_sign_work_cleanup(work);
    if (work == &object->work)
        object->work_is_taken = false;
}

/* --- the methods --- */

static void push_bytes(lua_State *L, struct cce_bytes bytes)
{
    lua_pushlstring(L, bytes.data, bytes.length);
}

/* Completes the table of headers to send, which those given are in. */
static void push_headers(lua_State *L, const struct cce_sign_result *result)
{
    if (!result->host_given) {
        lua_pushvalue(L, lua_upvalueindex(NAME_HOST));
        lua_pushvalue(L, LCCE_REQUEST_HOST);
        lua_rawset(L, LCCE_REQUEST_RESULT);
    }
    if (!result->date_given) {
        lua_pushvalue(L, lua_upvalueindex(NAME_DATE));
        lua_pushlstring(L, result->date, CCE_DATE_LENGTH);
        lua_rawset(L, LCCE_REQUEST_RESULT);
    }
    if (result->security_token.length > 0) {
        push_bytes(L, result->security_token);
        lua_setfield(L, LCCE_REQUEST_RESULT, "X-Security-Token");
    }
    lua_pushvalue(L, lua_upvalueindex(NAME_AUTHORIZATION));
    push_bytes(L, result->authorization);
    lua_rawset(L, LCCE_REQUEST_RESULT);
    lua_pushvalue(L, LCCE_REQUEST_RESULT);
}

/* One method of a spec: how far it goes, and what it pushes (one value). */
struct method {
    bool copies_headers;
    int (*compute)(struct cce_signer *signer,
                   const struct cce_sign_request *request,
                   struct cce_sign_work *work, struct cce_sign_result *result,
                   struct cce_error *err);
    void (*push)(lua_State *L, const struct cce_sign_result *result);
};

/* Should a push run out of memory, then the signer or a userdata still owns the
 * work, until it is collected. */
static int apply(lua_State *L, const struct method *method)
{
    struct lsigner *object = to_open(L);
    struct cce_sign_work *work;
    struct cce_sign_result result;
    struct cce_error err;
    struct lcce_request request;
    int pushed = 1;

    lcce_request_init(&request, method->copies_headers, &err);
    luaL_checktype(L, LCCE_REQUEST_SPEC, LUA_TTABLE);
    if (object->has_clock && ask_clock(L, 1, &request) != 0)
        return lcce_fail(L, &err);
    lua_settop(L, LCCE_REQUEST_SPEC);
    if (method->copies_headers)
        lua_createtable(L, 0, RESULT_HINT);
    lua_settop(L, LCCE_REQUEST_OWN);
    if (read_request(L, object, &work, &request) != 0)
        return lcce_fail(L, &err);
    take_work(object, work);
    if (method->compute(&object->signer, &request.sign, work, &result, &err) !=
        0)
        pushed = lcce_fail(L, &err);
    else
        method->push(L, &result);
    give_work(object, work);
    return pushed;
}

static int l_signer_sign(lua_State *L)
{
    static const struct method method = {true, cce_sign_request, push_headers};

    return apply(L, &method);
}

static void push_stages(lua_State *L, const struct cce_sign_result *result)
{
    lua_createtable(L, 0, 4);
    push_bytes(L, result->canonical_request);
    lua_setfield(L, -2, "canonical_request");
    push_bytes(L, result->string_to_sign);
    lua_setfield(L, -2, "string_to_sign");
    lua_pushlstring(L, result->signature, CCE_DIGEST_HEX);
    lua_setfield(L, -2, "signature");
    push_bytes(L, result->authorization);
    lua_setfield(L, -2, "authorization");
}

static int l_signer_explain(lua_State *L)
{
    static const struct method method = {false, cce_sign_request, push_stages};

    return apply(L, &method);
}

static void push_canonical(lua_State *L, const struct cce_sign_result *result)
{
    push_bytes(L, result->canonical_request);
}

static int l_signer_canonical_request(lua_State *L)
{
    static const struct method method = {false, cce_sign_canonical,
                                         push_canonical};

    return apply(L, &method);
}

/* The arguments of the stages that take no spec: date, string. */
static int check_stage(lua_State *L, char text[CCE_DATE_LENGTH + 1],
                       struct cce_bytes *date, struct cce_bytes *string,
                       struct cce_error *err)
{
    luaL_checktype(L, 3, LUA_TSTRING);
    *string = lcce_to_bytes(L, 3);
    if (lua_type(L, 2) == LUA_TNUMBER) {
        *date = (struct cce_bytes){text, CCE_DATE_LENGTH};
        return lcce_request_date(lua_tonumber(L, 2), text, err);
    }
    luaL_checktype(L, 2, LUA_TSTRING);
    *date = lcce_to_bytes(L, 2);
    return 0;
}

static int l_signer_string_to_sign(lua_State *L)
{
    struct cce_signer *signer = &to_open(L)->signer;
    char text[CCE_DATE_LENGTH + 1];
    struct cce_bytes date, canonical;
    struct cce_sign_work work;
    struct cce_sign_result result;
    struct cce_error err;

    /* No string to sign is so long that the work would have it on the heap. */
    cce_sign_work_init(&work);
    if (check_stage(L, text, &date, &canonical, &err) != 0 ||
        cce_sign_string(signer, date, canonical, &work, &result, &err) != 0)
        return lcce_fail(L, &err);
    push_bytes(L, result.string_to_sign);
    return 1;
}

static int l_signer_signature(lua_State *L)
{
    struct cce_signer *signer = &to_open(L)->signer;
    char text[CCE_DATE_LENGTH + 1];
    struct cce_bytes date, to_sign;
    struct cce_sign_result result;
    struct cce_error err;

    if (check_stage(L, text, &date, &to_sign, &err) != 0 ||
        cce_sign_signature(signer, date, to_sign, &result, &err) != 0)
        return lcce_fail(L, &err);
    lua_pushlstring(L, result.signature, CCE_DIGEST_HEX);
    return 1;
}

/* --- prepared requests --- */

static int l_signer_prepare(lua_State *L)
{
    struct lsigner *object = to_open(L);
    struct lprepared *prepared;
    struct cce_error err;
    struct lcce_request request;
    int slot = HEADERS_SLOT, table;

    lcce_request_init(&request, true, &err);
    luaL_checktype(L, LCCE_REQUEST_SPEC, LUA_TTABLE);
    lua_settop(L, LCCE_REQUEST_SPEC);
    lua_newtable(L);
    lua_settop(L, LCCE_REQUEST_OWN - 1);
    prepared = lcce_newobject(L, PREPARED, sizeof *prepared);
    if (lcce_request_read(L, &request) != 0)
        return lcce_fail(L, &err);
    check_open(L, 1, object);
    if (cce_sign_prepare(&object->signer, &request.sign, &prepared->prepared,
                         &err) != 0)
        return lcce_fail(L, &err);

    /* Its table keeps the signer, and the headers that stay the same. */
    lua_newtable(L);
    table = lua_gettop(L);
    lua_pushvalue(L, 1);
    lua_rawseti(L, table, SIGNER_SLOT);
    if (!prepared->prepared.host_given) {
        lua_pushvalue(L, lua_upvalueindex(NAME_HOST));
        lua_pushvalue(L, LCCE_REQUEST_HOST);
        lua_rawset(L, LCCE_REQUEST_RESULT);
    }
    lua_pushnil(L);
    while (lua_next(L, LCCE_REQUEST_RESULT)) {
        lua_rawseti(L, table, slot + 1);
        lua_pushvalue(L, -1);
        lua_rawseti(L, table, slot);
        slot += 2;
    }
    prepared->header_count = (slot - HEADERS_SLOT) / 2;
    lcce_setuservalue(L, LCCE_REQUEST_OWN);
    prepared->signer = object;
    lua_settop(L, LCCE_REQUEST_OWN);
    return 1;
}

/* Pushes the headers that stay the same as a new table at
 * LCCE_REQUEST_RESULT; and asks the signer's clock, if it has one. */
static int push_same(lua_State *L, const struct lprepared *prepared,
                     struct lcce_request *request)
{
    const int table = LCCE_REQUEST_SPEC + 1, to = table + 1;

    lua_settop(L, LCCE_REQUEST_SPEC);
    lcce_getuservalue(L, 1);
    if (prepared->signer->has_clock && !prepared->prepared.has_date) {
        lua_rawgeti(L, table, SIGNER_SLOT);
        if (ask_clock(L, to, request) != 0)
            return -1;
        lua_settop(L, table);
    }
    lua_createtable(L, 0, prepared->header_count + 2);
    for (int i = 0; i < prepared->header_count; i++) {
        lua_rawgeti(L, table, HEADERS_SLOT + 2 * i);
        lua_rawgeti(L, table, HEADERS_SLOT + 2 * i + 1);
        lua_rawset(L, to);
    }
    lua_replace(L, LCCE_REQUEST_RESULT);
    lua_settop(L, LCCE_REQUEST_OWN);
    return 0;
}

static int l_prepared_sign(lua_State *L)
{
    const struct lprepared *prepared = to_self(L, PREPARED);
    struct lsigner *object = prepared->signer;
    const struct cce_sign_prepared *same = &prepared->prepared;
    struct cce_sign_work *work;
    struct cce_sign_result result;
    struct cce_error err;
    struct lcce_request request;
    int pushed = 1;

    if (same->text.data == NULL)
        return luaL_argerror(L, 1, "closed prepared request");
    check_open(L, 1, object);
    luaL_checktype(L, LCCE_REQUEST_SPEC, LUA_TTABLE);
    lcce_request_init(&request, false, &err);
    request.prepared = same;
    for (size_t i = 0; i < same->place_count; i++)
        request.ids[i].data = NULL;
    if (push_same(L, prepared, &request) != 0 ||
        read_request(L, object, &work, &request) != 0)
        return lcce_fail(L, &err);
    if (same->text.data == NULL)
        return luaL_argerror(L, 1, "closed prepared request");
    for (size_t i = 0; i < same->place_count; i++)
        if (request.ids[i].data == NULL && request.sign.path.data == NULL)
            lcce_option_error(L, same->places[i].name, "it is missing");

    take_work(object, work);
    if (cce_sign_prepared(&object->signer, same, &request.sign, request.ids,
                          work, &result, &err) != 0) {
        pushed = lcce_fail(L, &err);
    } else {
        result.host_given = true; /* as a header that stays the same */
        push_headers(L, &result);
    }
    give_work(object, work);
    return pushed;
}

static int l_prepared_close(lua_State *L)
{
    struct lprepared *prepared = luaL_checkudata(L, 1, PREPARED);

    cce_sign_prepared_cleanup(&prepared->prepared);
    return 0;
}

/* --- the rest --- */

/* At once, even during a call: that has its result already. */
static int l_signer_close(lua_State *L)
{
    struct lsigner *object = luaL_checkudata(L, 1, LCCE_SIGNER);

    cce_sign_cleanup(&object->signer);
    return 0;
}

/* No call is under way. */
static int l_signer_gc(lua_State *L)
{
    struct lsigner *object = luaL_checkudata(L, 1, LCCE_SIGNER);

    cce_sign_work_cleanup(&object->work);
    return l_signer_close(L);
}

static int l_work_gc(lua_State *L)
{
    cce_sign_work_cleanup(luaL_checkudata(L, 1, WORK));
    return 0;
}

/* An access key's id is no secret, but a log needs no more than its start. */
static int l_signer_tostring(lua_State *L)
{
    const struct lsigner *object = luaL_checkudata(L, 1, LCCE_SIGNER);
    const struct cce_signer *signer = &object->signer;
    char start[5] = "";

    if (signer->algorithm == NULL) {
        lua_pushliteral(L, LCCE_SIGNER ": closed");
        return 1;
    }
    memcpy(start, signer->ak, strlen(signer->ak) > 8 ? 4 : 1);
    lua_pushfstring(L, LCCE_SIGNER ": %s AK %s\xe2\x80\xa6",
                    cce_sign_algorithm_name(signer), start);
    return 1;
}

/* Adds methods with the upvalues that they all have to a class. */
static void set_methods(lua_State *L, const char *class,
                        const luaL_Reg *methods)
{
    luaL_getmetatable(L, class);
    lua_getfield(L, -1, "__index");
    lua_insert(L, -2);
    lua_pushliteral(L, "Host");
    lua_pushliteral(L, "X-Sdk-Date");
    lua_pushliteral(L, "Authorization");
    luaL_setfuncs(L, methods, UPVALUES);
    lua_pop(L, 1);
}

int lcce_open_sign(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"sign", l_signer_sign},
        {"prepare", l_signer_prepare},
        {"explain", l_signer_explain},
        {"canonical_request", l_signer_canonical_request},
        {"string_to_sign", l_signer_string_to_sign},
        {"signature", l_signer_signature},
        {NULL, NULL},
    };
    static const luaL_Reg prepared_methods[] = {{"sign", l_prepared_sign},
                                                {NULL, NULL}};
    static const luaL_Reg none[] = {{NULL, NULL}};

    lcce_newclass(L, WORK, none, l_work_gc, NULL);
    lcce_newclass(L, PREPARED, none, l_prepared_close, NULL);
    set_methods(L, PREPARED, prepared_methods);
    lcce_newclass(L, LCCE_SIGNER, none, l_signer_close, l_signer_tostring);
    luaL_getmetatable(L, LCCE_SIGNER);
    lua_pushcfunction(L, l_signer_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    set_methods(L, LCCE_SIGNER, methods);
    lua_pushcfunction(L, l_signer_new);
    lua_setfield(L, -2, "signer");
    return 0;
}
