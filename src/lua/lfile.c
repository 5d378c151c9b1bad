/*
 * lfile: core.file: read, write, stat, check, lock and glob.
 *
 * Permission bits are strings of octal digits ("0600"), since Lua has no
 * octal numbers and 600 would be a different mode.
 */
#include "lua/core.h"

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lua/lutil.h"
#include "os/file/file.h"
#include "os/file/glob.h"

#define CLASS_LOCK   "cce.file.lock"
#define CLASS_BUFFER "cce.file.buffer"
#define CLASS_PATHS  "cce.file.paths"

enum {
    DEFAULT_MODE = 0600,
    DEFAULT_MAXIMUM = 64 * 1024 * 1024,
    DEFAULT_TIMEOUT_MS = 10 * 1000,
};

static const double max_timeout_s = 24 * 60 * 60;

/* The options may be left out. */
static void read_options(lua_State *L, int index, lcce_option_visitor *visit,
                         void *context)
{
    if (!lua_isnoneornil(L, index))
        lcce_options(L, index, visit, context);
}

/* ---- read ---- */

static int l_buffer_gc(lua_State *L)
{
    cce_buf_cleanup(luaL_checkudata(L, 1, CLASS_BUFFER));
    return 0;
}

static bool visit_read(lua_State *L, const char *key, void *context)
{
    size_t *maximum = context;
    lua_Number number;

    if (strcmp(key, "max") != 0)
        return false;
    number = lcce_option_number(L, key);
    if (!(number >= 0) || number > INT32_MAX || number != floor(number))
        lcce_option_error(L, key, "a whole number of bytes expected");
    *maximum = (size_t)number;
    return true;
}

static int l_file_read(lua_State *L)
{
    const char *path = lcce_check_text(L, 1);
    size_t maximum = DEFAULT_MAXIMUM;
    struct cce_error err;
    struct cce_buf *buffer;

    read_options(L, 2, visit_read, &maximum);
    /* Owned by Lua, since pushing the string may raise. */
    buffer = lcce_newobject(L, CLASS_BUFFER, sizeof *buffer);
    cce_buf_init(buffer, maximum);
    if (cce_file_read(path, buffer, &err) < 0) {
        cce_buf_cleanup(buffer);
        return lcce_fail(L, &err);
    }
    lua_pushlstring(L, buffer->length > 0 ? buffer->data : "", buffer->length);
    cce_buf_cleanup(buffer);
    return 1;
}

/* ---- write ---- */

static bool parse_mode(const char *text, unsigned *mode)
{
    *mode = 0;
    if (*text == '\0' || strlen(text) > 4)
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '7')
            return false;
        *mode = *mode * 8 + (unsigned)(*text - '0');
    }
    return *mode <= 0777;
}

struct write_options {
    unsigned mode;
    bool is_trial;
};

static bool visit_write(lua_State *L, const char *key, void *context)
{
    struct write_options *options = context;

    if (strcmp(key, "trial") == 0) {
        options->is_trial = lcce_option_boolean(L, key);
        return true;
    }
    if (strcmp(key, "mode") != 0)
        return false;
    if (!parse_mode(lcce_option_string(L, key), &options->mode))
        lcce_option_error(L, key, "octal digits such as \"0600\" expected");
    return true;
}

static int l_file_write(lua_State *L)
{
    const char *path = lcce_check_text(L, 1);
    struct write_options options = {DEFAULT_MODE, false};
    struct cce_error err;
    size_t length;
    const char *text;
    int result;

    luaL_checktype(L, 2, LUA_TSTRING);
    text = lua_tolstring(L, 2, &length);
    read_options(L, 3, visit_write, &options);
    if (options.is_trial)
        result = cce_file_try_write(path, text, length, options.mode, &err);
    else
        result = cce_file_write(path, text, length, options.mode, &err);
    if (result < 0)
        return lcce_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- stat ---- */

static void set_integer(lua_State *L, const char *key, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, key);
}

