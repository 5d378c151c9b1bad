/*
 * lsys: core.sys: processes, signals, the clock, the terminal, directories.
 */
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lua/core.h"
#include "lua/lutil.h"
#include "os/clock.h"
#include "os/file/directory.h"
#include "os/poll.h"
#include "os/port.h"
#include "os/process.h"
#include "os/terminal.h"

#define CCE_PROCESS "cce.process"
#define CCE_SIGNALS "cce.signals"

struct signals {
    bool active;
    sigset_t set, before;
};

/* ----------------------------------------------------------- arguments */

static int check_signal(lua_State *L, int index)
{
    const char *name = luaL_checkstring(L, index);
    int number = cce_process_signal_number(name);

    if (number == 0)
        luaL_argerror(L, index, "no such signal; write it like \"SIGTERM\"");
    return number;
}

static double opt_seconds(lua_State *L, int index)
{
    return luaL_optnumber(L, index, -1);
}

/* --------------------------------------------------------------- process */

static struct cce_process *check_process(lua_State *L)
{
    struct cce_process *process = luaL_checkudata(L, 1, CCE_PROCESS);

    if (process->pid == 0)
        luaL_error(L, "the process object is closed");
    return process;
}

static int l_process_finalize(lua_State *L)
{
    cce_process_end(luaL_checkudata(L, 1, CCE_PROCESS));
    return 0;
}

static int l_process_pid(lua_State *L)
{
    lua_pushinteger(L, check_process(L)->pid);
    return 1;
}

static int l_process_alive(lua_State *L)
{
    lua_pushboolean(L, cce_process_wait(check_process(L), 0) != CCE_WAIT_ENDED);
    return 1;
}

static int push_end(lua_State *L, int status)
{
    const char *name;

    if (WIFEXITED(status)) {
        lua_pushinteger(L, WEXITSTATUS(status));
        return 1;
    }
    name = cce_process_signal_name(WTERMSIG(status));
    lua_pushnil(L);
    if (name != NULL)
        lua_pushstring(L, name);
    else
        lua_pushfstring(L, "signal %d", WTERMSIG(status));
    return 2;
}

/* wait([seconds]) -> exit code | nil, signal | nil, message, code */
static int l_process_wait(lua_State *L)
{
    struct cce_process *process = check_process(L);
    struct cce_error err;

    switch (cce_process_wait(process, opt_seconds(L, 2))) {
    case CCE_WAIT_ENDED:
        return push_end(L, process->status);
    case CCE_WAIT_TIMEOUT:
        cce_fail(&err, CCE_TIMEOUT, "the process still runs");
        break;
    case CCE_WAIT_INTERRUPTED:
        cce_fail(&err, CCE_CANCELLED, "a signal ended the wait");
        break;
    }
    return lcce_fail(L, &err);
}

static int l_process_signal(lua_State *L)
{
    int number = check_signal(L, 2);
    struct cce_error err;

    if (cce_process_kill(check_process(L), number, &err) != 0)
        return lcce_fail(L, &err);
    lua_pushboolean(L, true);
    return 1;
}

static const luaL_Reg process_methods[] = {
    {"pid", l_process_pid},
    {"alive", l_process_alive},
    {"wait", l_process_wait},
    {"signal", l_process_signal},
    {NULL, NULL},
};

struct spawn_options {
    struct cce_spawn spawn;
    int anchor; /* a table that keeps the arrays alive */
};

/* The strings of the array at the top of the stack, in memory that the anchor
 * keeps. */
static char **option_array(lua_State *L, const char *key,
                           struct spawn_options *options)
{
    char **strings;
    size_t count;

    if (lua_type(L, -1) != LUA_TTABLE)
        lcce_option_error(L, key, "array of strings expected, got %s",
                          luaL_typename(L, -1));
    count = lua_rawlen(L, -1);
    strings = lua_newuserdata(L, (count + 1) * sizeof *strings);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -2, (int)i + 1);
        strings[i] = (char *)lcce_option_string(L, key);
        lua_pop(L, 1);
    }
    strings[count] = NULL;
    lua_setfield(L, options->anchor, key);
    return strings;
}

