/*
 * failing_malloc: makes the N-th allocation fail, and counts what stays.
 *
 * The same file is two things: preloaded, it stands before the C library's
 * malloc; required from Lua, it is the module that steers it (one copy, since
 * the loader knows that it has the file already).
 *
 *   watch(names)        which objects count: "lua" is the program itself, any
 *                       other name is part of a library's file name
 *   run(n, persist, f, argument) -> ok, first, second, third
 *                       calls f like pcall while the n-th allocation made by a
 *                       watched object fails, and with `persist` all after it;
 *                       n = 0 only counts
 *   seen() -> count, whether one failed, where
 *                       of the last run
 *   live() -> blocks that watched libraries hold; the program's own, which
 *                       are Lua's, do not count
 *   descriptors() -> open files of the process
 *
 * An allocation belongs to the object that called malloc. What the C library
 * allocates for itself (in fopen, getaddrinfo) does not count, strdup and
 * strndup do. A realloc that shrinks never fails: Lua relies on that.
 * Needs glibc.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <lauxlib.h>
#include <link.h>
#include <lua.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)

enum { MAX_RANGES = 64, MAX_NAMES = 16, TABLE_SIZE = 1 << 20 };

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

struct range {
    uintptr_t first, end;
    bool is_program;
};

static struct {
    struct range ranges[MAX_RANGES];
    int range_count;
    const char *names[MAX_NAMES]; /* only during watch */
    int name_count;
} watched;

/* What is being run. Threads of libcurl may allocate: guarded by `lock`. */
static struct {
    bool open, persist, fired;
    unsigned long fail_at, count;
    void *site;
} window;

/* The live blocks of watched libraries: open addressing, linear probing. */
static void *table[TABLE_SIZE];
static size_t table_used;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const struct range *range_of(const void *address)
{
    for (int i = 0; i < watched.range_count; i++) {
        const struct range *range = &watched.ranges[i];

        if ((uintptr_t)address >= range->first &&
            (uintptr_t)address < range->end)
            return range;
    }
    return NULL;
}

static size_t slot_of(const void *block)
{
    return (((uintptr_t)block >> 4) * 0x9E3779B1u) % TABLE_SIZE;
}

static void remember(void *block)
{
    size_t slot = slot_of(block);

    if (table_used > TABLE_SIZE / 2) {
        static const char message[] = "failing_malloc: the table is full\n";
        if (write(STDERR_FILENO, message, sizeof message - 1) < 0)
            _exit(2);
        abort();
    }
    while (table[slot] != NULL)
        slot = (slot + 1) % TABLE_SIZE;
    table[slot] = block;
    table_used++;
}

/* Closes the gap, so that no lookup ends too early. */
static void remove_slot(size_t slot)
{
    size_t next = slot;

    table_used--;
    for (;;) {
        size_t home;

        table[slot] = NULL;
        do {
            next = (next + 1) % TABLE_SIZE;
            if (table[next] == NULL)
                return;
            home = slot_of(table[next]);
        } while (slot <= next ? slot < home && home <= next
                              : slot < home || home <= next);
        table[slot] = table[next];
        slot = next;
    }
}

/* Whether the block was one that counts. */
static bool forget(const void *block)
{
    size_t slot = slot_of(block);

    while (table[slot] != NULL && table[slot] != block)
        slot = (slot + 1) % TABLE_SIZE;
    if (table[slot] == NULL)
        return false;
    remove_slot(slot);
    return true;
}

/* Counts an allocation from `caller`; true when it has to fail. */
static bool must_fail(void *caller)
{
    bool fail;

    if (!window.open || range_of(caller) == NULL)
        return false;
    pthread_mutex_lock(&lock);
    window.count++;
    fail = window.fail_at != 0 &&
           (window.persist ? window.count >= window.fail_at
                           : window.count == window.fail_at);
    if (fail && !window.fired) {
        window.fired = true;
        window.site = caller;
    }
    pthread_mutex_unlock(&lock);
    if (fail)
        errno = ENOMEM;
    return fail;
}

static void *keep(void *block, void *caller)
{
    const struct range *range = range_of(caller);

    if (block != NULL && range != NULL && !range->is_program) {
        pthread_mutex_lock(&lock);
        remember(block);
        pthread_mutex_unlock(&lock);
    }
    return block;
}

static bool release(const void *block)
{
    bool known = false;

    if (block != NULL && watched.range_count > 0) {
        pthread_mutex_lock(&lock);
        known = forget(block);
        pthread_mutex_unlock(&lock);
    }
    return known;
}

EXPORT void *malloc(size_t size)
{
    void *caller = CALLER;

    return must_fail(caller) ? NULL : keep(__libc_malloc(size), caller);
}

EXPORT void *calloc(size_t count, size_t size)
{
    void *caller = CALLER;

    return must_fail(caller) ? NULL : keep(__libc_calloc(count, size), caller);
}

