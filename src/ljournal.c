/*
 * ljournal: core.journal(path) and the methods of what it returns.
 */
#include <math.h>
#include <string.h>

#include "core.h"
#include "journal.h"
#include "lutil.h"

#define JOURNAL "cce.journal"

static struct cce_journal *check_journal(lua_State *L, int index)
{
    struct cce_journal *journal = luaL_checkudata(L, index, JOURNAL);

    luaL_argcheck(L, journal->is_open, index, "the journal is closed");
    return journal;
}

static int l_journal_open(lua_State *L)
{
    size_t length;
    const char *path = luaL_checklstring(L, 1, &length);
    struct cce_journal *journal;
    struct cce_error err;

    luaL_argcheck(L, strlen(path) == length, 1, "it has a zero byte inside");
    journal = lcce_newobject(L, JOURNAL, sizeof *journal);
    if (cce_journal_open(journal, path, &err) != 0)
        return lcce_fail(L, &err);
    return 1;
}

/* journal:append(line [, sync = true]) */
static int l_journal_append(lua_State *L)
{
    struct cce_journal *journal = check_journal(L, 1);
    size_t length;
    const char *line = luaL_checklstring(L, 2, &length);
    bool sync = lua_isnoneornil(L, 3) || lua_toboolean(L, 3);
    struct cce_error err;

    if (cce_journal_append(journal, line, length, sync, &err) != 0)
        return lcce_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_journal_reserve(lua_State *L)
{
    struct cce_journal *journal = check_journal(L, 1);
    lua_Number bytes = luaL_checknumber(L, 2);
    struct cce_error err;

    luaL_argcheck(L, bytes >= 1 && bytes <= 1 << 30 && floor(bytes) == bytes, 2,
                  "a whole number of bytes up to 2^30");
    if (cce_journal_reserve(journal, (size_t)bytes, &err) != 0)
        return lcce_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_journal_size(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)check_journal(L, 1)->size);
    return 1;
}

static int l_journal_close(lua_State *L)
{
    cce_journal_close(luaL_checkudata(L, 1, JOURNAL));
    return 0;
}

int lcce_open_journal(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"append", l_journal_append},
        {"reserve", l_journal_reserve},
        {"size", l_journal_size},
        {NULL, NULL},
    };

    lcce_newclass(L, JOURNAL, methods, l_journal_close, NULL);
    lua_pushcfunction(L, l_journal_open);
    lua_setfield(L, -2, "journal");
    return 0;
}
