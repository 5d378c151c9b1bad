/*
 * lsign: core.signer and its methods.
 *
 * The way of signer:sign is kept free of allocations: the request is read in
 * one walk over the spec, into arrays on the C stack (larger ones become
 * userdata), and holds pointers into strings that the spec keeps alive. So no
 * Lua code may run between that walk and the signing; the clock is asked
 * before it.
 */
#include "lsign.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core.h"
#include "lsecret.h"
#include "lutil.h"

enum { CLOCK_SLOT = 1 }; /* in the table that belongs to the userdata */

/* In the userdata. */
struct lsigner {
    struct cce_signer signer;
    bool has_clock;
    time_t now; /* as now_text says; 0 at first, which is in the past */
    char now_text[CCE_DATE_LENGTH + 1];
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

/* The open signer that a method was called on. */
static struct lsigner *to_open(lua_State *L)
{
    struct lsigner *object = lua_touserdata(L, 1);
    bool ours = object != NULL && lua_getmetatable(L, 1) &&
                lua_rawequal(L, -1, lua_upvalueindex(METATABLE));

    if (!ours)
        luaL_checkudata(L, 1, LCCE_SIGNER); /* which raises */
    lua_pop(L, 1);
    return check_open(L, 1, object);
}

struct cce_signer *lcce_check_signer(lua_State *L, int index)
{
    struct lsigner *object = luaL_checkudata(L, index, LCCE_SIGNER);

    return &check_open(L, index, object)->signer;
}

/* --- core.signer --- */

struct signer_options {
    struct cce_sign_options sign;
    bool has_clock;
};

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

static void read_clock(lua_State *L, struct signer_options *options)
{
    if (lua_type(L, -1) != LUA_TFUNCTION)
        lcce_option_error(L, "clock", "function expected, got %s",
                          luaL_typename(L, -1));
    options->has_clock = true;
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
    else if (strcmp(key, "clock") == 0)
        read_clock(L, options);
    else
        return false;
    return true;
}

static void require_option(lua_State *L, struct cce_bytes value,
                           const char *key)
{
    if (value.data == NULL)
        lcce_option_error(L, key, "it is missing");
}

static int l_signer_new(lua_State *L)
{
    struct signer_options options;
    struct lsigner *object;
    struct cce_error err;

    memset(&options, 0, sizeof options);
    lcce_options(L, 1, read_signer_option, &options);
    require_option(L, options.sign.ak, "ak");
    require_option(L, options.sign.sk, "sk");
    object = lcce_newobject(L, LCCE_SIGNER, sizeof *object);
    if (options.has_clock) {
        lua_createtable(L, CLOCK_SLOT, 0);
        lua_getfield(L, 1, "clock");
        lua_rawseti(L, -2, CLOCK_SLOT);
        lcce_setuservalue(L, -2);
        object->has_clock = true;
    }
    if (cce_sign_init(&object->signer, &options.sign, &err) != 0) {
        cce_sign_cleanup(&object->signer);
        return lcce_fail(L, &err);
    }
    return 1;
}

/* --- reading a request --- */

enum {
    SPEC = 2,       /* the argument */
    RESULT = 3,     /* of signer:sign, the table of headers to send */
    HOST = 4,       /* the spec's host, for signer:sign */
    ANCHOR = 5,     /* a table of what the request points to besides, or nil */
    HELD = 16,      /* parameters and headers that need no userdata */
    RESULT_HINT = 8 /* headers, most often */
};

struct pairs {
    struct cce_pair held[HELD], *list;
    size_t count, capacity;
};

struct spec {
    struct cce_sign_request request;
    struct pairs query, headers;
    struct cce_bytes signed_held[HELD];
    char date[CCE_DATE_LENGTH + 1];
    bool wants_headers; /* in the table at RESULT */
    struct cce_error *err;
};

/* Pops a value and keeps it alive until the method returns. */
static void anchor(lua_State *L)
{
    if (lua_isnil(L, ANCHOR)) {
        lua_newtable(L);
        lua_replace(L, ANCHOR);
    }
    lua_rawseti(L, ANCHOR, (int)lua_rawlen(L, ANCHOR) + 1);
}

static void grow_pairs(lua_State *L, struct pairs *pairs)
{
    size_t capacity = pairs->capacity * 4;
    struct cce_pair *list = lua_newuserdata(L, capacity * sizeof *list);

    memcpy(list, pairs->list, pairs->count * sizeof *list);
    anchor(L);
    pairs->list = list;
    pairs->capacity = capacity;
}

static void add_pair(lua_State *L, struct pairs *pairs, struct cce_bytes name,
                     struct cce_bytes value)
{
    if (pairs->count == pairs->capacity)
        grow_pairs(L, pairs);
    pairs->list[pairs->count++] = (struct cce_pair){name, value};
}

static struct cce_bytes to_bytes(lua_State *L, int index)
{
    struct cce_bytes bytes;