static bool visit_spawn(lua_State *L, const char *key, void *context)
{
    static const char *const files[] = {"stdin", "stdout", "stderr"};
    struct spawn_options *options = context;

    for (int fd = 0; fd < 3; fd++) {
        if (strcmp(key, files[fd]) == 0) {
            options->spawn.file[fd] = lcce_option_string(L, key);
            return true;
        }
    }
    if (strcmp(key, "argv") == 0)
        options->spawn.argv = option_array(L, key, options);
    else if (strcmp(key, "env") == 0)
        options->spawn.env = option_array(L, key, options);
    else if (strcmp(key, "die_with_parent") == 0)
        options->spawn.die_with_parent = lcce_option_boolean(L, key);
    else
        return false;
    return true;
}

/* spawn{argv=, env=, stdin=, stdout=, stderr=, die_with_parent=} */
static int l_sys_spawn(lua_State *L)
{
    struct spawn_options options = {0};
    struct cce_process *process;
    struct cce_error err;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_newtable(L);
    options.anchor = lua_gettop(L);
    lcce_options(L, 1, visit_spawn, &options);
    if (options.spawn.argv == NULL || options.spawn.argv[0] == NULL)
        lcce_option_error(L, "argv", "the program and its arguments expected");
    process = lcce_newobject(L, CCE_PROCESS, sizeof *process);
    if (cce_process_spawn(process, &options.spawn, &err) != 0)
        return lcce_fail(L, &err);
    return 1;
}

/* --------------------------------------------------------------- signals */

static int l_signals_finalize(lua_State *L)
{
    struct signals *signals = luaL_checkudata(L, 1, CCE_SIGNALS);

    if (signals->active)
        sigprocmask(SIG_SETMASK, &signals->before, NULL);
    signals->active = false;
    return 0;
}

/* wait([seconds]) -> name | nil, message, "TIMEOUT" */
static int l_signals_wait(lua_State *L)
{
    struct signals *signals = luaL_checkudata(L, 1, CCE_SIGNALS);
    struct cce_error err;
    int number;

    if (!signals->active)
        return luaL_error(L, "the signals object is closed");
    number = cce_process_take_signal(&signals->set, opt_seconds(L, 2));
    if (number == 0) {
        cce_fail(&err, CCE_TIMEOUT, "no signal came");
        return lcce_fail(L, &err);
    }
    lua_pushstring(L, cce_process_signal_name(number));
    return 1;
}

static const luaL_Reg signals_methods[] = {
    {"wait", l_signals_wait},
    {"close", l_signals_finalize},
    {NULL, NULL},
};

static int l_sys_signal_is_default(lua_State *L)
{
    lua_pushboolean(L, cce_process_signal_is_default(check_signal(L, 1)));
    return 1;
}

/* signals("SIGINT", …) -> an object that holds these signals back */
static int l_sys_signals(lua_State *L)
{
    int count = lua_gettop(L);
    struct signals *signals;
    sigset_t set;

    /* All names are read before anything is blocked: a wrong one raises. */
    sigemptyset(&set);
    luaL_checkstring(L, 1);
    for (int i = 1; i <= count; i++)
        sigaddset(&set, check_signal(L, i));
    signals = lcce_newobject(L, CCE_SIGNALS, sizeof *signals);
    signals->set = set;
    signals->active = sigprocmask(SIG_BLOCK, &set, &signals->before) == 0;
    return 1;
}

/* -------------------------------------------------------------- functions */

static int l_sys_die_with_parent(lua_State *L)
{
    struct cce_error err;

    if (cce_process_die_with_parent(check_signal(L, 1), &err) != 0)
        return lcce_fail(L, &err);
    lua_pushboolean(L, true);
    return 1;
}

static int l_sys_sleep(lua_State *L)
{
    lua_pushboolean(L, cce_clock_sleep(luaL_checknumber(L, 1)));
    return 1;
}

/* poll(fds[, seconds]) -> those of the list that can be read | nil, message,
 * code */
