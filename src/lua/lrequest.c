#include "lua/lrequest.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lua/lsecret.h"
#include "lua/lutil.h"

static struct cce_bytes string_field(lua_State *L, const char *key)
{
    if (lua_type(L, -1) != LUA_TSTRING)
        lcce_option_error(L, key, "string expected, got %s",
                          luaL_typename(L, -1));
    return lcce_to_bytes(L, -1);
}

#if LUA_VERSION_NUM >= 502
#define lcce_copy(L, from, to) lua_copy(L, from, to)
#else
#define lcce_copy(L, from, to) (lua_pushvalue(L, from), lua_replace(L, to))
#endif

static int read_method(lua_State *L, struct lcce_request *request)
{
    request->sign.method = string_field(L, "method");
    return 0;
}

static int read_host(lua_State *L, struct lcce_request *request)
{
    request->sign.host = string_field(L, "host");
    if (request->wants_headers)
        lcce_copy(L, -1, LCCE_REQUEST_HOST);
    if (request->sign.host.length == 0)
        return cce_fail(request->err, CCE_INVALID_ARGUMENT,
                        "host must not be empty");
    return 0;
}

static int read_path(lua_State *L, struct lcce_request *request)
{
    request->sign.path = string_field(L, "path");
    return 0;
}

/* Strings and secrets, in the order in which they are sent. */
static int read_parts(lua_State *L, struct lcce_request *request)
{
    size_t count = lua_rawlen(L, -1);

    if (count == 0 || count > CCE_REQUEST_PARTS_MAX)
        lcce_option_error(L, "body",
                          "a string expected, or a list of 1 to %d parts",
                          CCE_REQUEST_PARTS_MAX);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        request->parts[i].is_secret = lua_isuserdata(L, -1);
        request->holds_secret |= lua_isuserdata(L, -1);
        request->parts[i].bytes = lcce_option_secret(L, "body");
        lua_pop(L, 1);
    }
    request->part_count = count;
    return 0;
}

static int read_body(lua_State *L, struct lcce_request *request)
{
    if (request->visit != NULL && lua_istable(L, -1))
        return read_parts(L, request);
    request->sign.body = string_field(L, "body");
    return 0;
}

int lcce_request_date(lua_Number seconds, char text[CCE_DATE_LENGTH + 1],
                      struct cce_error *err)
{
    /* Also false for NaN; the cast needs the range. */
    if (!(seconds >= 0 && seconds < 1e15) || floor(seconds) != seconds)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "a date must be a whole number of seconds in the "
                        "years 1970 to 9999");
    return cce_date_format((int64_t)seconds, text, err);
}

static int read_date(lua_State *L, struct lcce_request *request)
{
    lua_Number seconds;

    if (lua_type(L, -1) == LUA_TNUMBER) {
        seconds = lua_tonumber(L, -1);
        if (request->visit != NULL) /* what a clock says, fraction and all */
            seconds = floor(seconds);
        request->sign.date = (struct cce_bytes){request->date, CCE_DATE_LENGTH};
        return lcce_request_date(seconds, request->date, request->err);
    }
    if (lua_type(L, -1) != LUA_TSTRING)
        lcce_option_error(L, "date", "string or number expected, got %s",
                          luaL_typename(L, -1));
    request->sign.date = lcce_to_bytes(L, -1);
    if (request->sign.date.length == 0)
        return cce_fail(request->err, CCE_INVALID_ARGUMENT,
                        "date must not be empty");
    return 0;
}

static void check_table(lua_State *L, const char *key)
{
    if (!lua_istable(L, -1))
        lcce_option_error(L, key, "table expected, got %s",
                          luaL_typename(L, -1));
}

/* What is given to a signer is also sent, so it goes to the result on the way.
 * What the engine sends may be a secret. */
static int read_headers(lua_State *L, struct lcce_request *request)
{
    struct cce_sign_request *sign = &request->sign;
    int index = lua_gettop(L);
    bool may_be_secret = request->visit != NULL;

    check_table(L, "headers");
    lua_pushnil(L);
    while (lua_next(L, index)) {
        struct cce_pair *header = &request->headers[sign->header_count];

        if (lua_type(L, -2) != LUA_TSTRING ||
            (lua_type(L, -1) != LUA_TSTRING &&
             !(may_be_secret && lua_isuserdata(L, -1))))
            lcce_option_error(L, "headers",
                              "name = \"value\" expected, got %s = %s",
                              luaL_typename(L, -2), luaL_typename(L, -1));
        if (sign->header_count++ == CCE_HTTP_HEADERS_MAX)
            return cce_fail(request->err, CCE_INVALID_ARGUMENT,
                            "a request has at most %d headers",
                            CCE_HTTP_HEADERS_MAX);
        request->holds_secret |= lua_isuserdata(L, -1);
        header->name = lcce_to_bytes(L, -2);
        header->value = may_be_secret ? lcce_option_secret(L, "headers")
                                      : lcce_to_bytes(L, -1);
        if (request->wants_headers) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, LCCE_REQUEST_RESULT);
        } else {
            lua_pop(L, 1);
        }
    }
    return 0;
}