/* A table; false when nothing is there; or nil, message, code. */
static int l_file_stat(lua_State *L)
{
    const char *path = lcce_check_text(L, 1);
    char mode[8], identity[40];
    struct cce_file_stat info;
    struct cce_error err;
    bool exists;

    if (cce_file_stat(path, &info, &exists, &err) < 0)
        return lcce_fail(L, &err);
    if (!exists) {
        lua_pushboolean(L, 0);
        return 1;
    }
    snprintf(mode, sizeof mode, "%04o", (unsigned)info.mode);
    /* A text: an inode has more digits than a double. */
    snprintf(identity, sizeof identity, "%jx:%jx", (uintmax_t)info.device,
             (uintmax_t)info.inode);
    lua_createtable(L, 0, 8);
    lua_pushstring(L, mode);
    lua_setfield(L, -2, "mode");
    lua_pushstring(L, identity);
    lua_setfield(L, -2, "identity");
    lua_pushstring(L, info.type);
    lua_setfield(L, -2, "type");
    lua_pushboolean(L, info.is_symlink);
    lua_setfield(L, -2, "is_symlink");
    lua_pushnumber(L, info.mtime);
    lua_setfield(L, -2, "mtime");
    set_integer(L, "size", (lua_Integer)info.size);
    set_integer(L, "owner", (lua_Integer)info.owner);
    set_integer(L, "group", (lua_Integer)info.group);
    return 1;
}

/* true when the path may be opened by code other than this module. */
static int l_file_check(lua_State *L)
{
    struct cce_error err;

    if (cce_file_check(lcce_check_text(L, 1), &err) < 0)
        return lcce_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- lock ---- */

static int l_lock_close(lua_State *L)
{
    cce_file_unlock(luaL_checkudata(L, 1, CLASS_LOCK));
    return 0;
}

static int l_lock_tostring(lua_State *L)
{
    const struct cce_file_lock *lock = luaL_checkudata(L, 1, CLASS_LOCK);
    char path[PATH_MAX];

    /* The push itself may run a finalizer that closes the lock. */
    snprintf(path, sizeof path, "%s", lock->held ? lock->path : "closed");
    lua_pushfstring(L, CLASS_LOCK ": %s", path);
    return 1;
}

static bool visit_lock(lua_State *L, const char *key, void *context)
{
    struct cce_file_lock_options *options = context;
    lua_Number seconds;

    if (strcmp(key, "kubectl") == 0) {
        options->kubectl = lcce_option_boolean(L, key);
        return true;
    }
    if (strcmp(key, "timeout") != 0)
        return false;
    seconds = lcce_option_number(L, key);
    if (!(seconds >= 0) || seconds > max_timeout_s)
        lcce_option_error(L, key, "0 to %.0f seconds expected", max_timeout_s);
    options->timeout_ms = (long)(seconds * 1000);
    return true;
}

static int l_file_lock(lua_State *L)
{
    struct cce_file_lock_options options = {DEFAULT_TIMEOUT_MS, false};
    const char *path = lcce_check_text(L, 1);
    struct cce_file_lock *lock;
    struct cce_error err;

    read_options(L, 2, visit_lock, &options);
    lock = lcce_newobject(L, CLASS_LOCK, sizeof *lock);
    if (cce_file_lock(lock, path, &options, &err) < 0)
        return lcce_fail(L, &err);
    return 1;
}

/* ---- glob ---- */

static int l_paths_gc(lua_State *L)
{
    cce_glob_cleanup(luaL_checkudata(L, 1, CLASS_PATHS));
    return 0;
}

/* A list of paths, in no order. */
static int l_file_glob(lua_State *L)
{
    const char *pattern = lcce_check_text(L, 1);
    struct cce_error err;
    struct cce_glob *paths;
    size_t i;

    /* Owned by Lua, since pushing the paths may raise. */
    paths = lcce_newobject(L, CLASS_PATHS, sizeof *paths);
    if (cce_glob_find(paths, pattern, &err) < 0) {
        cce_glob_cleanup(paths);
        return lcce_fail(L, &err);
    }
    lua_newtable(L);
    for (i = 0; i < paths->found.gl_pathc; i++) {
        lua_pushstring(L, paths->found.gl_pathv[i]);
        lua_rawseti(L, -2, (int)(i + 1));
    }
    cce_glob_cleanup(paths);
    return 1;
}

static const luaL_Reg functions[] = {
    {"read", l_file_read}, {"write", l_file_write}, {"stat", l_file_stat},
    {"lock", l_file_lock}, {"glob", l_file_glob},   {"check", l_file_check},
    {NULL, NULL},
};

static const luaL_Reg no_methods[] = {{NULL, NULL}};

int lcce_open_file(lua_State *L)
{
    lcce_newclass(L, CLASS_LOCK, no_methods, l_lock_close, l_lock_tostring);
    lcce_newclass(L, CLASS_BUFFER, no_methods, l_buffer_gc, NULL);
    lcce_newclass(L, CLASS_PATHS, no_methods, l_paths_gc, NULL);
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    lua_setfield(L, -2, "file");
    return 0;
}
