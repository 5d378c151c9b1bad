/*
 * fork: a process that copies this one, which no Lua library offers for every
 * version. For specs only.
 */
#include <lauxlib.h>
#include <lua.h>
#include <sys/wait.h>
#include <unistd.h>

/* fork() -> the child's pid; 0 in the child */
static int l_fork(lua_State *L)
{
    pid_t pid = fork();

    if (pid < 0)
        return luaL_error(L, "fork failed");
    lua_pushinteger(L, pid);
    return 1;
}

/* wait(pid) -> exit code, or minus the signal */
static int l_wait(lua_State *L)
{
    int status = 0;

    if (waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0) < 0)
        return luaL_error(L, "waitpid failed");
    lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status)
                                         : -WTERMSIG(status));
    return 1;
}

/* quit(code): ends the process, and nothing is finalized */
static int l_quit(lua_State *L)
{
    _exit((int)luaL_checkinteger(L, 1));
}

__attribute__((visibility("default"))) int luaopen_fork(lua_State *L);

int luaopen_fork(lua_State *L)
{
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, l_fork);
    lua_setfield(L, -2, "fork");
    lua_pushcfunction(L, l_wait);
    lua_setfield(L, -2, "wait");
    lua_pushcfunction(L, l_quit);
    lua_setfield(L, -2, "quit");
    return 1;
}
