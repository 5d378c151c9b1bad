#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_LINKS = 40,    /* as the kernel's own limit */
    MAX_ATTEMPTS = 16, /* for a temporary name that is free */
    READ_CHUNK = 64 * 1024,
    SHOWN_PATH = 240, /* a longer path is cut in messages, so that the reason
                         behind it still fits */
    FIRST_PAUSE_MS = 1,
    LAST_PAUSE_MS = 50,
};

/* Marks the sentinel as ours: kubectl's is empty. */
static const char sentinel_mark[] = "lua-cce\n";

static const char *tail(const char *path)
{
    size_t length = strlen(path);

    return length > SHOWN_PATH ? path + length - SHOWN_PATH : path;
}

/* FILE_ERROR: "cannot <verb> '<path>': <step>: <reason>". */
static int fail_step(struct cce_error *err, const char *verb, const char *path,
                     const char *step, int error)
{
    return cce_fail(err, CCE_FILE_ERROR, "cannot %s '%s%s': %s%s%s", verb,
                    tail(path) == path ? "" : "...", tail(path), step,
                    *step != '\0' ? ": " : "", strerror(error));
}

static int fail_kind(struct cce_error *err, const char *verb, const char *path,
                     const char *what)
{
    return cce_fail(err, CCE_FILE_ERROR, "cannot %s '%s%s': %s", verb,
                    tail(path) == path ? "" : "...", tail(path), what);
}

