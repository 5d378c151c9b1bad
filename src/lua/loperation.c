/*
 * loperation: core.operation and core.operations.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/wire/operation.h"
#include "lua/core.h"
#include "lua/lutil.h"

/* ===== What comes in ===== */

/* Reads the value at the top, which must be of a type. A zero byte in a string
 * is left to the checks: it is a bad value, not wrong use. */
static void read_typed(lua_State *L, const char *name, enum cce_value_type type,
                       struct cce_value *value)
{
    static const char *const types[] = {
        [CCE_VALUE_NONE] = "nothing",
        [CCE_VALUE_BOOLEAN] = "boolean",
        [CCE_VALUE_NUMBER] = "number",
        [CCE_VALUE_STRING] = "string",
    };

    memset(value, 0, sizeof *value);
    switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
        value->type = CCE_VALUE_BOOLEAN;
        value->boolean = lua_toboolean(L, -1);
        break;
    case LUA_TNUMBER:
        value->type = CCE_VALUE_NUMBER;
        value->number = (double)lua_tonumber(L, -1);
        break;
    case LUA_TSTRING:
        value->type = CCE_VALUE_STRING;
        value->string = lua_tolstring(L, -1, &value->length);
        break;
    default:
        break;
    }
    if (value->type != type)
        lcce_option_error(L, name, "%s expected, got %s", types[type],
                          luaL_typename(L, -1));
}

static bool visit_id(lua_State *L, const char *key, void *context)
{
    struct cce_value *ids = context;

    for (int id = 0; id < CCE_ID_COUNT; id++)
        if (strcmp(key, cce_operation_id_name(id)) == 0) {
            read_typed(L, key, CCE_VALUE_STRING, &ids[id]);
            return true;
        }
    return false;
}

/* From here on the stack holds the fields' values while the request points to
 * them: a finalizer may change the tables that they came from. */
enum { VALUES = 5 };

struct fields {
    const struct cce_operation *operation;
    const char *group; /* the sub-table under way, or NULL */
    struct cce_value values[CCE_OPERATION_FIELDS_MAX];
};

/* The field that is called `key` in the table under way. */
static bool read_field(lua_State *L, const char *key, struct fields *fields)
{
    const struct cce_operation *operation = fields->operation;
    const char *group = fields->group;
    size_t length = group != NULL ? strlen(group) : 0;

    for (size_t i = 0; i < operation->field_count; i++) {
        const struct cce_operation_field *field = &operation->fields[i];
        const char *member = field->name;

        if (group != NULL) {
            if (strncmp(member, group, length) != 0 || member[length] != '.')
                continue;
            member += length + 1;
        }
        if (strcmp(member, key) == 0) {
            read_typed(L, field->name, cce_operation_field_type(field),
                       &fields->values[i]);
            lua_pushvalue(L, -1);
            lua_replace(L, VALUES + (int)i);
            return true;
        }
    }
    return false;
}

static bool is_group(const struct cce_operation *operation, const char *key)
{
    size_t length = strlen(key);

    for (size_t i = 0; i < operation->field_count; i++)
        if (strncmp(operation->fields[i].name, key, length) == 0 &&
            operation->fields[i].name[length] == '.')
            return true;
    return false;
}

static bool visit_member(lua_State *L, const char *key, void *context)
{
    struct fields *fields = context;

    if (!read_field(L, key, fields))
        luaL_error(L, "unknown option '%s.%s'", fields->group, key);
    return true;
}

static bool visit_field(lua_State *L, const char *key, void *context)
{
    struct fields *fields = context;

    /* "cert_content.ca" is a name of ours, not an option. */
    if (strchr(key, '.') == NULL && read_field(L, key, fields))
        return true;
    if (!is_group(fields->operation, key))
        return false;
    if (!lua_istable(L, -1))
        lcce_option_error(L, key, "table expected, got %s",
                          luaL_typename(L, -1));
    fields->group = key;
    lcce_options(L, -1, visit_member, fields);
    fields->group = NULL;
    return true;
}

static int64_t read_now(lua_State *L, int index)
{
    lua_Number now;

    if (lua_isnoneornil(L, index))
        return time(NULL);
    luaL_checktype(L, index, LUA_TNUMBER);
    now = lua_tonumber(L, index);
    /* To the year 9999, so that every sum stays a date. */
    luaL_argcheck(L, now >= 0 && now <= 253402300799.0, index,
                  "not a unix time");
    return (int64_t)floor((double)now);
}