EXPORT void *realloc(void *block, size_t size)
{
    void *caller = CALLER, *moved;
    bool grows = block == NULL || size > malloc_usable_size(block), known;

    if (grows && must_fail(caller))
        return NULL;
    known = release(block);
    moved = __libc_realloc(block, size);
    if (moved == NULL && size > 0 && known)
        return keep(block, caller), NULL;
    return keep(moved, caller);
}

EXPORT void free(void *block)
{
    int saved = errno;

    release(block);
    __libc_free(block);
    errno = saved;
}

EXPORT int posix_memalign(void **block, size_t alignment, size_t size)
{
    void *caller = CALLER;

    if (must_fail(caller))
        return ENOMEM;
    *block = keep(__libc_memalign(alignment, size), caller);
    return *block == NULL ? ENOMEM : 0;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    void *caller = CALLER;

    return must_fail(caller) ? NULL
                             : keep(__libc_memalign(alignment, size), caller);
}

static char *copy_string(const char *string, size_t length, void *caller)
{
    char *copy = must_fail(caller) ? NULL : __libc_malloc(length + 1);

    if (copy == NULL)
        return NULL;
    memcpy(copy, string, length);
    copy[length] = '\0';
    return keep(copy, caller);
}

EXPORT char *strdup(const char *string)
{
    return copy_string(string, strlen(string), CALLER);
}

EXPORT char *strndup(const char *string, size_t length)
{
    return copy_string(string, strnlen(string, length), CALLER);
}

/* A crash says which allocation had failed: that is all one needs to repeat
 * it. snprintf is not for signal handlers, but the process is lost anyway. */
static void on_crash(int signal_number)
{
    char text[160];
    int length = snprintf(text, sizeof text,
                          "signal %d in a run with allocation %lu failing%s\n",
                          signal_number, window.fail_at,
                          window.persist ? ", and all after it" : "");

    if (length > 0 && write(STDERR_FILENO, text, (size_t)length) < 0)
        _exit(2);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static bool name_is_watched(const char *file)
{
    for (int i = 0; i < watched.name_count; i++) {
        bool program = strcmp(watched.names[i], "lua") == 0;

        if (program ? file[0] == '\0' : strstr(file, watched.names[i]) != NULL)
            return true;
    }
    return false;
}

static int add_object(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    if (!name_is_watched(info->dlpi_name))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        struct range *range = &watched.ranges[watched.range_count];

        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) ||
            watched.range_count == MAX_RANGES)
            continue;
        range->first = info->dlpi_addr + segment->p_vaddr;
        range->end = range->first + segment->p_memsz;
        range->is_program = info->dlpi_name[0] == '\0';
        watched.range_count++;
    }
    return 0;
}

static int l_watch(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    watched.range_count = watched.name_count = 0;
    for (int i = 1; i <= MAX_NAMES; i++) {
        lua_rawgeti(L, 1, i);
        if (lua_isnil(L, -1))
            break;
        watched.names[watched.name_count++] = luaL_checkstring(L, -1);
    }
    dl_iterate_phdr(add_object, NULL);
    lua_pushinteger(L, watched.range_count);
    return 1;
}

static int l_run(lua_State *L)
{
    unsigned long fail_at = (unsigned long)luaL_checkinteger(L, 1);
    bool persist = lua_toboolean(L, 2);
    int status;

    luaL_checktype(L, 3, LUA_TFUNCTION);
    lua_settop(L, 4);
    luaL_checkstack(L, 20, NULL);
    window.fired = false;
    window.count = 0;
    window.site = NULL;
    window.fail_at = fail_at;
    window.persist = persist;
    window.open = true;
    status = lua_pcall(L, 1, 3, 0);
    window.open = false;
    lua_pushboolean(L, status == 0);
    lua_replace(L, 2);
    /* 1, ok, and three results or the error. */
    return lua_gettop(L) - 1;
}

static int l_seen(lua_State *L)
{
    Dl_info info;

    lua_pushinteger(L, (lua_Integer)window.count);
    lua_pushboolean(L, window.fired);
    if (window.site != NULL && dladdr(window.site, &info) != 0)
        lua_pushfstring(L, "%s+%p", info.dli_fname,
                        (void *)((char *)window.site - (char *)info.dli_fbase));
    else
        lua_pushnil(L);
    return 3;
}

static int l_live(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)table_used);
    return 1;
}

static int l_descriptors(lua_State *L)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;

    if (directory == NULL)
        return luaL_error(L, "cannot read /proc/self/fd");
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    lua_pushinteger(L, count - 3); /* ".", ".." and the directory itself */
    return 1;
}

static void add_function(lua_State *L, const char *name, lua_CFunction function)
{
    lua_pushcfunction(L, function);
    lua_setfield(L, -2, name);
}

EXPORT int luaopen_failing_malloc(lua_State *L);

int luaopen_failing_malloc(lua_State *L)
{
    signal(SIGSEGV, on_crash);
    signal(SIGABRT, on_crash);
    signal(SIGBUS, on_crash);
    lua_newtable(L);
    add_function(L, "watch", l_watch);
    add_function(L, "run", l_run);
    add_function(L, "seen", l_seen);
    add_function(L, "live", l_live);
    add_function(L, "descriptors", l_descriptors);
    return 1;
}