static int read_signed_headers(lua_State *L, struct lcce_request *request)
{
    size_t count;

    check_table(L, "signed_headers");
    count = lua_rawlen(L, -1);
    if (count > CCE_HTTP_HEADERS_MAX)
        return cce_fail(request->err, CCE_INVALID_ARGUMENT,
                        "signed_headers has at most %d names",
                        CCE_HTTP_HEADERS_MAX);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        request->signed_headers[i] = string_field(L, "signed_headers");
        lua_pop(L, 1);
    }
    request->sign.signed_headers = request->signed_headers;
    request->sign.signed_count = count;
    return 0;
}

/* --- the query --- */

/* Only a whole number: a fraction has more than one text, so the caller has to
 * choose. There are as many as parameters, at most. */
static int number_text(struct lcce_request *request, lua_Number number,
                       struct cce_bytes *value)
{
    struct lcce_number *memory = &request->numbers[request->number_count];

    if (!(fabs(number) <= 9007199254740992.0) || floor(number) != number)
        return cce_fail(request->err, CCE_INVALID_ARGUMENT,
                        "a number in a query must be a whole one below 2^53: "
                        "write others as strings");
    request->number_count++;
    snprintf(memory->text, sizeof memory->text, "%.0f", (double)number);
    *value = cce_bytes_of(memory->text);
    return 0;
}

/* Adds a parameter whose value is at the top of the stack. */
static int read_parameter(lua_State *L, struct lcce_request *request,
                          struct cce_bytes name)
{
    struct cce_sign_request *sign = &request->sign;
    struct cce_bytes value = {NULL, 0};

    if (sign->query_count == request->query_capacity) {
        request->lacks_room = true;
        return -1;
    }
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        value = lcce_to_bytes(L, -1);
        break;
    case LUA_TBOOLEAN:
        value = cce_bytes_of(lua_toboolean(L, -1) ? "true" : "false");
        break;
    case LUA_TNUMBER:
        if (number_text(request, lua_tonumber(L, -1), &value) != 0)
            return -1;
        break;
    default:
        lcce_option_error(
            L, "query", "string, number or boolean expected as a value, got %s",
            luaL_typename(L, -1));
    }
    sign->query[sign->query_count++] = (struct cce_pair){name, value};
    return 0;
}

/* {name, value} at the top of the stack. */
static int read_query_pair(lua_State *L, struct lcce_request *request)
{
    struct cce_bytes name;
    int result;

    if (!lua_istable(L, -1) || lua_rawlen(L, -1) != 2)
        lcce_option_error(L, "query", "its items must be {name, value}");
    lua_rawgeti(L, -1, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
        lcce_option_error(L, "query", "string expected as a name, got %s",
                          luaL_typename(L, -1));
    name = lcce_to_bytes(L, -1);
    lua_rawgeti(L, -2, 2);
    result = read_parameter(L, request, name);
    lua_pop(L, 2);
    return result;
}

/* name = value, or name = {value, value}. */
static int read_query_field(lua_State *L, struct lcce_request *request)
{
    struct cce_bytes name = lcce_to_bytes(L, -2);
    int count;

    if (!lua_istable(L, -1))
        return read_parameter(L, request, name);
    count = (int)lua_rawlen(L, -1);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        if (read_parameter(L, request, name) != 0)
            return -1;
        lua_pop(L, 1);
    }
    return 0;
}

static int read_query(lua_State *L, struct lcce_request *request)
{
    int index = lua_gettop(L);

    check_table(L, "query");
    lua_pushnil(L);
    while (lua_next(L, index)) {
        int type = lua_type(L, -2);

        if (type != LUA_TNUMBER && type != LUA_TSTRING)
            lcce_option_error(L, "query", "a %s cannot be a name",
                              lua_typename(L, type));
        if ((type == LUA_TNUMBER ? read_query_pair(L, request)
                                 : read_query_field(L, request)) != 0)
            return -1;
        lua_pop(L, 1);
    }
    return 0;
}