/* ===== What goes out ===== */

static void push_wire(lua_State *L, const struct cce_value *value)
{
    if (value->type == CCE_VALUE_STRING)
        lua_pushlstring(L, value->string, value->length);
    else if (value->type == CCE_VALUE_BOOLEAN)
        lua_pushboolean(L, value->boolean);
    else /* whole by now, and never written as "30.0" */
        lua_pushinteger(L, (lua_Integer)value->number);
}

/* Pushes the sub-table for "group.member" of the table at `index`, made when
 * it is not there, or the table itself; returns the member's name. */
static const char *push_parent(lua_State *L, int index, const char *wire)
{
    const char *dot = strchr(wire, '.');

    if (dot == NULL) {
        lua_pushvalue(L, index);
        return wire;
    }
    lua_pushlstring(L, wire, (size_t)(dot - wire));
    lua_rawget(L, index);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushlstring(L, wire, (size_t)(dot - wire));
        lua_pushvalue(L, -2);
        lua_rawset(L, index);
    }
    return dot + 1;
}

/* Pushes the body as a Lua table; returns the number of its fields. */
static int push_body(lua_State *L, const struct cce_operation_request *request)
{
    const struct cce_operation *operation = request->operation;
    int index, count = 0;

    lua_newtable(L);
    index = lua_gettop(L);
    for (size_t i = 0; i < operation->field_count; i++) {
        const struct cce_operation_field *field = &operation->fields[i];
        const char *member;

        if (field->place != CCE_FIELD_BODY ||
            request->wire[i].type == CCE_VALUE_NONE)
            continue;
        member = push_parent(L, index, field->wire);
        push_wire(L, &request->wire[i]);
        lua_setfield(L, -2, member);
        lua_pop(L, 1);
        count++;
    }
    return count;
}

/* Appends {name, value}, the value being at the top, to the list below it. */
static void append_pair(lua_State *L, const char *name)
{
    lua_createtable(L, 2, 0);
    lua_pushstring(L, name);
    lua_rawseti(L, -2, 1);
    lua_insert(L, -2);
    lua_rawseti(L, -2, 2);
    lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
}

/* Appends {name, the value at the top} to `query` of the request below it. */
static void add_query(lua_State *L, const char *name)
{
    lua_getfield(L, -2, "query");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, -4, "query");
    }
    lua_insert(L, -2);
    append_pair(L, name);
    lua_pop(L, 1);
}

static void set_query(lua_State *L, const struct cce_operation_request *request)
{
    const struct cce_operation *operation = request->operation;

    if (operation->fixed_query[0] != NULL) {
        lua_pushstring(L, operation->fixed_query[1]);
        add_query(L, operation->fixed_query[0]);
    }
    for (size_t i = 0; i < operation->field_count; i++)
        if (operation->fields[i].place == CCE_FIELD_QUERY &&
            request->wire[i].type != CCE_VALUE_NONE) {
            push_wire(L, &request->wire[i]);
            add_query(L, operation->fields[i].wire);
        }
}

/* The caller adds one. */
enum { REQUEST_FIELDS = 7 };

/* Takes the request and the encoder of JSON. */
static int push_request(lua_State *L)
{
    const struct cce_operation_request *request = lua_touserdata(L, 1);
    const struct cce_operation *operation = request->operation;

    lua_createtable(L, 0, REQUEST_FIELDS);
    lua_pushstring(L, operation->name);
    lua_setfield(L, -2, "operation");
    lua_pushstring(L, operation->method);
    lua_setfield(L, -2, "method");
    lua_pushlstring(L, request->path.data, request->path.length);
    lua_setfield(L, -2, "path");
    lua_pushboolean(L, operation->mutating);
    lua_setfield(L, -2, "mutating");
    set_query(L, request);

    /* Without fields there is no body. */
    lua_pushvalue(L, 2);
    if (push_body(L, request) == 0) {
        lua_pop(L, 2);
        return 1;
    }
    lua_call(L, 1, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "the body cannot be encoded");
    lua_setfield(L, -2, "body");
    return 1;
}

