#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/path.h"

enum {
    MAX_ATTEMPTS = 16, /* for a temporary name that is free */
    READ_CHUNK = 64 * 1024
};

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
        return cce_path_fail_step(err, "look at", path, "", errno);
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
        return cce_path_fail_step(err, "read", path, "reading", errno);
    cce_buf_append(out, chunk, (size_t)count);
    cce_wipe(chunk, (size_t)count);
    if (out->too_long)
        return cce_fail(err, CCE_FILE_ERROR,
                        "cannot read '%s': it is larger than %zu bytes",
                        cce_path_shown(path), out->maximum);
    if (out->failed)
        return cce_fail_memory(err);
    return count > 0;
}

int cce_file_read(const char *path, struct cce_buf *out, struct cce_error *err)
{
    struct stat info;
    int more = -1;
    /* O_NONBLOCK: opening a FIFO that nobody writes to would wait. */
    int fd =
        cce_path_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);

    if (fd < 0)
        return cce_path_fail_step(err, "read", path, "", errno);
    if (fstat(fd, &info) < 0)
        cce_path_fail_step(err, "read", path, "", errno);
    else if (!S_ISREG(info.st_mode))
        cce_path_fail(err, "read", path, "it is not a regular file");
    else
        do
            more = read_chunk(fd, path, out, err);
        while (more > 0);
    cce_path_close(&fd);
    return more;
}

/* ---- write ---- */

static int sync_retry(int fd)
{
    int result;

    do
        result = fsync(fd);
    while (result < 0 && errno == EINTR);
    return result;
}

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
        fd = cce_path_openat(dir, name,
                             O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
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
static int find_old(const struct cce_path *target, const char *path,
                    struct stat *old, struct cce_error *err)
{
    if (fstatat(target->dir, target->name, old, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT)
            return 0;
        return cce_path_fail_step(err, "write", path, "looking at it", errno);
    }
    if (!S_ISREG(old->st_mode))
        return cce_path_fail(err, "write", path, "it is not a regular file");
    return 1;
}

struct content {
    const void *bytes;
    size_t length;
    mode_t mode;
    bool is_trial; /* the temporary file is removed, and not renamed */
};

/* Everything that happens to the temporary file before its rename; returns
 * the step that failed, with errno, or NULL. */
static const char *fill_temporary(int fd, const struct content *content,
                                  const struct stat *old)
{
    if (cce_path_write_all(fd, content->bytes, content->length) < 0)
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

static const char *replace(const struct cce_path *target,
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
    if (step == NULL && !content->is_trial &&
        renameat(target->dir, name, target->dir, target->name) < 0) {
        step = "renaming";
        error = errno;
    }
    if (step != NULL || content->is_trial)
        unlinkat(target->dir, name, 0);
    errno = error;
    return step;
}

static int write_file(const char *path, const struct content *content,
                      struct cce_error *err)
{
    struct cce_path target;
    struct stat old;
    const char *step;
    int found;
    int result = -1;

    if (cce_path_resolve(&target, "write", path, err) < 0)
        return -1;
    found = find_old(&target, path, &old, err);
    if (found < 0)
        goto done;
    step = replace(&target, content, found ? &old : NULL);
    if (step != NULL) {
        cce_path_fail_step(err, "write", path, step, errno);
        goto done;
    }
    /* Some file systems cannot sync a directory, and say EINVAL. */
    if (!content->is_trial && sync_retry(target.dir) < 0 && errno != EINVAL) {
        cce_path_fail_step(err, "write", path,
                           "it is replaced, but syncing its directory failed",
                           errno);
        goto done;
    }
    result = 0;
done:
    cce_path_close(&target.dir);
    return result;
}

int cce_file_write(const char *path, const void *bytes, size_t length,
                   mode_t mode, struct cce_error *err)
{
    const struct content content = {bytes, length, mode, false};

    return write_file(path, &content, err);
}

int cce_file_try_write(const char *path, const void *bytes, size_t length,
                       mode_t mode, struct cce_error *err)
{
    const struct content content = {bytes, length, mode, true};

    return write_file(path, &content, err);
}