    bytes.data = lua_tolstring(L, index, &bytes.length);
    return bytes;
}

static struct cce_bytes string_field(lua_State *L, const char *key)
{
    if (lua_type(L, -1) != LUA_TSTRING)
        lcce_option_error(L, key, "string expected, got %s",
                          luaL_typename(L, -1));
    return to_bytes(L, -1);
}

#if LUA_VERSION_NUM >= 502
#define lcce_copy(L, from, to) lua_copy(L, from, to)
#else
#define lcce_copy(L, from, to) (lua_pushvalue(L, from), lua_replace(L, to))
#endif

static int read_method(lua_State *L, struct spec *spec)
{
    spec->request.method = string_field(L, "method");
    return 0;
}

static int read_host(lua_State *L, struct spec *spec)
{
    spec->request.host = string_field(L, "host");
    if (spec->wants_headers)
        lcce_copy(L, -1, HOST);
    if (spec->request.host.length == 0)
        return cce_fail(spec->err, CCE_INVALID_ARGUMENT,
                        "host must not be empty");
    return 0;
}

static int read_path(lua_State *L, struct spec *spec)
{
    spec->request.path = string_field(L, "path");
    return 0;
}

static int read_body(lua_State *L, struct spec *spec)
{
    spec->request.body = string_field(L, "body");
    return 0;
}

static int format_date(lua_Number seconds, char text[CCE_DATE_LENGTH + 1],
                       struct cce_error *err)
{
    /* Also false for NaN; the cast needs the range. */
    if (!(seconds >= 0 && seconds < 1e15) || floor(seconds) != seconds)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "a date must be a whole number of seconds in the "
                        "years 1970 to 9999");
    return cce_date_format((int64_t)seconds, text, err);
}

static int read_date(lua_State *L, struct spec *spec)
{
    if (lua_type(L, -1) == LUA_TNUMBER) {
        spec->request.date = (struct cce_bytes){spec->date, CCE_DATE_LENGTH};
        return format_date(lua_tonumber(L, -1), spec->date, spec->err);
    }
    if (lua_type(L, -1) != LUA_TSTRING)
        lcce_option_error(L, "date", "string or number expected, got %s",
                          luaL_typename(L, -1));
    spec->request.date = to_bytes(L, -1);
    if (spec->request.date.length == 0)
        return cce_fail(spec->err, CCE_INVALID_ARGUMENT,
                        "date must not be empty");
    return 0;
}

static void check_table(lua_State *L, const char *key)
{
    if (!lua_istable(L, -1))
        lcce_option_error(L, key, "table expected, got %s",
                          luaL_typename(L, -1));
}

/* What is given is also sent, so it goes to the result on the way. */
static void read_header(lua_State *L, struct spec *spec)
{
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
        lcce_option_error(L, "headers",
                          "name = \"value\" expected, got %s = %s",
                          luaL_typename(L, -2), luaL_typename(L, -1));
    add_pair(L, &spec->headers, to_bytes(L, -2), to_bytes(L, -1));
    if (spec->wants_headers) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, RESULT);
    } else {
        lua_pop(L, 1);
    }
}

static int read_headers(lua_State *L, struct spec *spec)
{
    int index = lua_gettop(L);

    check_table(L, "headers");
    lua_pushnil(L);
    while (lua_next(L, index))
        read_header(L, spec);
    return 0;
}

static int read_signed_headers(lua_State *L, struct spec *spec)
{
    struct cce_bytes *names = spec->signed_held;
    int count;

    check_table(L, "signed_headers");
    count = (int)lua_rawlen(L, -1);
    if (count > CCE_SIGN_HEADERS_MAX)
        return cce_fail(spec->err, CCE_INVALID_ARGUMENT,
                        "signed_headers has at most %d names",
                        CCE_SIGN_HEADERS_MAX);
    if (count > HELD) {
        names = lua_newuserdata(L, (size_t)count * sizeof *names);
        anchor(L);
    }
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, -1, i + 1);
        names[i] = string_field(L, "signed_headers");
        lua_pop(L, 1);
    }
    spec->request.signed_headers = names;
    spec->request.signed_count = (size_t)count;
    return 0;
}

