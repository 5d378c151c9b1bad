/*
 * lappend_file: core.journal(path, kind), the methods of what it returns, and
 * the same work on the thread of an engine, for a host that must not wait.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lua/core.h"
#include "lua/lengine.h"
#include "lua/lutil.h"
#include "os/file/append_file.h"

#define FILE_CLASS "cce.journal"
#define WORK_CLASS "cce.journal_work"

enum { MAX_TEXT = 16 * 1024 * 1024 };

struct file_box {
    struct cce_append_file *file; /* NULL: closed */
};

/* What a thread is to do: open `text`, or append it. */
struct file_work {
    struct cce_append_file *file;        /* to append to; or what was opened */
    struct cce_error error;              /* code CCE_OK: it was done */
    const struct cce_append_kind *opens; /* of this kind; NULL: it appends */
    bool sync;
    size_t room; /* to reserve first; 0: none */
    size_t length;
    char text[]; /* ends with a zero byte that does not count */
};

struct work_box {
    struct cce_job *job;
};

static struct cce_append_file *check_file(lua_State *L, int index)
{
    struct file_box *box = luaL_checkudata(L, index, FILE_CLASS);

    luaL_argcheck(L, box->file != NULL, index, "the file is closed");
    return box->file;
}

static struct cce_job *check_work(lua_State *L, int index)
{
    struct work_box *box = luaL_checkudata(L, index, WORK_CLASS);

    luaL_argcheck(L, box->job != NULL, index, "the work is closed");
    return box->job;
}

/* 0 when there is none and that is fine. */
static size_t check_bytes(lua_State *L, int index, lua_Number least)
{
    lua_Number bytes = luaL_optnumber(L, index, 0);

    luaL_argcheck(L,
                  bytes >= least && bytes <= 1 << 30 && floor(bytes) == bytes,
                  index, "a whole number of bytes up to 2^30");
    return (size_t)bytes;
}

static bool check_sync(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) || lua_toboolean(L, index);
}

static int check_line(const char *line, size_t length, struct cce_error *err)
{
    if (memchr(line, '\n', length) == NULL)
        return 0;
    return cce_fail(err, CCE_INVALID_ARGUMENT,
                    "a line must not have a line end inside");
}

/* ---- on a thread ---- */

static void run_work(void *context)
{
    struct file_work *work = context;

    if (work->opens != NULL) {
        cce_append_file_open(&work->file, work->text, work->opens,
                             &work->error);
        return;
    }
    if (work->room == 0 ||
        cce_append_file_reserve(work->file, work->room, &work->error) == 0)
        cce_append_file_append(work->file, work->text, work->length, work->sync,
                               &work->error);
    /* Here rather than on the host's thread, which would wait for it. */
    cce_append_file_free(work->file);
    work->file = NULL;
}

static void release_work(void *context)
{
    struct file_work *work = context;

    cce_append_file_free(work->file);
    free(work);
}

static struct file_work *new_work(size_t length, struct cce_error *err)
{
    struct file_work *work = calloc(1, sizeof *work + length + 1);

    if (work == NULL)
        cce_fail_memory(err);
    else
        work->length = length;
    return work;
}

/* A new userdata may run finalizers, and these anything: it comes first, before
 * what they could close or change is looked at. */
static struct work_box *new_work_box(lua_State *L, int arguments)
{
    lua_settop(L, arguments);
    return lcce_newobject(L, WORK_CLASS, sizeof(struct work_box));
}

/* Pushes what can be waited for, or nil, message, code. NULL is no memory. */
static int launch(lua_State *L, struct cce_thread *thread, struct work_box *box,
                  struct file_work *context, struct cce_error *err)
{
    struct cce_work work = {run_work, release_work, context};

    if (context == NULL)
        return lcce_fail(L, err);
    if (cce_thread_run(thread, &work, &box->job, err) == 0)
        return 1;
    release_work(context);
    return lcce_fail(L, err);
}

/* ---- core.journal(path, kind [, engine]) ---- */

static int open_on_thread(lua_State *L, const char *path,
                          const struct cce_append_kind *kind)
{
    struct work_box *box = new_work_box(L, 3);
    struct cce_thread *thread = lcce_check_thread(L, 3);
    struct cce_error err;
    struct file_work *work = new_work(strlen(path), &err);

    if (work != NULL) {
        memcpy(work->text, path, work->length);
        work->opens = kind;
    }
    return launch(L, thread, box, work, &err);
}

static int l_file_open(lua_State *L)
{
    const char *path = lcce_check_text(L, 1);
    const struct cce_append_kind *kind =
        cce_append_kind_find(luaL_checkstring(L, 2));
    struct file_box *box;
    struct cce_error err;

    luaL_argcheck(L, kind != NULL, 2,
                  "a kind of file expected, such as \"run journal\"");
    if (!lua_isnoneornil(L, 3))
        return open_on_thread(L, path, kind);
    box = lcce_newobject(L, FILE_CLASS, sizeof *box);
    if (cce_append_file_open(&box->file, path, kind, &err) != 0)
        return lcce_fail(L, &err);
    return 1;
}

/* ---- methods of a file ---- */

