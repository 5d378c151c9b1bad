#include "lua/lrequest.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/http.h"
#include "lua/lutil.h"

/* The next free one of `count` entries; false, and the request is read anew,
 * when there is none. */
static bool take_room(struct lcce_request *request, size_t *count)
{
    if (*count == request->room) {
        request->lacks_room = true;
        return false;
    }
    (*count)++;
    return true;
}

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

static int read_body(lua_State *L, struct lcce_request *request)
{
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
    if (lua_type(L, -1) == LUA_TNUMBER) {
        request->sign.date = (struct cce_bytes){request->date, CCE_DATE_LENGTH};
        return lcce_request_date(lua_tonumber(L, -1), request->date,
                                 request->err);
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

/* What is given is also sent, so it goes to the result on the way. */
static int read_header(lua_State *L, struct lcce_request *request)
{
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
        lcce_option_error(L, "headers",
                          "name = \"value\" expected, got %s = %s",
                          luaL_typename(L, -2), luaL_typename(L, -1));
    if (!take_room(request, &request->header_count))
        return -1;
    request->arrays.headers[request->header_count - 1] =
        (struct cce_pair){lcce_to_bytes(L, -2), lcce_to_bytes(L, -1)};
    if (request->wants_headers) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, LCCE_REQUEST_RESULT);
    } else {
        lua_pop(L, 1);
    }
    return 0;
}

static int read_headers(lua_State *L, struct lcce_request *request)
{
    int index = lua_gettop(L);

    check_table(L, "headers");
    lua_pushnil(L);
    while (lua_next(L, index))
        if (read_header(L, request) != 0)
            return -1;
    return 0;
}

static int read_signed_headers(lua_State *L, struct lcce_request *request)
{
    struct cce_bytes *names = request->arrays.names;
    size_t count;

    check_table(L, "signed_headers");
    count = lua_rawlen(L, -1);
    if (count > CCE_HTTP_HEADERS_MAX)
        return cce_fail(request->err, CCE_INVALID_ARGUMENT,
                        "signed_headers has at most %d names",
                        CCE_HTTP_HEADERS_MAX);
    if (count > request->room) {
        request->lacks_room = true;
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        names[i] = string_field(L, "signed_headers");
        lua_pop(L, 1);
    }
    request->sign.signed_headers = names;
    request->sign.signed_count = count;
    return 0;
}

/* --- the query --- */

/* Only a whole one: a fraction has more than one text, so the caller has to
 * choose. */
static int number_text(struct lcce_request *request, lua_Number number,
                       struct cce_bytes *text)
{
    char *memory;

    if (!(fabs(number) <= 9007199254740992.0) || floor(number) != number)
        return cce_fail(request->err, CCE_INVALID_ARGUMENT,
                        "a number in a query must be a whole one below 2^53: "
                        "write others as strings");
    if (!take_room(request, &request->number_count))
        return -1;
    memory = request->arrays.numbers[request->number_count - 1].text;
    snprintf(memory, sizeof(struct lcce_number), "%.0f", (double)number);
    *text = cce_bytes_of(memory);
    return 0;
}

/* A parameter with the value at the top of the stack. */
static int add_parameter(lua_State *L, struct lcce_request *request,
                         struct cce_bytes name)
{
    struct cce_bytes value = {NULL, 0};

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
        return lcce_option_error(
            L, "query", "string, number or boolean expected as a value, got %s",
            luaL_typename(L, -1));
    }
    if (!take_room(request, &request->query_count))
        return -1;
    request->arrays.query[request->query_count - 1] =
        (struct cce_pair){name, value};
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
    result = add_parameter(L, request, name);
    lua_pop(L, 2);
    return result;
}

/* name = value, or name = {value, value}. */
static int read_query_field(lua_State *L, struct lcce_request *request)
{
    struct cce_bytes name = lcce_to_bytes(L, -2);
    int count;

    if (!lua_istable(L, -1))
        return add_parameter(L, request, name);
    count = (int)lua_rawlen(L, -1);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        if (add_parameter(L, request, name) != 0)
            return -1;
        lua_pop(L, 1);
    }
    return 0;
}

static int read_query_item(lua_State *L, struct lcce_request *request)
{
    switch (lua_type(L, -2)) {
    case LUA_TNUMBER:
        return read_query_pair(L, request);
    case LUA_TSTRING:
        return read_query_field(L, request);
    default:
        return lcce_option_error(L, "query", "a %s cannot be a name",
                                 luaL_typename(L, -2));
    }
}

static int read_query(lua_State *L, struct lcce_request *request)
{
    int index = lua_gettop(L);

    check_table(L, "query");
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (read_query_item(L, request) != 0)
            return -1;
        lua_pop(L, 1);
    }
    return 0;
}

/* --- the spec --- */

static const struct {
    const char *name;
    size_t length;
    int (*read)(lua_State *L, struct lcce_request *request); /* value on top */
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
static int read_field(lua_State *L, struct lcce_request *request)
{
    struct cce_bytes key = lcce_to_bytes(L, -2);

    if (key.data == NULL)
        return luaL_error(L, "an option's name must be a string, not a %s",
                          luaL_typename(L, -2));
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (key.length == fields[i].length && *key.data == *fields[i].name &&
            memcmp(key.data, fields[i].name, key.length) == 0)
            return fields[i].read(L, request);
    return luaL_error(L, "unknown option '%s'", key.data);
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

/* Four times the room, in one userdata, and an empty result: whatever was read
 * may be gone by then. */
static void make_room(lua_State *L, struct lcce_request *request)
{
    struct lcce_request_arrays *arrays = &request->arrays;
    size_t room = request->room * 4;

    lua_settop(L, LCCE_REQUEST_OWN);
    if (request->wants_headers) {
        lua_newtable(L);
        lua_replace(L, LCCE_REQUEST_RESULT);
    }
    arrays->query = lua_newuserdata(L, room * (2 * sizeof *arrays->query +
                                               sizeof *arrays->names +
                                               sizeof *arrays->numbers));
    lua_replace(L, LCCE_REQUEST_ANCHOR);
    arrays->headers = arrays->query + room;
    arrays->names = (struct cce_bytes *)(arrays->headers + room);
    arrays->numbers = (struct lcce_number *)(arrays->names + room);
    request->room = room;
}

int lcce_request_read(lua_State *L, struct lcce_request *request)
{
    while (read_fields(L, request) != 0) {
        if (!request->lacks_room)
            return -1;
        make_room(L, request);
        memset(&request->sign, 0, sizeof request->sign);
        request->query_count = request->header_count = 0;
        request->number_count = 0;
        request->lacks_room = false;
    }
    if (request->sign.method.data == NULL)
        lcce_option_error(L, "method", "it is missing");
    request->sign.query = request->arrays.query;
    request->sign.query_count = request->query_count;
    request->sign.headers = request->arrays.headers;
    request->sign.header_count = request->header_count;
    return 0;
}

void lcce_request_init(struct lcce_request *request, bool wants_headers,
                       struct cce_error *err)
{
    memset(&request->sign, 0, sizeof request->sign);
    request->arrays.query = request->held_query;
    request->arrays.headers = request->held_headers;
    request->arrays.names = request->held_names;
    request->arrays.numbers = request->held_numbers;
    request->room = LCCE_REQUEST_HELD;
    request->query_count = request->header_count = request->number_count = 0;
    request->lacks_room = false;
    request->date[0] = '\0';
    request->wants_headers = wants_headers;
    request->err = err;
}