/* --- the query --- */

/* Pushes the text of a whole number. A fraction has more than one text, so
 * the caller has to choose. */
static int push_number(lua_State *L, lua_Number number, struct spec *spec)
{
    char text[32];

    if (!(fabs(number) <= 9007199254740992.0) || floor(number) != number)
        return cce_fail(spec->err, CCE_INVALID_ARGUMENT,
                        "a number in a query must be a whole one below 2^53: "
                        "write others as strings");
    snprintf(text, sizeof text, "%.0f", (double)number);
    lua_pushstring(L, text);
    return 0;
}

/* The text of the value at the top of the stack. */
static int query_text(lua_State *L, struct spec *spec, struct cce_bytes *text)
{
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        *text = to_bytes(L, -1);
        return 0;
    case LUA_TBOOLEAN:
        *text = lua_toboolean(L, -1) ? (struct cce_bytes){"true", 4}
                                     : (struct cce_bytes){"false", 5};
        return 0;
    case LUA_TNUMBER:
        if (push_number(L, lua_tonumber(L, -1), spec) != 0)
            return -1;
        *text = to_bytes(L, -1);
        anchor(L);
        return 0;
    default:
        return lcce_option_error(
            L, "query", "string, number or boolean expected as a value, got %s",
            luaL_typename(L, -1));
    }
}

static int add_parameter(lua_State *L, struct spec *spec, struct cce_bytes name)
{
    struct cce_bytes value = {NULL, 0};

    if (query_text(L, spec, &value) != 0)
        return -1;
    add_pair(L, &spec->query, name, value);
    return 0;
}

/* {name, value} at the top of the stack. */
static int read_query_pair(lua_State *L, struct spec *spec)
{
    struct cce_bytes name;
    int result;

    if (!lua_istable(L, -1) || lua_rawlen(L, -1) != 2)
        lcce_option_error(L, "query", "its items must be {name, value}");
    lua_rawgeti(L, -1, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
        lcce_option_error(L, "query", "string expected as a name, got %s",
                          luaL_typename(L, -1));
    name = to_bytes(L, -1);
    lua_rawgeti(L, -2, 2);
    result = add_parameter(L, spec, name);
    lua_pop(L, 2);
    return result;
}

/* name = value, or name = {value, value}. */
static int read_query_field(lua_State *L, struct spec *spec)
{
    struct cce_bytes name = to_bytes(L, -2);
    int count;

    if (!lua_istable(L, -1))
        return add_parameter(L, spec, name);
    count = (int)lua_rawlen(L, -1);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        if (add_parameter(L, spec, name) != 0)
            return -1;
        lua_pop(L, 1);
    }
    return 0;
}

static int read_query_item(lua_State *L, struct spec *spec)
{
    switch (lua_type(L, -2)) {
    case LUA_TNUMBER:
        return read_query_pair(L, spec);
    case LUA_TSTRING:
        return read_query_field(L, spec);
    default:
        return lcce_option_error(L, "query", "a %s cannot be a name",
                                 luaL_typename(L, -2));
    }
}

static int read_query(lua_State *L, struct spec *spec)
{
    int index = lua_gettop(L);

    check_table(L, "query");
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (read_query_item(L, spec) != 0)
            return -1;
        lua_pop(L, 1);
    }
    return 0;
}

/* --- the spec --- */

static const struct {
    const char *name;
    size_t length;
    int (*read)(lua_State *L, struct spec *spec); /* value on top */
} fields[] = {
#define FIELD(name)                          \
    {                                        \
#name, sizeof #name - 1, read_##name \
    }
    FIELD(method),  FIELD(path),  FIELD(body), FIELD(host),
    FIELD(headers), FIELD(query), FIELD(date), FIELD(signed_headers),
#undef FIELD
};

/* A number as key becomes a string here, which would break the walk; but then
 * it is unknown, and ends it. */