/* file:append(line [, sync = true]) */
static int l_file_append(lua_State *L)
{
    size_t length;
    const char *line = luaL_checklstring(L, 2, &length);
    bool sync = check_sync(L, 3);
    /* Last: to make a text of a number may run a finalizer that closes it. */
    struct cce_append_file *file = check_file(L, 1);
    struct cce_error err;

    if (check_line(line, length, &err) != 0 ||
        cce_append_file_append(file, line, length, sync, &err) != 0)
        return lcce_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_file_reserve(lua_State *L)
{
    struct cce_append_file *file = check_file(L, 1);
    size_t bytes = check_bytes(L, 2, 1);
    struct cce_error err;

    if (cce_append_file_reserve(file, bytes, &err) != 0)
        return lcce_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* How long the lines at `index` are with an end between them. */
static size_t check_lines(lua_State *L, int index)
{
    size_t count, total = 0;

    luaL_checktype(L, index, LUA_TTABLE);
    count = lua_rawlen(L, index);
    luaL_argcheck(L, count > 0, index, "a list of lines");
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, index, (int)i);
        luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, index,
                      "lines are strings");
        total += lua_rawlen(L, -1) + 1;
        luaL_argcheck(L, total <= MAX_TEXT, index, "too long");
        lua_pop(L, 1);
    }
    return total - 1;
}

static int copy_lines(lua_State *L, int index, char *to, struct cce_error *err)
{
    size_t count = lua_rawlen(L, index), length;

    for (size_t i = 1; i <= count; i++) {
        const char *line;

        lua_rawgeti(L, index, (int)i);
        line = lua_tolstring(L, -1, &length);
        lua_pop(L, 1); /* the table keeps it */
        if (check_line(line, length, err) != 0)
            return -1;
        memcpy(to, line, length);
        to += length;
        if (i < count)
            *to++ = '\n';
    }
    return 0;
}

/* file:submit(engine, lines [, sync = true [, room]]): on the engine's
 * thread `room` bytes are reserved, then all lines are appended, or none. */
static int l_file_submit(lua_State *L)
{
    struct work_box *box = new_work_box(L, 5);
    struct cce_append_file *file = check_file(L, 1);
    struct cce_thread *thread = lcce_check_thread(L, 2);
    size_t length = check_lines(L, 3), room = check_bytes(L, 5, 0);
    struct cce_error err;
    struct file_work *work = new_work(length, &err);

    if (work != NULL && copy_lines(L, 3, work->text, &err) != 0) {
        release_work(work);
        work = NULL;
    }
    if (work != NULL) {
        work->file = cce_append_file_keep(file);
        work->sync = check_sync(L, 4);
        work->room = room;
    }
    return launch(L, thread, box, work, &err);
}

static int l_file_size(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)cce_append_file_size(check_file(L, 1)));
    return 1;
}

/* What happened to the file, and where it is now, if anywhere; or nothing. */
static int l_file_lost(lua_State *L)
{
    char now[PATH_MAX];
    const char *lost = cce_append_file_lost(check_file(L, 1), now);

    if (lost == NULL)
        return 0;
    lua_pushstring(L, lost);
    if (now[0] == '\0')
        return 1;
    lua_pushstring(L, now);
    return 2;
}

static int l_file_close(lua_State *L)
{
    struct file_box *box = luaL_checkudata(L, 1, FILE_CLASS);
    struct cce_append_file *file = box->file;

    box->file = NULL;
    cce_append_file_free(file);
    return 0;
}

/* ---- methods of work ---- */

static int l_work_finished(lua_State *L)
{
    lua_pushboolean(L, cce_job_is_finished(check_work(L, 1)));
    return 1;
}

/* What to send to the socket of the engine's thread, and to get back. */
static int l_work_id(lua_State *L)
{
    char id[CCE_JOB_ID_LENGTH];

    /* The push itself may run a finalizer that closes the work. */
    memcpy(id, cce_job_id(check_work(L, 1)), sizeof id);
    lua_pushlstring(L, id, sizeof id);
    return 1;
}

/* true, or the file that was opened (once); or nil, message, code. The box
 * for that file comes first: making it may close the work. */
static int l_work_result(lua_State *L)
{
    struct file_box *box;
    struct file_work *work;
    struct cce_job *job;
    struct cce_error err;

    lua_settop(L, 1);
    box = lcce_newobject(L, FILE_CLASS, sizeof *box);
    job = check_work(L, 1);
    luaL_argcheck(L, cce_job_is_finished(job), 1, "the work is not done yet");
    work = cce_job_context(job);
    if (work == NULL) {
        cce_fail(&err, CCE_UNSUPPORTED,
                 "what was under way at a fork is the parent's");
        return lcce_fail(L, &err);
    }
    err = work->error;
    if (err.code != CCE_OK)
        return lcce_fail(L, &err);
    /* From here on the box closes the file. */
    if (work->opens != NULL) {
        luaL_argcheck(L, work->file != NULL, 1, "the file was taken before");
        box->file = work->file;
        work->file = NULL;
        return 1;
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int l_work_close(lua_State *L)
{
    struct work_box *box = luaL_checkudata(L, 1, WORK_CLASS);
    struct cce_job *job = box->job;

    box->job = NULL;
    cce_job_free(job);
    return 0;
}

int lcce_open_append_file(lua_State *L)
{
    static const luaL_Reg file_methods[] = {
        {"append", l_file_append}, {"reserve", l_file_reserve},
        {"submit", l_file_submit}, {"size", l_file_size},
        {"lost", l_file_lost},     {NULL, NULL},
    };
    static const luaL_Reg work_methods[] = {
        {"finished", l_work_finished},
        {"result", l_work_result},
        {"id", l_work_id},
        {NULL, NULL},
    };

    lcce_newclass(L, FILE_CLASS, file_methods, l_file_close, NULL);
    lcce_newclass(L, WORK_CLASS, work_methods, l_work_close, NULL);
    lua_pushcfunction(L, l_file_open);
    lua_setfield(L, -2, "journal");
    return 0;
}
