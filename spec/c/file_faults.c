/*
 * file_faults: makes system calls of the module fail on order.
 *
 * Preloaded into a Lua process. CCE_FAULT=<call>:<errno>:<skip>:<count> lets
 * the first <skip> calls through and makes the next <count> fail; errno 0 for
 * write and read means one byte only, for flock that the file was renamed right
 * before. Calls that libc makes for itself are
 * not touched, and malloc counts from the first openat on, and only where the
 * module itself calls it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
/* As the core is built: some of its calls have other names then. */
#define _FILE_OFFSET_BITS 64
#define _TIME_BITS        64
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int flock(int fd, int operation);

static struct {
    char call[16];
    int error;
    int skip;
    int count;
    int opened;
} fault;

__attribute__((constructor)) static void read_order(void)
{
    const char *order = getenv("CCE_FAULT");

    if (order != NULL && sscanf(order, "%15[^:]:%d:%d:%d", fault.call,
                                &fault.error, &fault.skip, &fault.count) != 4)
        abort();
}

static int is_due(const char *call)
{
    if (strcmp(call, fault.call) != 0)
        return 0;
    if (fault.skip-- > 0 || fault.count <= 0)
        return 0;
    fault.count--;
    errno = fault.error;
    return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t length)
{
    if (is_due("write")) {
        if (fault.error != 0)
            return -1;
        length = length > 1 ? 1 : length;
    }
    return NEXT(write)(fd, bytes, length);
}

ssize_t read(int fd, void *bytes, size_t length)
{
    if (is_due("read")) {
        if (fault.error != 0)
            return -1;
        length = length > 1 ? 1 : length;
    }
    return NEXT(read)(fd, bytes, length);
}

int openat(int dir, const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    fault.opened = 1;
    if (is_due("openat"))
        return -1;
    return NEXT(openat)(dir, path, flags, mode);
}

int fsync(int fd)
{
    return is_due("fsync") ? -1 : NEXT(fsync)(fd);
}

int fdatasync(int fd)
{
    return is_due("fdatasync") ? -1 : NEXT(fdatasync)(fd);
}

/* Somebody else takes the file away, right before it is locked. */
static void move_away(int fd)
{
    char link[64], path[4096], gone[4112];
    ssize_t length;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        abort();
    path[length] = '\0';
    snprintf(gone, sizeof gone, "%s.gone", path);
    if (rename(path, gone) != 0)
        abort();
}

int flock(int fd, int operation)
{
    if (is_due("flock")) {
        if (fault.error != 0)
            return -1;
        move_away(fd);
    }
    return NEXT(flock)(fd, operation);
}

/* The argument is a number or a pointer, as libc itself takes it. */
int fcntl(int fd, int command, ...)
{
    va_list arguments;
    void *argument;

    va_start(arguments, command);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    return is_due("fcntl") ? -1 : NEXT(fcntl)(fd, command, argument);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return is_due("renameat") ? -1 : NEXT(renameat)(from_dir, from, to_dir, to);
}

int fchmod(int fd, mode_t mode)
{
    return is_due("fchmod") ? -1 : NEXT(fchmod)(fd, mode);
}

/* The descriptor is closed all the same, as the kernel does it. */
int close(int fd)
{
    int result = NEXT(close)(fd);

    return is_due("close") ? -1 : result;
}

static int is_module(const void *caller)
{
    Dl_info where;

    return dladdr(caller, &where) != 0 && where.dli_fname != NULL &&
           strstr(where.dli_fname, "core.so") != NULL;
}

void *malloc(size_t size)
{
    static void *(*next)(size_t);

    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "malloc");
    if (fault.opened && strcmp(fault.call, "malloc") == 0 &&
        is_module(__builtin_return_address(0)) && is_due("malloc"))
        return NULL;
    return next(size);
}