static int read_field(lua_State *L, struct spec *spec)
{
    struct cce_bytes key = to_bytes(L, -2);

    if (key.data == NULL)
        return luaL_error(L, "an option's name must be a string, not a %s",
                          luaL_typename(L, -2));
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (key.length == fields[i].length && *key.data == *fields[i].name &&
            memcmp(key.data, fields[i].name, key.length) == 0)
            return fields[i].read(L, spec);
    return luaL_error(L, "unknown option '%s'", key.data);
}

/* Asks the clock for the time of a request without a date. That runs Lua
 * code, which may change the spec or close the signer. */
static int ask_clock(lua_State *L, struct spec *spec)
{
    lua_Number now;

    lua_pushliteral(L, "date");
    lua_rawget(L, SPEC);
    if (!lua_isnil(L, -1))
        return 0;
    lcce_getuservalue(L, 1);
    lua_rawgeti(L, -1, CLOCK_SLOT);
    lua_call(L, 0, 1);
    if (lua_type(L, -1) != LUA_TNUMBER)
        luaL_error(L, "the clock of a signer must return a number, not a %s",
                   luaL_typename(L, -1));
    now = floor(lua_tonumber(L, -1));
    lcce_check_signer(L, 1);
    return format_date(now, spec->date, spec->err);
}

static int read_spec(lua_State *L, struct spec *spec)
{
    lua_pushnil(L);
    while (lua_next(L, SPEC)) {
        if (read_field(L, spec) != 0)
            return -1;
        lua_pop(L, 1);
    }
    if (spec->request.method.data == NULL)
        lcce_option_error(L, "method", "it is missing");
    return 0;
}

static void init_spec(struct spec *spec, bool wants_headers,
                      struct cce_error *err)
{
    memset(&spec->request, 0, sizeof spec->request);
    spec->query.list = spec->query.held;
    spec->headers.list = spec->headers.held;
    spec->query.count = spec->headers.count = 0;
    spec->query.capacity = spec->headers.capacity = HELD;
    spec->date[0] = '\0';
    spec->wants_headers = wants_headers;
    spec->err = err;
}

/* The time of the system, written anew once a second only. */
static int system_date(struct lsigner *object, struct spec *spec)
{
    time_t now = time(NULL);

    if (now != object->now &&
        cce_date_format(now, object->now_text, spec->err) != 0)
        return -1;
    object->now = now;
    memcpy(spec->date, object->now_text, sizeof spec->date);
    return 0;
}

/* The spec at 2, read into spec->request. */
static int check_spec(lua_State *L, struct lsigner *object, struct spec *spec)
{
    luaL_checktype(L, SPEC, LUA_TTABLE);
    if (object->has_clock && ask_clock(L, spec) != 0)
        return -1;
    lua_settop(L, SPEC);
    if (spec->wants_headers)
        lua_createtable(L, 0, RESULT_HINT);
    lua_settop(L, ANCHOR);
    if (read_spec(L, spec) != 0)
        return -1;
    if (spec->request.date.data == NULL) {
        if (spec->date[0] == '\0' && system_date(object, spec) != 0)
            return -1;
        spec->request.default_date =
            (struct cce_bytes){spec->date, CCE_DATE_LENGTH};
    }
    spec->request.query = spec->query.list;
    spec->request.query_count = spec->query.count;
    spec->request.headers = spec->headers.list;
    spec->request.header_count = spec->headers.count;
    return 0;
}

/* --- the methods --- */

static void push_bytes(lua_State *L, struct cce_bytes bytes)
{
    lua_pushlstring(L, bytes.data, bytes.length);
}

/* Completes the table at RESULT, which the headers given are in. */
static void push_headers(lua_State *L, const struct cce_signer *signer,
                         const struct cce_sign_result *result)
{
    if (!result->host_given) {
        lua_pushvalue(L, lua_upvalueindex(NAME_HOST));
        lua_pushvalue(L, HOST);
        lua_rawset(L, RESULT);
    }
    if (!result->date_given) {
        lua_pushvalue(L, lua_upvalueindex(NAME_DATE));
        lua_pushlstring(L, result->date, CCE_DATE_LENGTH);
        lua_rawset(L, RESULT);
    }
    if (!result->token_given && signer->security_token.data != NULL) {
        push_bytes(L, cce_secret_bytes(&signer->security_token));
        lua_setfield(L, RESULT, "X-Security-Token");
    }
    lua_pushvalue(L, lua_upvalueindex(NAME_AUTHORIZATION));
    push_bytes(L, result->authorization);
    lua_rawset(L, RESULT);
    lua_pushvalue(L, RESULT);
}

