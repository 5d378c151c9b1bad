/*
 * lengine: core.engine and what belongs to no engine: core.step,
 * core.endpoint, core.check_proxy.
 */
#include "lua/lengine.h"

#include "core/wire/endpoint.h"
#include "lua/core.h"
#include "lua/lsubmission.h"
#include "lua/lutil.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define ENGINE "cce.engine"

enum {
    MAX_ENGINES = 1024,
    STEP_MS = 100 /* a signal is noticed after so long at the latest */
};

static struct lcce_engine_box *check_engine(lua_State *L, int index)
{
    struct lcce_engine_box *box = luaL_checkudata(L, index, ENGINE);

    luaL_argcheck(L, box->engine != NULL || box->thread != NULL, index,
                  "the engine is closed");
    return box;
}

/* For what only the caller of an engine without a thread does. */
static struct cce_engine *check_driven(lua_State *L, int index)
{
    struct lcce_engine_box *box = check_engine(L, index);

    luaL_argcheck(L, box->engine != NULL, index,
                  "the engine has a thread that drives it");
    return box->engine;
}

struct cce_thread *lcce_check_thread(lua_State *L, int index)
{
    struct lcce_engine_box *box = check_engine(L, index);

    luaL_argcheck(L, box->thread != NULL, index, "the engine has no thread");
    return box->thread;
}

static int l_engine_close(lua_State *L)
{
    struct lcce_engine_box *box = luaL_checkudata(L, 1, ENGINE);
    struct lcce_engine_box closing = *box;

    memset(box, 0, sizeof *box);
    cce_engine_free(closing.engine);
    cce_thread_free(closing.thread);
    return 0;
}

/* ---- core.engine{…} ---- */

enum option_type { OPTION_STRING, OPTION_COUNT, OPTION_SECONDS, OPTION_MS };

static const struct engine_option {
    const char *name;
    enum option_type type;
    size_t offset;
} engine_options[] = {
    {"ca_file", OPTION_STRING, offsetof(struct cce_engine_options, ca_file)},
    {"proxy", OPTION_STRING, offsetof(struct cce_engine_options, proxy)},
    {"proxy_ca_file", OPTION_STRING,
     offsetof(struct cce_engine_options, proxy_ca_file)},
    {"no_proxy", OPTION_STRING, offsetof(struct cce_engine_options, no_proxy)},
    {"user_agent", OPTION_STRING,
     offsetof(struct cce_engine_options, user_agent)},
    {"max_connections", OPTION_COUNT,
     offsetof(struct cce_engine_options, max_connections)},
    {"max_idle", OPTION_SECONDS,
     offsetof(struct cce_engine_options, max_idle_seconds)},
    {"connect_timeout", OPTION_MS,
     offsetof(struct cce_engine_options, connect_timeout_ms)},
};

struct engine_settings {
    struct cce_engine_options options;
    bool threaded;
};

static bool visit_engine_option(lua_State *L, const char *key, void *context)
{
    struct engine_settings *settings = context;
    size_t count = sizeof engine_options / sizeof engine_options[0];

    if (strcmp(key, "threaded") == 0) {
        settings->threaded = lcce_option_boolean(L, key);
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        const struct engine_option *option = &engine_options[i];
        char *field = (char *)&settings->options + option->offset;
        double number;

        if (strcmp(key, option->name) != 0)
            continue;
        if (option->type == OPTION_STRING) {
            *(const char **)field = lcce_option_string(L, key);
            return true;
        }
        number =
            lcce_option_number(L, key) * (option->type == OPTION_MS ? 1000 : 1);
        if (!(number >= 1 && number <= 2147483647)) /* nor NaN */
            lcce_option_error(L, key, "out of range");
        *(long *)field = (long)number;
        return true;
    }
    return false;
}

/* The object comes first: what it allocates may run a finalizer that changes
 * the options. */
static int l_engine_new(lua_State *L)
{
    struct engine_settings settings = {0};
    struct cce_error err;
    struct lcce_engine_box *box;
    int result;

    lua_settop(L, 1);
    box = lcce_newobject(L, ENGINE, sizeof *box);

    /* The engine's uservalue is {engine, transfers = {[pointer] = transfer}}
     * with weak values there. Each transfer has the same one: it keeps its
     * engine, but the engine does not keep it, so that a call without a waiter
     * ends. */
    lua_newtable(L);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, 1);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "transfers");
    lcce_setuservalue(L, -2);

    if (!lua_isnil(L, 1))
        lcce_options(L, 1, visit_engine_option, &settings);
    result = settings.threaded
                 ? cce_thread_new(&box->thread, &settings.options, &err)
                 : cce_engine_new(&box->engine, &settings.options, &err);
    return result == 0 ? 1 : lcce_fail(L, &err);
}

