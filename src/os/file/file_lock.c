#include "os/file/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/file/path.h"

enum { FIRST_PAUSE_MS = 1, LAST_PAUSE_MS = 50 };

/* Marks the sentinel as ours: kubectl's is empty. */
static const char sentinel_mark[] = "lua-cce\n";

/* 1: locked, 0: another process holds it, -1: errno says. */
static int try_flock(struct cce_file_lock *lock)
{
    struct stat info;
    int result;

    lock->fd = cce_path_openat(
        AT_FDCWD, lock->path,
        O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (lock->fd < 0)
        return -1;
    do
        result = flock(lock->fd, LOCK_EX | LOCK_NB);
    while (result < 0 && errno == EINTR);
    /* The lock file may have been removed by its last holder between our open
     * and our flock; a lock on a file without a name protects nothing. */
    if (result == 0 && fstat(lock->fd, &info) == 0 &&
        cce_path_is_named(AT_FDCWD, lock->path, &info)) {
        /* A file with anything in it is not a lock file of ours. */
        lock->keep = info.st_size > 0;
        return 1;
    }
    if (result == 0)
        errno = EWOULDBLOCK;
    result = errno;
    cce_path_close(&lock->fd);
    errno = result;
    return result == EWOULDBLOCK ? 0 : -1;
}

/* 1: made, or ours already; 0: it exists; -1: errno says. */
static int try_sentinel(struct cce_file_lock *lock)
{
    char text[sizeof sentinel_mark] = "";
    ssize_t count;
    int fd = cce_path_openat(AT_FDCWD, lock->sentinel,
                             O_WRONLY | O_CREAT | O_EXCL, 0600);

    if (fd < 0 && errno != EEXIST)
        return -1;
    if (fd < 0) {
        /* One with our mark was left by a process that was killed: we hold the
         * flock, so its maker cannot be alive. */
        fd = cce_path_openat(AT_FDCWD, lock->sentinel,
                             O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        count = fd < 0 ? -1 : read(fd, text, sizeof text);
        cce_path_close(&fd);
        return count == sizeof sentinel_mark - 1 &&
               memcmp(text, sentinel_mark, (size_t)count) == 0;
    }
    /* Without the mark it counts as kubectl's, which is only stricter. */
    if (cce_path_write_all(fd, sentinel_mark, sizeof sentinel_mark - 1) < 0)
        errno = 0;
    cce_path_close(&fd);
    return 1;
}

/* Others may have put files there under the names of the lock files. */
static int check_locks(const struct cce_file_lock *lock,
                       const struct cce_path *target, struct cce_error *err)
{
    const char *paths[] = {lock->path, lock->sentinel};

    for (size_t i = 0; i < 2; i++) {
        struct stat info;

        if (paths[i] != NULL && lstat(paths[i], &info) == 0 &&
            cce_path_check(target, "lock with", paths[i], &info, err) < 0)
            return -1;
    }
    return 0;
}

static void forget(struct cce_file_lock *lock)
{
    free(lock->path);
    free(lock->sentinel);
    memset(lock, 0, sizeof *lock);
}

/* Tries until it works (1), the deadline passes (0), or it fails (-1). */
static int wait_for(int (*attempt)(struct cce_file_lock *),
                    struct cce_file_lock *lock, int64_t deadline_ms)
{
    int64_t pause_ms = FIRST_PAUSE_MS, left;
    int result;

    /* It waits a little longer every time. A signal cuts the pause short. */
    while ((result = attempt(lock)) == 0 &&
           (left = deadline_ms - cce_clock_monotonic_ms()) > 0) {
        struct timespec pause = {0,
                                 (left < pause_ms ? left : pause_ms) * 1000000};

        nanosleep(&pause, NULL);
        pause_ms = pause_ms * 2 < LAST_PAUSE_MS ? pause_ms * 2 : LAST_PAUSE_MS;
    }
    return result;
}

/* Takes what the options ask for; *waited_for is the file that was in the
 * way when the result is not 1. */
static int acquire(struct cce_file_lock *lock, int64_t deadline_ms,
                   const char **waited_for)
{
    /* The flock first: it decides between processes that use this library, so
     * that one at a time looks at the sentinel, which kubectl sees. */
    int result = wait_for(try_flock, lock, deadline_ms);

    *waited_for = lock->path;
    if (result <= 0)
        return result;
    lock->held = true;
    lock->owner = getpid();
    if (lock->sentinel == NULL)
        return 1;
    *waited_for = lock->sentinel;
    result = wait_for(try_sentinel, lock, deadline_ms);
    return result;
}

int cce_file_lock(struct cce_file_lock *lock, const char *path,
                  const struct cce_file_lock_options *options,
                  struct cce_error *err)
{
    int64_t deadline_ms = cce_clock_monotonic_ms() + options->timeout_ms;
    const char *in_the_way = NULL;
    struct cce_path target;
    int result, error, directory;

    if (cce_path_resolve(&target, "lock", path, err) < 0)
        return -1;
    cce_path_close(&target.dir);
    /* Beside "<dir>/<name>": our ".<name>.lock", and kubectl's "<name>.lock".
     */
    directory = (int)(target.name - target.path);
    if (asprintf(&lock->path, "%.*s.%s.lock", directory, target.path,
                 target.name) < 0)
        lock->path = NULL;
    if (options->kubectl &&
        asprintf(&lock->sentinel, "%s.lock", target.path) < 0)
        lock->sentinel = NULL;
    if (lock->path == NULL || (options->kubectl && lock->sentinel == NULL)) {
        forget(lock);
        return cce_fail_memory(err);
    }
    if (check_locks(lock, &target, err) < 0) {
        forget(lock);
        return -1;
    }
    result = acquire(lock, deadline_ms, &in_the_way);
    if (result == 1)
        return 0;
    error = errno;
    if (result < 0)
        cce_path_fail_step(err, "lock", path, "creating a lock file beside it",
                           error);
    else
        cce_fail(err, CCE_TIMEOUT,
                 "cannot lock '%s': another process held '%s' for %ld ms%s",
                 cce_path_shown(path), cce_path_shown(in_the_way),
                 options->timeout_ms,
                 lock->held ? "; remove it if no kubectl is running" : "");
    /* What stands there is not ours to remove. */
    free(lock->sentinel);
    lock->sentinel = NULL;
    cce_file_unlock(lock);
    return -1;
}

void cce_file_unlock(struct cce_file_lock *lock)
{
    if (lock->held) {
        bool ours = lock->owner == getpid();

        if (ours && lock->sentinel != NULL)
            unlink(lock->sentinel);
        /* Removed while it is still locked: see try_flock. */
        if (ours && !lock->keep)
            unlink(lock->path);
        cce_path_close(&lock->fd);
    }
    forget(lock);
}
