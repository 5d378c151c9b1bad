#include "os/file/path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    MAX_LINKS = 40,  /* as the kernel's own limit */
    SHOWN_PATH = 240 /* a longer path is cut in messages, so that the reason
                        behind it still fits */
};

/* ---- messages ---- */

const char *cce_path_shown(const char *path)
{
    size_t length = strlen(path);

    return length > SHOWN_PATH ? path + length - SHOWN_PATH : path;
}

int cce_path_fail_step(struct cce_error *err, const char *verb,
                       const char *path, const char *step, int error)
{
    return cce_fail(err, CCE_FILE_ERROR, "cannot %s '%s%s': %s%s%s", verb,
                    cce_path_shown(path) == path ? "" : "...",
                    cce_path_shown(path), step, *step != '\0' ? ": " : "",
                    strerror(error));
}

int cce_path_fail(struct cce_error *err, const char *verb, const char *path,
                  const char *what)
{
    return cce_fail(err, CCE_FILE_ERROR, "cannot %s '%s%s': %s", verb,
                    cce_path_shown(path) == path ? "" : "...",
                    cce_path_shown(path), what);
}

/* ---- calls that go on after EINTR ---- */

void cce_path_close(int *fd)
{
    /* Not again after EINTR: Linux has closed it by then. */
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

int cce_path_openat(int dir, const char *name, int flags, mode_t mode)
{
    int fd;

    do
        fd = openat(dir, name, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

int cce_path_sync(int fd, int (*sync)(int fd))
{
    int result;

    do
        result = sync(fd);
    while (result < 0 && errno == EINTR);
    return result;
}

int cce_path_sync_directory(int dir)
{
    /* Some file systems cannot sync a directory, and say EINVAL; without
     * the right to read it the descriptor is O_PATH, and that says EBADF. */
    if (cce_path_sync(dir, fsync) == 0 || errno == EINVAL || errno == EBADF)
        return 0;
    return -1;
}

int cce_path_write_all(int fd, const char *bytes, size_t length)
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

/* ---- which user prepared it ---- */

static bool is_trusted(uid_t owner)
{
    return owner == geteuid() || owner == 0;
}

static bool is_shared(const struct stat *directory)
{
    return (directory->st_mode & (S_ISVTX | S_IWOTH)) != 0;
}

int cce_path_check(const struct cce_path *target, const char *verb,
                   const char *path, const struct stat *info,
                   struct cce_error *err)
{
    char what[160];

    if (!target->is_shared)
        return 0;
    if (!is_trusted(info->st_uid)) {
        snprintf(what, sizeof what,
                 "it belongs to user %ld, in a directory where others may put "
                 "files; use a directory of your own",
                 (long)info->st_uid);
        return cce_path_fail(err, verb, path, what);
    }
    if (info->st_nlink > 1 && S_ISREG(info->st_mode))
        return cce_path_fail(err, verb, path,
                             "it has a second name, in a directory where "
                             "others may put files; use a directory of your "
                             "own");
    return 0;
}

/* A pipe that this process was given holds what somebody meant for it. To be
 * read to its end, which may be waited for. */
static bool is_given_pipe(const struct cce_path *target, int fd,
                          const struct stat *info)
{
    return target->is_descriptor && S_ISFIFO(info->st_mode) &&
           fcntl(fd, F_SETFL, 0) == 0;
}

int cce_path_open(const struct cce_path *target, const char *verb,
                  const char *path, int flags, struct stat *info,
                  struct cce_error *err)
{
    /* O_NONBLOCK: opening a FIFO without a writer would wait. */
    int fd = cce_path_openat(target->dir, target->name,
                             flags | O_NONBLOCK | O_NOCTTY |
                                 (target->is_descriptor ? 0 : O_NOFOLLOW),
                             0600);

    if (fd < 0)
        return cce_path_fail_step(err, verb, path, "", errno);
    if (fstat(fd, info) < 0)
        cce_path_fail_step(err, verb, path, "looking at it", errno);
    else if (!S_ISREG(info->st_mode) && !is_given_pipe(target, fd, info))
        cce_path_fail(err, verb, path, "it is not a regular file");
    else if (cce_path_check(target, verb, path, info, err) == 0)
        return fd;
    cce_path_close(&fd);
    return -1;
}

bool cce_path_is_named(int dir, const char *name, const struct stat *info)
{
    struct stat named;

    return fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           named.st_dev == info->st_dev && named.st_ino == info->st_ino;
}

/* ---- where a path leads ---- */

/* A walk along a path, one name after the other, as the kernel does it; but
 * each link is looked at before it is followed. */
struct walk {
    int dir; /* that `done` names */
    bool is_shared, is_proc, is_descriptor;
    int links;
    const char *step;    /* under way, for messages */
    char done[PATH_MAX]; /* without links; "" is the current directory */
    char rest[PATH_MAX];
    char name[NAME_MAX + 1]; /* the next one, taken off `rest` */
};

static int enter(struct walk *walk, const char *name, int flags)
{
    int dir = cce_path_openat(walk->dir, name, O_PATH | O_DIRECTORY | flags, 0);
    struct stat info;
    struct statfs system;

    if (walk->dir != AT_FDCWD)
        cce_path_close(&walk->dir);
    walk->dir = dir;
    if (dir < 0 || fstat(dir, &info) < 0)
        return -1;
    /* Another user's directory within a shared one is that user's to fill. */
    walk->is_shared =
        is_shared(&info) || (walk->is_shared && !is_trusted(info.st_uid));
    walk->is_proc =
        fstatfs(dir, &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
    return 0;
}

/* Begins at the root, or where the walk stands, and leaves what follows. */
static int start(struct walk *walk)
{
    if (walk->rest[0] != '/')
        return walk->dir == AT_FDCWD ? enter(walk, ".", O_NOFOLLOW) : 0;
    if (enter(walk, "/", O_NOFOLLOW) < 0)
        return -1;
    memcpy(walk->done, "/", 2);
    return 0;
}

/* Joins a name to what was walked. */
static int join(char path[PATH_MAX], const char *name)
{
    size_t length = strlen(path), more = strlen(name);
    bool needs_slash = length > 0 && path[length - 1] != '/';

    if (length + needs_slash + more >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (needs_slash)
        path[length++] = '/';
    memcpy(path + length, name, more + 1);
    return 0;
}

/* Puts where the link walk->name leads before the rest. */
static int follow(struct walk *walk, const struct stat *link)
{
    char where[PATH_MAX];
    ssize_t length = readlinkat(walk->dir, walk->name, where, sizeof where);

    walk->step = "following its links";
    if (length < 0)
        return -1;
    if (walk->is_shared && !is_trusted(link->st_uid))
        errno = EACCES;
    else if (++walk->links > MAX_LINKS)
        errno = ELOOP;
    else if ((size_t)length + strlen(walk->rest) + 1 > sizeof walk->rest)
        errno = ENAMETOOLONG;
    else {
        memmove(walk->rest + length, walk->rest, strlen(walk->rest) + 1);
        memcpy(walk->rest, where, (size_t)length);
        return start(walk);
    }
    return -1;
}

/* 1: the last name was reached; 0: go on; -1: errno says. */
static int step(struct walk *walk)
{
    const char *from = walk->rest + strspn(walk->rest, "/");
    size_t length = strcspn(from, "/");
    struct stat info;
    bool is_last;

    walk->step = "opening its directory";
    if (length > NAME_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(walk->name, from, length);
    walk->name[length] = '\0';
    memmove(walk->rest, from + length, strlen(from + length) + 1);

    is_last = walk->rest[0] == '\0';
    if (is_last && (walk->name[0] == '\0' || strcmp(walk->name, "..") == 0)) {
        errno = EISDIR;
        return -1;
    }
    if (strcmp(walk->name, ".") == 0)
        return 0;
    if (fstatat(walk->dir, walk->name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return is_last && errno == ENOENT ? 1 : -1;
    /* A link in /proc may lead where no path does, such as to a pipe: only the
     * kernel can follow it. */
    walk->is_descriptor = S_ISLNK(info.st_mode) && is_last && walk->is_proc;
    if (S_ISLNK(info.st_mode) && !walk->is_proc)
        return follow(walk, &info);
    if (is_last)
        return 1;
    if (enter(walk, walk->name, walk->is_proc ? 0 : O_NOFOLLOW) < 0)
        return -1;
    return join(walk->done, walk->name);
}

int cce_path_resolve(struct cce_path *target, const char *verb,
                     const char *path, struct cce_error *err)
{
    struct walk walk = {.dir = AT_FDCWD, .step = "opening its directory"};
    int result = 0;

    memset(target, 0, sizeof *target);
    target->dir = -1;
    if (strlen(path) >= sizeof walk.rest)
        return cce_path_fail_step(err, verb, path, "", ENAMETOOLONG);
    memcpy(walk.rest, path, strlen(path) + 1);
    if (start(&walk) < 0)
        result = -1;
    while (result == 0)
        result = step(&walk);

    /* Opened anew, to be read: a descriptor with O_PATH cannot be synced. */
    if (result > 0 && join(walk.done, walk.name) == 0)
        target->dir = cce_path_openat(walk.dir, ".", O_RDONLY | O_DIRECTORY, 0);
    /* With the right to search a directory, but not to read it, a file in it
     * can still be opened. */
    if (target->dir < 0 && errno == EACCES && result > 0) {
        target->dir = walk.dir;
        walk.dir = AT_FDCWD;
    }
    if (target->dir < 0 && errno == EISDIR)
        cce_path_fail(err, verb, path, "it is a directory, not a file");
    else if (target->dir < 0)
        cce_path_fail_step(err, verb, path, walk.step, errno);
    if (walk.dir != AT_FDCWD)
        cce_path_close(&walk.dir);
    if (target->dir < 0)
        return -1;
    memcpy(target->path, walk.done, sizeof walk.done);
    target->name = target->path + strlen(walk.done) - strlen(walk.name);
    target->is_shared = walk.is_shared;
    target->is_descriptor = walk.is_descriptor;
    return 0;
}