/* ---- engine methods ---- */

/* A new userdata may run finalizers, and these close anything: so it comes
 * first, then the reading, and then the engine is looked at. */
static int l_engine_submit(lua_State *L)
{
    struct lcce_engine_box *engine;
    struct lcce_submission s;
    struct lcce_transfer_box *box;
    struct cce_error err;

    check_engine(L, 1);
    lua_settop(L, LCCE_REQUEST_SPEC);
    box = lcce_newobject(L, LCCE_TRANSFER, sizeof *box);
    lua_settop(L, LCCE_REQUEST_OWN);
    if (lcce_submission_read(L, &s, &err) != 0)
        return lcce_fail(L, &err);
    engine = check_engine(L, 1);
    if (lcce_submission_start(engine, &s, box, &err) != 0)
        return lcce_fail(L, &err);
    lua_settop(L, LCCE_REQUEST_SPEC + 1);
    if (box->transfer == NULL) /* the thread of the engine has it */
        return 1;

    /* Found again by engine:finished. */
    lcce_getuservalue(L, 1);
    lua_pushvalue(L, -1);
    lcce_setuservalue(L, LCCE_REQUEST_SPEC + 1);
    lua_getfield(L, -1, "transfers");
    lua_pushlightuserdata(L, box->transfer);
    lua_pushvalue(L, LCCE_REQUEST_SPEC + 1);
    lua_rawset(L, -3);
    lua_settop(L, LCCE_REQUEST_SPEC + 1);
    return 1;
}

/* -1, which is without end, for what is negative or no number. */
static int milliseconds_of(lua_Number seconds)
{
    if (!(seconds >= 0))
        return -1;
    return seconds > 86400 ? 86400000 : (int)(seconds * 1000);
}

static int l_engine_step(lua_State *L)
{
    struct cce_engine *engine = check_driven(L, 1);
    int milliseconds = milliseconds_of(luaL_optnumber(L, 2, 0));
    struct cce_error err;

    if (cce_engine_step(engine, milliseconds, &err) != 0)
        return lcce_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* Passes over those whose userdata is garbage but not yet finalized. */
static int l_engine_finished(lua_State *L)
{
    struct cce_engine *engine = check_driven(L, 1);
    struct cce_transfer *transfer = cce_engine_next_finished(engine);

    lua_settop(L, 1);
    lcce_getuservalue(L, 1);
    lua_getfield(L, -1, "transfers");
    while (transfer != NULL) {
        lua_pushlightuserdata(L, transfer);
        lua_rawget(L, 3);
        if (!lua_isnil(L, -1))
            return 1;
        lua_settop(L, 3);
        transfer = cce_engine_next_finished(engine);
    }
    return 0;
}

static int l_engine_fd(lua_State *L)
{
    lua_pushinteger(L, cce_engine_fd(check_driven(L, 1)));
    return 1;
}

/* Of an engine with a thread: also those that have ended and still exist. */
static int l_engine_in_flight(lua_State *L)
{
    struct lcce_engine_box *box = check_engine(L, 1);
    size_t count = box->thread != NULL ? cce_thread_jobs(box->thread)
                                       : cce_engine_in_flight(box->engine);

    lua_pushinteger(L, (lua_Integer)count);
    return 1;
}

static int l_engine_inherited(lua_State *L)
{
    struct lcce_engine_box *box = check_engine(L, 1);

    lua_pushboolean(L, box->thread != NULL
                           ? cce_thread_is_inherited(box->thread)
                           : cce_engine_is_inherited(box->engine));
    return 1;
}

static int l_engine_socket(lua_State *L)
{
    char path[PATH_MAX];

    /* The push itself may run a finalizer that closes the engine. */
    snprintf(path, sizeof path, "%s",
             cce_thread_socket(lcce_check_thread(L, 1)));
    lua_pushstring(L, path);
    return 1;
}

/* Lua's Ctrl-C is a hook that runs at the next instruction of Lua: so a wait
 * in C runs one now and then. What it raises leaves through here. */
static int l_engine_call(lua_State *L)
{
    struct cce_error err;
    struct lcce_transfer_box *transfer;
    int results;

    check_driven(L, 1);
    results = l_engine_submit(L);
    if (results != 1)
        return results;
    transfer = lcce_check_transfer(L, -1);
    while (!lcce_transfer_is_finished(transfer)) {
        if (cce_engine_step(check_driven(L, 1), STEP_MS, &err) != 0)
            return lcce_fail(L, &err);
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_call(L, 0, 0);
        transfer = lcce_check_transfer(L, -1); /* a hook may have closed it */
    }
    /* Left among the finished, it would let no later step wait. */
    cce_engine_release(transfer->transfer);
    lua_replace(L, 1);
    lua_settop(L, 1);
    return lcce_transfer_result(L);
}

/* core.step({engine, …}, seconds): waits for any of several engines, and lets
 * each handle what there is. */
static int l_step(lua_State *L)
{
    struct pollfd descriptors[MAX_ENGINES];
    int milliseconds = milliseconds_of(luaL_checknumber(L, 2));
    int count;
    struct cce_error err;

    luaL_checktype(L, 1, LUA_TTABLE);
    count = (int)lua_rawlen(L, 1);
    luaL_argcheck(L, count <= MAX_ENGINES, 1, "too many engines");
    luaL_checkstack(L, count, "too many engines");
    lua_settop(L, 2);
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, 1, i + 1);
        descriptors[i].fd = cce_engine_fd(check_driven(L, -1));
        descriptors[i].events = POLLIN;
    }
    poll(descriptors, (nfds_t)count, milliseconds);
    for (int i = 0; i < count; i++)
        if (cce_engine_step(check_driven(L, 3 + i), 0, &err) != 0)
            return lcce_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* core.endpoint(text[, purpose]) -> host, path, whether it is this machine
 * | nil, message, code */
