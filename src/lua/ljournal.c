/*
 * ljournal: core.journal(path), the methods of what it returns, and the same
 * work on the thread of an engine, for a host that must not wait.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lua/core.h"
#include "lua/lengine.h"
#include "lua/lutil.h"
#include "os/append_file.h"

#define JOURNAL "cce.journal"
#define WORK    "cce.journal_work"

enum { MAX_TEXT = 16 * 1024 * 1024 };

struct journal_box {
    struct cce_append_file *journal; /* NULL: closed */
};

/* What a thread is to do: open `text`, or append it. */
struct journal_work {
    struct cce_append_file *journal; /* to append to; or what was opened */
    struct cce_error error;          /* code CCE_OK: it was done */
    bool opens, sync;
    size_t room; /* to reserve first; 0: none */
    size_t length;
    char text[]; /* ends with a zero byte that does not count */
};

struct work_box {
    struct cce_job *job;
};

static struct cce_append_file *check_journal(lua_State *L, int index)
{
    struct journal_box *box = luaL_checkudata(L, index, JOURNAL);

    luaL_argcheck(L, box->journal != NULL, index, "the journal is closed");
    return box->journal;
}

static struct cce_job *check_work(lua_State *L, int index)
{
    struct work_box *box = luaL_checkudata(L, index, WORK);

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
                    "a line of a journal has a line end inside");
}

/* ---- on a thread ---- */

static void run_work(void *context)
{
    struct journal_work *work = context;

    if (work->opens) {
        cce_append_file_open(&work->journal, work->text, &work->error);
        return;
    }
    if (work->room == 0 ||
        cce_append_file_reserve(work->journal, work->room, &work->error) == 0)
        cce_append_file_append(work->journal, work->text, work->length,
                               work->sync, &work->error);
    /* Here rather than where others would wait for it. */
    cce_append_file_free(work->journal);
    work->journal = NULL;
}

static void release_work(void *context)
{
    struct journal_work *work = context;

    cce_append_file_free(work->journal);
    free(work);
}

static struct journal_work *new_work(size_t length, struct cce_error *err)
{
    struct journal_work *work = calloc(1, sizeof *work + length + 1);

    if (work == NULL)
        cce_fail_memory(err);
    else
        work->length = length;
    return work;
}

/* A new userdata may run finalizers, and these anything: it comes first, before
 * what they could close or change is looked at. */
static struct work_box *new_box(lua_State *L, int arguments)
{
    lua_settop(L, arguments);
    return lcce_newobject(L, WORK, sizeof(struct work_box));
}

/* Pushes what can be waited for, or nil, message, code. NULL is no memory. */
static int launch(lua_State *L, struct cce_thread *thread, struct work_box *box,
                  struct journal_work *context, struct cce_error *err)
{
    struct cce_work work = {run_work, release_work, context};

    if (context == NULL)
        return lcce_fail(L, err);
    if (cce_thread_run(thread, &work, &box->job, err) == 0)
        return 1;
    release_work(context);
    return lcce_fail(L, err);
}

/* ---- core.journal(path [, engine]) ---- */

static int open_on_thread(lua_State *L, const char *path)
{
    struct work_box *box = new_box(L, 2);
    struct cce_thread *thread = lcce_check_thread(L, 2);
    struct cce_error err;
    struct journal_work *work = new_work(strlen(path), &err);

    if (work != NULL) {
        memcpy(work->text, path, work->length);
        work->opens = true;
    }
    return launch(L, thread, box, work, &err);
}

static int l_journal_open(lua_State *L)
{
    size_t length;
    const char *path = luaL_checklstring(L, 1, &length);
    struct journal_box *box;
    struct cce_error err;

    luaL_argcheck(L, strlen(path) == length, 1, "it has a zero byte inside");
    if (!lua_isnoneornil(L, 2))
        return open_on_thread(L, path);
    box = lcce_newobject(L, JOURNAL, sizeof *box);
    if (cce_append_file_open(&box->journal, path, &err) != 0)
        return lcce_fail(L, &err);
    return 1;
}

/* ---- methods of a journal ---- */

/* journal:append(line [, sync = true]) */
static int l_journal_append(lua_State *L)
{
    size_t length;
    const char *line = luaL_checklstring(L, 2, &length);
    bool sync = check_sync(L, 3);
    struct cce_append_file *journal = check_journal(L, 1);
    struct cce_error err;

    if (check_line(line, length, &err) != 0 ||
        cce_append_file_append(journal, line, length, sync, &err) != 0)
        return lcce_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_journal_reserve(lua_State *L)
{
    struct cce_append_file *journal = check_journal(L, 1);
    size_t bytes = check_bytes(L, 2, 1);
    struct cce_error err;

    if (cce_append_file_reserve(journal, bytes, &err) != 0)
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

/* journal:submit(engine, lines [, sync = true [, room]]): on the engine's
 * thread `room` bytes are reserved, then all lines are appended, or none. */
static int l_journal_submit(lua_State *L)
{
    struct work_box *box = new_box(L, 5);
    struct cce_append_file *journal = check_journal(L, 1);
    struct cce_thread *thread = lcce_check_thread(L, 2);
    size_t length = check_lines(L, 3), room = check_bytes(L, 5, 0);
    struct cce_error err;
    struct journal_work *work = new_work(length, &err);

    if (work != NULL && copy_lines(L, 3, work->text, &err) != 0) {
        release_work(work);
        work = NULL;
    }
    if (work != NULL) {
        work->journal = cce_append_file_keep(journal);
        work->sync = check_sync(L, 4);
        work->room = room;
    }
    return launch(L, thread, box, work, &err);
}

static int l_journal_size(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)cce_append_file_size(check_journal(L, 1)));
    return 1;
}

static int l_journal_close(lua_State *L)
{
    struct journal_box *box = luaL_checkudata(L, 1, JOURNAL);
    struct cce_append_file *journal = box->journal;

    box->journal = NULL;
    cce_append_file_free(journal);
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

/* true, or the journal that was opened (once); or nil, message, code. The box
 * for that journal comes first: making it may close the work. */
static int l_work_result(lua_State *L)
{
    struct journal_box *box;
    struct journal_work *work;
    struct cce_job *job;
    struct cce_error err;

    lua_settop(L, 1);
    box = lcce_newobject(L, JOURNAL, sizeof *box);
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
    if (work->opens) {
        luaL_argcheck(L, work->journal != NULL, 1,
                      "the journal was taken before");
        box->journal = work->journal;
        work->journal = NULL;
        return 1;
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int l_work_close(lua_State *L)
{
    struct work_box *box = luaL_checkudata(L, 1, WORK);
    struct cce_job *job = box->job;

    box->job = NULL;
    cce_job_free(job);
    return 0;
}

int lcce_open_journal(lua_State *L)
{
    static const luaL_Reg journal_methods[] = {
        {"append", l_journal_append},
        {"reserve", l_journal_reserve},
        {"submit", l_journal_submit},
        {"size", l_journal_size},
        {NULL, NULL},
    };
    static const luaL_Reg work_methods[] = {
        {"finished", l_work_finished},
        {"result", l_work_result},
        {"id", l_work_id},
        {NULL, NULL},
    };

    lcce_newclass(L, JOURNAL, journal_methods, l_journal_close, NULL);
    lcce_newclass(L, WORK, work_methods, l_work_close, NULL);
    lua_pushcfunction(L, l_journal_open);
    lua_setfield(L, -2, "journal");
    return 0;
}