static int l_sys_poll(lua_State *L)
{
    size_t count, found = 0;
    double seconds = opt_seconds(L, 2);
    struct cce_error err;
    bool *ready;
    int *fds;

    luaL_checktype(L, 1, LUA_TTABLE);
    count = lua_rawlen(L, 1);
    fds = lua_newuserdata(L, (count + 1) * sizeof *fds);
    ready = lua_newuserdata(L, count + 1);
    for (size_t i = 0; i < count; i++) {
        lua_Number fd;

        lua_rawgeti(L, 1, (int)i + 1);
        fd = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
        lua_pop(L, 1);
        luaL_argcheck(L, fd >= 0 && fd <= INT_MAX && floor((double)fd) == fd, 1,
                      "descriptors expected");
        fds[i] = (int)fd;
    }
    if (cce_poll(fds, ready, count, seconds, &err) != 0)
        return lcce_fail(L, &err);
    lua_newtable(L);
    for (size_t i = 0; i < count; i++)
        if (ready[i]) {
            lua_pushinteger(L, fds[i]);
            lua_rawseti(L, -2, (int)++found);
        }
    return 1;
}

static int l_sys_monotonic(lua_State *L)
{
    lua_pushnumber(L, cce_clock_monotonic());
    return 1;
}

static int l_sys_boottime(lua_State *L)
{
    lua_pushnumber(L, cce_clock_boottime());
    return 1;
}

static int l_sys_time(lua_State *L)
{
    lua_pushnumber(L, cce_clock_time());
    return 1;
}

static int l_sys_is_terminal(lua_State *L)
{
    lua_pushboolean(L, cce_terminal_is((int)luaL_checkinteger(L, 1)));
    return 1;
}

static int l_sys_terminal_size(lua_State *L)
{
    int columns, rows;
    struct cce_error err;

    if (cce_terminal_size((int)luaL_checkinteger(L, 1), &columns, &rows,
                          &err) != 0)
        return lcce_fail(L, &err);
    lua_pushinteger(L, columns);
    lua_pushinteger(L, rows);
    return 2;
}

static int l_sys_mkdir_private(lua_State *L)
{
    const char *template = lcce_check_text(L, 1);
    size_t length = strlen(template);
    char *path = lua_newuserdata(L, length + 1);
    struct cce_error err;

    memcpy(path, template, length + 1);
    if (cce_directory_make_private(path, &err) != 0)
        return lcce_fail(L, &err);
    lua_pushstring(L, path);
    return 1;
}

static int l_sys_mkdir(lua_State *L)
{
    struct cce_error err;

    if (cce_directory_make(lcce_check_text(L, 1), &err) != 0)
        return lcce_fail(L, &err);
    lua_pushboolean(L, true);
    return 1;
}

static int l_sys_realpath(lua_State *L)
{
    struct cce_error err;
    char path[PATH_MAX];

    if (cce_directory_realpath(lcce_check_text(L, 1), path, &err) != 0)
        return lcce_fail(L, &err);
    lua_pushstring(L, path);
    return 1;
}

/* umask(mask) -> the mask before; for a process of our own only, since it holds
 * for all threads */
static int l_sys_umask(lua_State *L)
{
    lua_pushinteger(L, umask((mode_t)luaL_checkinteger(L, 1)));
    return 1;
}

static int l_sys_free_port(lua_State *L)
{
    int port;
    struct cce_error err;

    if (cce_port_free(&port, &err) != 0)
        return lcce_fail(L, &err);
    lua_pushinteger(L, port);
    return 1;
}

static const luaL_Reg functions[] = {
    {"spawn", l_sys_spawn},
    {"signals", l_sys_signals},
    {"signal_is_default", l_sys_signal_is_default},
    {"die_with_parent", l_sys_die_with_parent},
    {"sleep", l_sys_sleep},
    {"poll", l_sys_poll},
    {"monotonic", l_sys_monotonic},
    {"boottime", l_sys_boottime},
    {"time", l_sys_time},
    {"is_terminal", l_sys_is_terminal},
    {"terminal_size", l_sys_terminal_size},
    {"mkdir_private", l_sys_mkdir_private},
    {"mkdir", l_sys_mkdir},
    {"realpath", l_sys_realpath},
    {"umask", l_sys_umask},
    {"free_port", l_sys_free_port},
    {NULL, NULL},
};

int lcce_open_sys(lua_State *L)
{
    lcce_newclass(L, CCE_PROCESS, process_methods, l_process_finalize, NULL);
    lcce_newclass(L, CCE_SIGNALS, signals_methods, l_signals_finalize, NULL);
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    lua_setfield(L, -2, "sys");
    return 0;
}