static int l_endpoint(lua_State *L)
{
    static const char *const purposes[] = {"api", "metadata", "pod", NULL};
    const char *text = lcce_check_text(L, 1);
    int purpose = luaL_checkoption(L, 2, "api", purposes);
    struct cce_endpoint endpoint;
    struct cce_error err;

    if (cce_endpoint_parse((enum cce_purpose)purpose, &endpoint, text, &err) !=
        0)
        return lcce_fail(L, &err);
    lua_pushstring(L, endpoint.host);
    lua_pushstring(L, endpoint.path);
    lua_pushboolean(L, endpoint.loopback);
    return 3;
}

/* core.show_address(text): what a message may show of an address. */
static int l_show_address(lua_State *L)
{
    char shown[CCE_URI_SHOWN];

    cce_uri_show(luaL_checkstring(L, 1), shown);
    lua_pushstring(L, shown);
    return 1;
}

/* core.check_proxy(text) -> true | nil, message, code */
static int l_check_proxy(lua_State *L)
{
    struct cce_error err;

    if (cce_engine_check_proxy(lcce_check_text(L, 1), &err) != 0)
        return lcce_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* core.libraries(): the versions of libcurl and of what it is built on. */
static int l_libraries(lua_State *L)
{
    lua_pushstring(L, cce_engine_libraries());
    return 1;
}

int lcce_open_engine(lua_State *L)
{
    static const luaL_Reg engine_methods[] = {
        {"submit", l_engine_submit},       {"step", l_engine_step},
        {"finished", l_engine_finished},   {"fd", l_engine_fd},
        {"in_flight", l_engine_in_flight}, {"inherited", l_engine_inherited},
        {"socket", l_engine_socket},       {NULL, NULL},
    };

    lcce_newclass(L, ENGINE, engine_methods, l_engine_close, NULL);
    lcce_open_transfer(L);
    luaL_getmetatable(L, ENGINE);
    lua_getfield(L, -1, "__index");
    /* A function of Lua for engine:call, in which a pending hook runs. */
    if (luaL_loadstring(L, "return") != 0)
        return lua_error(L);
    lua_pushcclosure(L, l_engine_call, 1);
    lua_setfield(L, -2, "call");
    lua_pop(L, 2);
    lua_pushcfunction(L, l_engine_new);
    lua_setfield(L, -2, "engine");
    lua_pushcfunction(L, l_step);
    lua_setfield(L, -2, "step");
    lua_pushcfunction(L, l_libraries);
    lua_setfield(L, -2, "libraries");
    lua_pushcfunction(L, l_check_proxy);
    lua_setfield(L, -2, "check_proxy");
    lua_pushcfunction(L, l_endpoint);
    lua_setfield(L, -2, "endpoint");
    lua_pushcfunction(L, l_show_address);
    lua_setfield(L, -2, "show_address");
    return 0;
}
