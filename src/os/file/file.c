#include "os/file/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file/path.h"

#define TEMPORARY_BEGINS ".cce-"
#define TEMPORARY_ENDS   ".tmp"

enum {
    TEMPORARY_NAME = sizeof TEMPORARY_BEGINS TEMPORARY_ENDS + 16,
    MAX_ATTEMPTS = 16,    /* for a temporary name that is free */
    READ_CHUNK = 8 * 1024 /* on the stack, which in a thread may be small */
};

/* ---- stat ---- */

int cce_file_stat(const char *path, struct cce_file_stat *out, bool *exists,
                  struct cce_error *err)
{
    struct stat info;

    *exists = false;
    out->is_symlink = lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
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
    out->type = S_ISREG(info.st_mode)   ? "file"
                : S_ISDIR(info.st_mode) ? "directory"
                                        : "other";
    return 0;
}

int cce_file_check(const char *path, struct cce_error *err)
{
    struct cce_path target;
    struct stat info;
    int result = 0;

    if (cce_path_resolve(&target, "open", path, err) < 0)
        return -1;
    if (fstatat(target.dir, target.name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISREG(info.st_mode))
            result = cce_path_check(&target, "open", path, &info, err);
        else
            result =
                cce_path_fail(err, "open", path, "it is not a regular file");
    } else if (errno != ENOENT)
        result = cce_path_fail_step(err, "open", path, "", errno);
    cce_path_close(&target.dir);
    return result;
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
    struct cce_path target;
    struct stat info;
    int fd, more = -1;

    if (cce_path_resolve(&target, "read", path, err) < 0)
        return -1;
    fd = cce_path_open(&target, "read", path, O_RDONLY, &info, err);
    cce_path_close(&target.dir);
    if (fd >= 0)
        do
            more = read_chunk(fd, path, out, err);
        while (more > 0);
    cce_path_close(&fd);
    return more;
}

/* ---- write ---- */

/* A new file that only its owner may read, in `dir`; its name in `name`. It
 * is locked, which tells it from one that a killed process left. Before that
 * another process that sweeps may have removed it. */
static int create_temporary(int dir, char name[TEMPORARY_NAME])
{
    for (int i = 0; i < MAX_ATTEMPTS; i++) {
        struct stat info;
        uint64_t number;
        ssize_t count;
        int fd;

        do
            count = getrandom(&number, sizeof number, 0);
        while (count < 0 && errno == EINTR);
        if (count != sizeof number)
            return -1;
        snprintf(name, TEMPORARY_NAME,
                 TEMPORARY_BEGINS "%016llx" TEMPORARY_ENDS,
                 (unsigned long long)number);
        fd = cce_path_openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
        /* Another name helps only against a name that is taken. */
        if (fd < 0 && errno != EEXIST)
            return -1;
        if (fd < 0)
            continue;
        if ((flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) &&
            fstat(fd, &info) == 0 && info.st_nlink > 0)
            return fd;
        cce_path_close(&fd);
    }
    return -1;
}

static bool is_temporary_name(const char *name)
{
    size_t length = strlen(TEMPORARY_BEGINS), digits;

    if (strncmp(name, TEMPORARY_BEGINS, length) != 0)
        return false;
    digits = strspn(name + length, "0123456789abcdef");
    return digits == 16 && strcmp(name + length + digits, TEMPORARY_ENDS) == 0;
}

/* A process that was killed while it wrote left a file with a key in it. One
 * that still writes holds the lock on its own. */
static void sweep(int dir)
{
    int copy = cce_path_openat(dir, ".", O_RDONLY | O_DIRECTORY, 0);
    DIR *list = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;

    if (list == NULL) {
        cce_path_close(&copy);
        return;
    }
    while ((entry = readdir(list)) != NULL) {
        const char *name = entry->d_name;
        struct stat info;
        int fd;

        if (!is_temporary_name(name))
            continue;
        fd = cce_path_openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
            info.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(dir, name, 0);
        cce_path_close(&fd);
    }
    closedir(list);
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
    /* As far as the system lets us: only root may give a file away. The mode
     * comes after it, since a change of owner may clear bits. */
    if (old != NULL && fchown(fd, old->st_uid, old->st_gid) < 0 &&
        fchown(fd, (uid_t)-1, old->st_gid) < 0)
        errno = 0; /* it stays this process's own */
    if (fchmod(fd, content->mode) < 0)
        return "setting its permissions";
    if (cce_path_sync(fd, fsync) < 0)
        return "syncing";
    return NULL;
}

/* Why no other file could get its name: NULL, or the step that would fail, with
 * errno. Asked before anything is written, so that a trial knows it, too. */
static const char *find_obstacle(const struct cce_path *target)
{
#ifdef STATX_ATTR_MOUNT_ROOT
    struct statx info;

    if (statx(target->dir, target->name, AT_SYMLINK_NOFOLLOW, 0, &info) == 0 &&
        (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) {
        errno = EBUSY;
        return "it is mounted by itself, as a file given to a container is; "
               "mount its directory instead";
    }
#endif
    /* A file that may be removed is no directory; one that is immutable, or
     * only appended to, is refused before that is looked at. */
    if (unlinkat(target->dir, target->name, AT_REMOVEDIR) < 0 && errno == EPERM)
        return "it must not be replaced (lsattr shows why)";
    return NULL;
}

static const char *replace(const struct cce_path *target,
                           const struct content *content,
                           const struct stat *old)
{
    char name[TEMPORARY_NAME];
    int fd = create_temporary(target->dir, name);
    const char *step;
    int error, held;

    if (fd < 0)
        return "creating a temporary file beside it";
    step = fill_temporary(fd, content, old);
    error = errno;
    /* The lock stays until it has its name: another process may sweep. */
    held = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (held < 0 && step == NULL) {
        step = "keeping it locked";
        error = errno;
    }
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
    cce_path_close(&held);
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
    bool found;
    int result = -1;

    if (cce_path_resolve(&target, "write", path, err) < 0)
        return -1;
    found = fstatat(target.dir, target.name, &old, AT_SYMLINK_NOFOLLOW) == 0;
    if (!found && errno != ENOENT) {
        cce_path_fail_step(err, "write", path, "looking at it", errno);
        goto done;
    }
    if (found && !S_ISREG(old.st_mode)) {
        cce_path_fail(err, "write", path, "it is not a regular file");
        goto done;
    }
    if (found && cce_path_check(&target, "write", path, &old, err) < 0)
        goto done;

    sweep(target.dir);
    step = found ? find_obstacle(&target) : NULL;
    if (step == NULL)
        step = replace(&target, content, found ? &old : NULL);
    if (step != NULL) {
        cce_path_fail_step(err, "write", path, step, errno);
        goto done;
    }
    /* The new name survives a power cut only after this. */
    if (!content->is_trial && cce_path_sync_directory(target.dir) < 0) {
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