/*** The request for a call of the API, checked but not sent.
@function operation
@tparam string name one of `core.operations`
@tparam table ids `project_id`, and `cluster_id` or `job_id` as the path needs
@tparam[opt] table fields the call's options. obtain_cert: `duration` (days)
and/or `expire_at` (unix seconds). revoke_cert: `user_id` or `agency_id`.
rotate_credentials: `component`, `certificate_expiration_time` (hours),
`cert_content` = {ca=,cert=,private_key=} (PEM or Base64 of it). list_clusters:
`detail`, `status`, `type`, `version`
@tparam[opt] number now unix seconds by which dates and certificates are judged;
default the system's clock
@treturn table `operation`, `method`, `path` (raw; it needs no encoding),
`query` (array of {name, value}, or nil), `body` (JSON, or nil), `mutating`
@treturn[2] nil
@treturn[2] string the field, its value (unless that is a key) and what is
allowed
@treturn[2] string INVALID_ARGUMENT or NO_MEMORY
@raise when a name is unknown or a type is wrong
@usage
local request = assert(core.operation("obtain_cert",
  { project_id = "p1", cluster_id = "c1" }, { duration = 30 }))
assert(request.body == '{"duration":30}')
*/
static int l_operation(lua_State *L)
{
    const struct cce_operation *operation;
    struct cce_operation_request request = {0};
    struct cce_value ids[CCE_ID_COUNT] = {0};
    struct fields fields = {0};
    struct cce_error err;
    const char *name;
    size_t length;
    int64_t now;
    int status;

    luaL_checktype(L, 1, LUA_TSTRING);
    name = lua_tolstring(L, 1, &length);
    operation = strlen(name) == length ? cce_operation_find(name) : NULL;
    if (operation == NULL)
        return luaL_argerror(L, 1, "no such operation");
    lua_settop(L, 4);
    now = read_now(L, 4);
    lua_settop(L, VALUES + CCE_OPERATION_FIELDS_MAX - 1);

    lcce_options(L, 2, visit_id, ids);
    for (int id = 0; id < CCE_ID_COUNT; id++)
        if (cce_operation_needs_id(operation, id) &&
            ids[id].type == CCE_VALUE_NONE)
            lcce_option_error(L, cce_operation_id_name(id),
                              "string expected, got nil");
    fields.operation = operation;
    if (!lua_isnil(L, 3))
        lcce_options(L, 3, visit_field, &fields);

    /* What the request holds is freed even when there is no memory for it. */
    lua_pushcfunction(L, push_request);
    lua_pushlightuserdata(L, &request);
    lua_pushvalue(L, lua_upvalueindex(1));
    if (cce_operation_build(operation, ids, fields.values, now, &request,
                            &err) != 0)
        return lcce_fail(L, &err);
    status = lua_pcall(L, 2, 1, 0);
    cce_operation_request_cleanup(&request);
    return status == 0 ? 1 : lua_error(L);
}

/* ===== The list ===== */

/*** Every call that `operation` knows, for documentation and tests: name to
`method`, `path` (with placeholders), `action` (what IAM must allow), `mutating`
and `fields` (array of option names). Changing it changes nothing else.
@field operations
*/
static void push_operations(lua_State *L)
{
    const struct cce_operation *operation;

    lua_newtable(L);
    for (size_t i = 0; (operation = cce_operation_at(i)) != NULL; i++) {
        lua_newtable(L);
        lua_pushstring(L, operation->method);
        lua_setfield(L, -2, "method");
        lua_pushstring(L, operation->path);
        lua_setfield(L, -2, "path");
        lua_pushstring(L, operation->action);
        lua_setfield(L, -2, "action");
        lua_pushboolean(L, operation->mutating);
        lua_setfield(L, -2, "mutating");
        lua_newtable(L);
        for (size_t j = 0; j < operation->field_count; j++) {
            lua_pushstring(L, operation->fields[j].name);
            lua_rawseti(L, -2, (int)j + 1);
        }
        lua_setfield(L, -2, "fields");
        lua_setfield(L, -2, operation->name);
    }
}

/*** Whether a text may stand as an id in a path or a query.
@function is_id
@param text
@treturn boolean
*/
static int l_is_id(lua_State *L)
{
    lua_pushboolean(L, lua_type(L, 1) == LUA_TSTRING &&
                           cce_operation_is_id(lcce_to_bytes(L, 1)));
    return 1;
}

int lcce_open_operation(lua_State *L)
{
    push_operations(L);
    lua_setfield(L, -2, "operations");
    lua_pushcfunction(L, l_is_id);
    lua_setfield(L, -2, "is_id");
    lua_getfield(L, -1, "json");
    lua_getfield(L, -1, "encode");
    lua_remove(L, -2);
    lua_pushcclosure(L, l_operation, 1);
    lua_setfield(L, -2, "operation");
    return 0;
}