static void close_if_open(int *fd)
{
    /* Not again after EINTR: Linux has closed it by then. */
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int open_retry(int dir, const char *name, int flags, mode_t mode)
{
    int fd;

    do
        fd = openat(dir, name, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static int sync_retry(int fd)
{
    int result;

    do
        result = fsync(fd);
    while (result < 0 && errno == EINTR);
    return result;
}

static int write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        bytes += written;
        length -= (size_t)written;
    }
    return 0;
}

/* ---- stat ---- */

static const char *type_of(mode_t mode)
{
    if (S_ISREG(mode))
        return "file";
    return S_ISDIR(mode) ? "directory" : "other";
}

int cce_file_stat(const char *path, struct cce_file_stat *out, bool *exists,
                  struct cce_error *err)
{
    struct stat info;

    memset(out, 0, sizeof *out);
    *exists = false;
    if (lstat(path, &info) == 0)
        out->is_symlink = S_ISLNK(info.st_mode);
    if (stat(path, &info) < 0) {
        if (errno == ENOENT)
            return 0;
        return fail_step(err, "look at", path, "", errno);
    }
    *exists = true;
    out->mode = info.st_mode & 07777;
    out->size = info.st_size;
    out->mtime =
        (double)info.st_mtim.tv_sec + (double)info.st_mtim.tv_nsec / 1e9;
    out->owner = info.st_uid;
    out->group = info.st_gid;
    out->device = info.st_dev;
    out->inode = info.st_ino;
    out->type = type_of(info.st_mode);
    return 0;
}

/* ---- read ---- */

/* 1: more may come, 0: the end, -1: failed, and *err says why. */
static int read_chunk(int fd, const char *path, struct cce_buf *out,
                      struct cce_error *err)
{
    char chunk[READ_CHUNK];
    ssize_t count;

    do
        count = read(fd, chunk, sizeof chunk);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return fail_step(err, "read", path, "reading", errno);
    cce_buf_append(out, chunk, (size_t)count);
    cce_wipe(chunk, (size_t)count);
    if (out->too_long)
        return cce_fail(err, CCE_FILE_ERROR,
                        "cannot read '%s': it is larger than %zu bytes",
                        tail(path), out->maximum);
    if (out->failed)
        return cce_fail_memory(err);
    return count > 0;
}

int cce_file_read(const char *path, struct cce_buf *out, struct cce_error *err)
{
    struct stat info;
    int more = -1;
    /* O_NONBLOCK: opening a FIFO that nobody writes to would wait. */
    int fd = open_retry(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);

    if (fd < 0)
        return fail_step(err, "read", path, "", errno);
    if (fstat(fd, &info) < 0)
        fail_step(err, "read", path, "", errno);
    else if (!S_ISREG(info.st_mode))
        fail_kind(err, "read", path, "it is not a regular file");
    else
        do
            more = read_chunk(fd, path, out, err);
        while (more > 0);
    close_if_open(&fd);
    return more;
}

/* ---- where a path leads ---- */

/* A file by its open directory, so that nothing that happens to the names
 * above can make the steps of a write see different directories. */
struct target {
    int dir;
    char path[PATH_MAX]; /* where the symlinks lead */
    const char *name;    /* the last part of `path` */
};

/* Whether the symlink `path` may be a trap: somebody else's, in a directory
 * where everybody may put one. The kernel's rule (protected_symlinks) does
 * not see links that are read and not followed. */
static bool is_trap(const char *path, size_t prefix)
{
    char directory[PATH_MAX] = ".";
    struct stat link, parent;

    if (prefix > 0) {
        memcpy(directory, path, prefix);
        directory[prefix] = '\0';
    }
    if (lstat(path, &link) < 0 || stat(directory, &parent) < 0)
        return true;
    if (!(parent.st_mode & S_ISVTX) || !(parent.st_mode & S_IWOTH))
        return false;
    return link.st_uid != geteuid() && link.st_uid != parent.st_uid;
}

/* The target of the symlink `path`, in place; a relative one is relative to
 * the link's directory. 1: it was a link, 0: it is none, -1: errno says. */
static int follow_link(char path[PATH_MAX])
{
    char link[PATH_MAX];
    char *slash = strrchr(path, '/');
    size_t prefix = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    ssize_t length = readlink(path, link, sizeof link);

    if (length < 0)
        return errno == EINVAL || errno == ENOENT ? 0 : -1;
    if (is_trap(path, prefix)) {
        errno = EACCES;
        return -1;
    }
    if (link[0] == '/')
        prefix = 0;
    if ((size_t)length + prefix >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(path + prefix, link, (size_t)length);
    path[prefix + (size_t)length] = '\0';
    return 1;
}

static int follow_links(char path[PATH_MAX])
{
    for (int i = 0; i < MAX_LINKS; i++) {
        int followed = follow_link(path);

        if (followed <= 0)
            return followed;
    }
    errno = ELOOP;
    return -1;
}

static int open_directory(struct target *target)
{
    char *slash = strrchr(target->path, '/');
    char directory[PATH_MAX] = ".";

    target->name = slash == NULL ? target->path : slash + 1;
    if (slash != NULL) {
        size_t length =
            slash == target->path ? 1 : (size_t)(slash - target->path);

        memcpy(directory, target->path, length);
        directory[length] = '\0';
    }
    target->dir = open_retry(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY, 0);
    return target->dir < 0 ? -1 : 0;
}

static bool is_directory_name(const char *name)
{
    return *name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int target_open(struct target *target, const char *verb,
                       const char *path, struct cce_error *err)
{
    target->dir = -1;
    if (strlen(path) >= sizeof target->path)
        return fail_step(err, verb, path, "", ENAMETOOLONG);
    memcpy(target->path, path, strlen(path) + 1);
    if (follow_links(target->path) < 0)
        return fail_step(err, verb, path, "following its links", errno);
    if (open_directory(target) < 0)
        return fail_step(err, verb, path, "opening its directory", errno);
    if (is_directory_name(target->name)) {
        close_if_open(&target->dir);
        return fail_kind(err, verb, path, "it is not the name of a file");
    }
    return 0;
}

/* ---- write ---- */

static int random_name(char name[40])
{
    uint64_t number;
    ssize_t count;

    do
        count = getrandom(&number, sizeof number, 0);
    while (count < 0 && errno == EINTR);
    if (count != sizeof number)
        return -1;
    snprintf(name, 40, ".cce-%016llx.tmp", (unsigned long long)number);
    return 0;
}

/* A new file that only its owner may read, in `dir`; its name in `name`. */
static int create_temporary(int dir, char name[40])
{
    for (int i = 0; i < MAX_ATTEMPTS; i++) {
        int fd;

        if (random_name(name) < 0)
            return -1;
        fd = open_retry(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
                        0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

/* Gives the new file the owner and group of the old one, as far as the
 * system lets us: only root may give a file away. */
static void keep_owner(int fd, const struct stat *old)
{
    if (fchown(fd, old->st_uid, old->st_gid) == 0)
        return;
    if (fchown(fd, (uid_t)-1, old->st_gid) < 0)
        return;
}

/* The file that is there now: 1 and *old, or 0 when there is none. */
static int find_old(const struct target *target, const char *path,
                    struct stat *old, struct cce_error *err)
{
    if (fstatat(target->dir, target->name, old, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT)
            return 0;
        return fail_step(err, "write", path, "looking at it", errno);
    }
    if (!S_ISREG(old->st_mode))
        return fail_kind(err, "write", path, "it is not a regular file");
    return 1;
}

struct content {
    const void *bytes;
    size_t length;
    mode_t mode;
};

/* Everything that happens to the temporary file before its rename; returns
 * the step that failed, with errno, or NULL. */
static const char *fill_temporary(int fd, const struct content *content,
                                  const struct stat *old)
{
    if (write_all(fd, content->bytes, content->length) < 0)
        return "writing";
    if (old != NULL)
        keep_owner(fd, old);
    /* After the change of owner, which may clear bits. */
    if (fchmod(fd, content->mode) < 0)
        return "setting its permissions";
    if (sync_retry(fd) < 0)
        return "syncing";
    return NULL;
}

static const char *replace(const struct target *target,
                           const struct content *content,
                           const struct stat *old)
{
    char name[40];
    int fd = create_temporary(target->dir, name);
    const char *step;
    int error;

    if (fd < 0)
        return "creating a temporary file beside it";
    step = fill_temporary(fd, content, old);
    error = errno;
    /* Network file systems report a full disk only here. */
    if (close(fd) < 0 && errno != EINTR && step == NULL) {
        step = "closing";
        error = errno;
    }
    if (step == NULL &&
        renameat(target->dir, name, target->dir, target->name) < 0) {
        step = "renaming";
        error = errno;
    }
    if (step != NULL)
        unlinkat(target->dir, name, 0);
    errno = error;
    return step;
}

int cce_file_write(const char *path, const void *bytes, size_t length,
                   mode_t mode, struct cce_error *err)
{
    const struct content content = {bytes, length, mode};
    struct target target;
    struct stat old;
    const char *step;
    int found;
    int result = -1;

    if (target_open(&target, "write", path, err) < 0)
        return -1;
    found = find_old(&target, path, &old, err);
    if (found < 0)
        goto done;
    step = replace(&target, &content, found ? &old : NULL);
    if (step != NULL) {
        fail_step(err, "write", path, step, errno);
        goto done;
    }
    /* Some file systems cannot sync a directory, and say EINVAL. */
    if (sync_retry(target.dir) < 0 && errno != EINVAL) {
        fail_step(err, "write", path,
                  "it is replaced, but syncing its directory failed", errno);
        goto done;
    }
    result = 0;
done:
    close_if_open(&target.dir);
    return result;
}

/* ---- lock ---- */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits a little longer every time; false once the deadline has passed. */
static bool pause_until(int64_t deadline_ms, long *pause_ms)
{
    int64_t left = deadline_ms - now_ms();
    struct timespec pause = {0, 0};

    if (left <= 0)
        return false;
    pause.tv_nsec = (left < *pause_ms ? (long)left : *pause_ms) * 1000000;
    nanosleep(&pause, NULL); /* cut short by a signal: looks again sooner */
    *pause_ms = *pause_ms * 2 < LAST_PAUSE_MS ? *pause_ms * 2 : LAST_PAUSE_MS;
    return true;
}

/* The lock file may have been removed by its last holder between our open
 * and our flock; a lock on a file without a name protects nothing. */
static bool still_named(int fd, const char *path)
{
    struct stat opened, named;

    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* 1: locked, 0: someone else holds it, -1: errno says. */
static int try_flock(struct cce_file_lock *lock)
{
    int result;

    lock->fd =
        open_retry(AT_FDCWD, lock->path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (lock->fd < 0)
        return -1;
    do
        result = flock(lock->fd, LOCK_EX | LOCK_NB);
    while (result < 0 && errno == EINTR);
    if (result == 0 && still_named(lock->fd, lock->path))
        return 1;
    if (result == 0)
        errno = EWOULDBLOCK;
    result = errno;
    close_if_open(&lock->fd);
    errno = result;
    return result == EWOULDBLOCK ? 0 : -1;
}

/* Whether a sentinel was made by us. Whoever asks holds the flock, so its
 * maker cannot be alive. */
static bool is_our_sentinel(const char *path)
{
    char text[sizeof sentinel_mark] = "";
    int fd = open_retry(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    ssize_t count = fd < 0 ? -1 : read(fd, text, sizeof text);

    close_if_open(&fd);
    return count == sizeof sentinel_mark - 1 &&
           memcmp(text, sentinel_mark, (size_t)count) == 0;
}

/* 1: made, 0: it exists, -1: errno says. */
static int try_sentinel(const char *path)
{
    int fd = open_retry(AT_FDCWD, path,
                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);

    if (fd < 0 && errno == EEXIST)
        return is_our_sentinel(path);
    if (fd < 0)
        return -1;
    /* Without the mark it counts as kubectl's, which is only stricter. */
    if (write_all(fd, sentinel_mark, sizeof sentinel_mark - 1) < 0)
        errno = 0;
    close_if_open(&fd);
    return 1;
}

static int name_locks(struct cce_file_lock *lock, const struct target *target,
                      bool kubectl)
{
    int directory = (int)(target->name - target->path);

    if (asprintf(&lock->path, "%.*s.%s.lock", directory, target->path,
                 target->name) < 0)
        lock->path = NULL;
    if (kubectl && asprintf(&lock->sentinel, "%s.lock", target->path) < 0)
        lock->sentinel = NULL;
    return lock->path == NULL || (kubectl && lock->sentinel == NULL) ? -1 : 0;
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
    long pause_ms = FIRST_PAUSE_MS;
    int result;

    do
        result = attempt(lock);
    while (result == 0 && pause_until(deadline_ms, &pause_ms));
    return result;
}

static int attempt_sentinel(struct cce_file_lock *lock)
{
    return try_sentinel(lock->sentinel);
}

/* Takes what the options ask for; *waited_for is the file that was in the
 * way when the result is not 1. */
static int acquire(struct cce_file_lock *lock, int64_t deadline_ms,
                   const char **waited_for)
{
    int result = wait_for(try_flock, lock, deadline_ms);

    *waited_for = lock->path;
    if (result <= 0)
        return result;
    lock->held = true;
    lock->owner = getpid();
    if (lock->sentinel == NULL)
        return 1;
    *waited_for = lock->sentinel;
    result = wait_for(attempt_sentinel, lock, deadline_ms);
    return result;
}

static int fail_locked(struct cce_error *err, const char *path,
                       const char *in_the_way,
                       const struct cce_file_lock_options *options,
                       bool is_sentinel)
{
    return cce_fail(err, CCE_TIMEOUT,
                    "cannot lock '%s': another process held '%s' for %ld ms%s",
                    tail(path), tail(in_the_way), options->timeout_ms,
                    is_sentinel ? "; remove it if no kubectl is running" : "");
}

int cce_file_lock(struct cce_file_lock *lock, const char *path,
                  const struct cce_file_lock_options *options,
                  struct cce_error *err)
{
    int64_t deadline_ms = now_ms() + options->timeout_ms;
    const char *in_the_way = NULL;
    struct target target;
    int result, error;

    if (target_open(&target, "lock", path, err) < 0)
        return -1;
    close_if_open(&target.dir);
    if (name_locks(lock, &target, options->kubectl) < 0) {
        forget(lock);
        return cce_fail_memory(err);
    }
    result = acquire(lock, deadline_ms, &in_the_way);
    if (result == 1)
        return 0;
    error = errno;
    if (result < 0)
        fail_step(err, "lock", path, "creating a lock file beside it", error);
    else
        fail_locked(err, path, in_the_way, options, lock->held);
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
        /* Removed while it is still locked: see still_named. */
        if (ours)
            unlink(lock->path);
        close_if_open(&lock->fd);
    }
    forget(lock);
}