/* --- the table --- */

enum { SIGNED = 1, SENT = 2, CHANGED = 4, WHOLE = SIGNED | SENT, ALL = 7 };

static const struct {
    const char *name;
    size_t length;
    int where;                                               /* it may stand */
    int (*read)(lua_State *L, struct lcce_request *request); /* value on top */
} fields[] = {
/* clang-format off */
#define FIELD(name, where) {#name, sizeof #name - 1, where, read_##name}
    /* clang-format on */
    FIELD(method, WHOLE),  FIELD(path, ALL),
    FIELD(body, ALL),      FIELD(host, SIGNED),
    FIELD(headers, WHOLE), FIELD(query, ALL),
    FIELD(date, ALL),      FIELD(signed_headers, SIGNED),
#undef FIELD
};

/* Reads the value at the top. A number as key becomes a string here, which
 * would break the walk; but then it is unknown, and ends it. */
static int read_field(lua_State *L, struct lcce_request *request)
{
    const struct cce_sign_prepared *prepared = request->prepared;
    struct cce_bytes key = lcce_to_bytes(L, -2);
    int where = request->visit != NULL ? SENT
                : prepared != NULL     ? CHANGED
                                       : SIGNED;

    if (key.data == NULL)
        return luaL_error(L, "an option's name must be a string, not a %s",
                          luaL_typename(L, -2));
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (key.length == fields[i].length && *key.data == *fields[i].name &&
            memcmp(key.data, fields[i].name, key.length) == 0 &&
            (fields[i].where & where) != 0)
            return fields[i].read(L, request);
    /* What fills a place of the path of a prepared request. */
    for (size_t i = 0; prepared != NULL && i < prepared->place_count; i++)
        if (cce_bytes_same(key, cce_bytes_of(prepared->places[i].name))) {
            request->ids[i] = string_field(L, prepared->places[i].name);
            return 0;
        }
    if (request->visit == NULL || strlen(key.data) != key.length ||
        !request->visit(L, key.data, request->context))
        return luaL_error(L, "unknown option '%s'", key.data);
    return 0;
}

static int read_fields(lua_State *L, struct lcce_request *request)
{
    lua_pushnil(L);
    while (lua_next(L, LCCE_REQUEST_SPEC)) {
        if (read_field(L, request) != 0)
            return -1;
        lua_pop(L, 1);
    }
    return 0;
}

/* Room for four times the parameters, and the request as it was before it was
 * read: what it points to may be gone now. */
static void start_anew(lua_State *L, struct lcce_request *request)
{
    struct cce_sign_request *sign = &request->sign;
    size_t capacity = request->query_capacity * 4;

    lua_settop(L, LCCE_REQUEST_OWN);
    if (request->wants_headers) {
        lua_newtable(L);
        lua_replace(L, LCCE_REQUEST_RESULT);
    }
    memset(sign, 0, sizeof *sign);
    sign->query = lua_newuserdata(
        L, capacity * (sizeof *sign->query + sizeof *request->numbers));
    lua_replace(L, LCCE_REQUEST_ANCHOR);
    sign->headers = request->headers;
    request->numbers = (struct lcce_number *)(sign->query + capacity);
    request->query_capacity = capacity;
    request->number_count = request->part_count = 0;
    request->lacks_room = false;
    memset(request->ids, 0, sizeof request->ids);
    if (request->visit != NULL)
        request->visit(L, NULL, request->context);
}

int lcce_request_read(lua_State *L, struct lcce_request *request)
{
    while (read_fields(L, request) != 0) {
        if (!request->lacks_room)
            return -1;
        start_anew(L, request);
    }
    if (request->prepared == NULL && request->sign.method.data == NULL)
        lcce_option_error(L, "method", "it is missing");
    return 0;
}

void lcce_request_init(struct lcce_request *request, bool wants_headers,
                       struct cce_error *err)
{
    memset(&request->sign, 0, sizeof request->sign);
    request->sign.query = request->query_held;
    request->sign.headers = request->headers;
    request->numbers = request->numbers_held;
    request->query_capacity = LCCE_REQUEST_HELD;
    request->number_count = request->part_count = 0;
    request->lacks_room = request->holds_secret = false;
    request->date[0] = '\0';
    request->wants_headers = wants_headers;
    request->prepared = NULL;
    request->visit = NULL;
    request->context = NULL;
    request->err = err;
}