/* One method of a spec: how far it goes, and what it pushes (one value). */
struct method {
    bool copies_headers;
    int (*compute)(struct cce_signer *signer,
                   const struct cce_sign_request *request,
                   struct cce_sign_result *result, struct cce_error *err);
    void (*push)(lua_State *L, const struct cce_signer *signer,
                 const struct cce_sign_result *result);
};

/* Should a push run out of memory, the signer still owns what it keeps. */
static int apply(lua_State *L, const struct method *method)
{
    struct lsigner *object = to_open(L);
    struct cce_sign_result result;
    struct cce_error err;
    struct spec spec;
    int pushed = 1;

    init_spec(&spec, method->copies_headers, &err);
    if (check_spec(L, object, &spec) != 0)
        return lcce_fail(L, &err);
    if (method->compute(&object->signer, &spec.request, &result, &err) != 0)
        pushed = lcce_fail(L, &err);
    else
        method->push(L, &object->signer, &result);
    cce_sign_forget(&object->signer);
    return pushed;
}

static int l_signer_sign(lua_State *L)
{
    static const struct method method = {true, cce_sign_request, push_headers};

    return apply(L, &method);
}

static void push_stages(lua_State *L, const struct cce_signer *signer,
                        const struct cce_sign_result *result)
{
    (void)signer;
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

static void push_canonical(lua_State *L, const struct cce_signer *signer,
                           const struct cce_sign_result *result)
{
    (void)signer;
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
    *string = to_bytes(L, 3);
    if (lua_type(L, 2) == LUA_TNUMBER) {
        *date = (struct cce_bytes){text, CCE_DATE_LENGTH};
        return format_date(lua_tonumber(L, 2), text, err);
    }
    luaL_checktype(L, 2, LUA_TSTRING);
    *date = to_bytes(L, 2);
    return 0;
}

static int l_signer_string_to_sign(lua_State *L)
{
    struct cce_signer *signer = &to_open(L)->signer;
    char text[CCE_DATE_LENGTH + 1];
    struct cce_bytes date, canonical;
    struct cce_sign_result result;
    struct cce_error err;

    if (check_stage(L, text, &date, &canonical, &err) != 0 ||
        cce_sign_string(signer, date, canonical, &result, &err) != 0)
        return lcce_fail(L, &err);
    push_bytes(L, result.string_to_sign);
    cce_sign_forget(signer);
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

static int l_signer_close(lua_State *L)
{
    struct lsigner *object = luaL_checkudata(L, 1, LCCE_SIGNER);

    cce_sign_cleanup(&object->signer);
    return 0;
}

/* An access key's id is no secret, but a log needs no more than its start. */
static int l_signer_tostring(lua_State *L)
{
    const struct lsigner *object = luaL_checkudata(L, 1, LCCE_SIGNER);
    const struct cce_signer *signer = &object->signer;

    if (signer->algorithm == NULL) {
        lua_pushliteral(L, LCCE_SIGNER ": closed");
        return 1;
    }
    lua_pushfstring(L, LCCE_SIGNER ": %s AK ", cce_sign_algorithm_name(signer));
    lua_pushlstring(L, signer->ak, strlen(signer->ak) > 8 ? 4 : 1);
    lua_pushliteral(L, "\xe2\x80\xa6");
    lua_concat(L, 3);
    return 1;
}

int lcce_open_sign(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"sign", l_signer_sign},
        {"explain", l_signer_explain},
        {"canonical_request", l_signer_canonical_request},
        {"string_to_sign", l_signer_string_to_sign},
        {"signature", l_signer_signature},
        {NULL, NULL},
    };

    static const luaL_Reg none[] = {{NULL, NULL}};

    lcce_newclass(L, LCCE_SIGNER, none, l_signer_close, l_signer_tostring);
    luaL_getmetatable(L, LCCE_SIGNER);
    lua_getfield(L, -1, "__index");
    lua_insert(L, -2);
    lua_pushliteral(L, "Host");
    lua_pushliteral(L, "X-Sdk-Date");
    lua_pushliteral(L, "Authorization");
    luaL_setfuncs(L, methods, UPVALUES);
    lua_pop(L, 1);
    lua_pushcfunction(L, l_signer_new);
    lua_setfield(L, -2, "signer");
    return 0;
}
