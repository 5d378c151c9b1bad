#include "os/file/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/uri.h"
#include "os/file/path.h"

/* Reads to the end or until `size` bytes are there. */
static int read_all(int fd, char *bytes, size_t size, size_t *length)
{
    ssize_t count;

    *length = 0;
    while (*length < size) {
        count = read(fd, bytes + *length, size - *length);
        if (count == 0)
            break;
        if (count > 0)
            *length += (size_t)count;
        else if (errno != EINTR)
            return -1;
    }
    return 0;
}

static int init_from_fd(struct cce_secret *secret, int fd, const char *path,
                        struct cce_error *err)
{
    struct cce_secret scratch = {0};
    struct cce_bytes bytes;
    size_t length = 0;
    int result = -1;

    /* One byte more than a secret may have shows that a file is too long. */
    if (cce_secret_allocate(&scratch, CCE_SECRET_MAX + 1, err) != 0)
        return -1;
    if (read_all(fd, scratch.data, scratch.length, &length) != 0) {
        cce_path_fail_step(err, "read", path, "", errno);
        goto done;
    }
    if (length > CCE_SECRET_MAX) {
        cce_fail(err, CCE_FILE_ERROR,
                 "%s has more than the %d bytes a secret may have", path,
                 CCE_SECRET_MAX);
        goto done;
    }

    /* One line end, as editors leave it, is no part of the secret. */
    if (length > 0 && scratch.data[length - 1] == '\n') {
        length--;
        if (length > 0 && scratch.data[length - 1] == '\r')
            length--;
    }
    bytes = cce_secret_without_mark((struct cce_bytes){scratch.data, length});
    if (bytes.length > 0)
        result = cce_secret_init(secret, bytes, err);
    else
        cce_fail(err, CCE_FILE_ERROR, "%s is empty", path);

done:
    cce_secret_cleanup(&scratch);
    return result;
}

/* Any file, also a pipe that another process writes to. */
static int open_any(const struct cce_path *target, const char *path,
                    struct cce_error *err)
{
    int flags = O_RDONLY | O_NOCTTY | (target->is_descriptor ? 0 : O_NOFOLLOW);
    int fd = cce_path_openat(target->dir, target->name, flags, 0);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) != 0)
        cce_path_fail_step(err, "open", path, "", errno);
    else if (cce_path_check(target, "open", path, &info, err) == 0)
        return fd;
    cce_path_close(&fd);
    return -1;
}

static int open_private(const struct cce_path *target, const char *path,
                        struct cce_error *err)
{
    struct stat info;
    int fd = cce_path_open(target, "open", path, O_RDONLY, &info, err);

    if (fd < 0)
        return -1;
    /* Asked of the open file, so that it cannot change in between. */
    if (info.st_uid != geteuid() && info.st_uid != 0)
        cce_fail(err, CCE_FILE_ERROR, "%s belongs to another user (id %ld)",
                 path, (long)info.st_uid);
    else if ((info.st_mode & 077) != 0)
        cce_fail(err, CCE_FILE_ERROR,
                 "others than its owner can use %s (mode %04o)", path,
                 (unsigned)(info.st_mode & 07777));
    else
        return fd;
    cce_path_close(&fd);
    return -1;
}

static int init_from_path(struct cce_secret *secret, const char *path,
                          int (*open)(const struct cce_path *target,
                                      const char *path, struct cce_error *err),
                          struct cce_error *err)
{
    struct cce_path target;
    int fd, result = -1;

    if (cce_path_resolve(&target, "open", path, err) != 0)
        return -1;
    fd = open(&target, path, err);
    if (fd >= 0)
        result = init_from_fd(secret, fd, path, err);
    cce_path_close(&fd);
    cce_path_close(&target.dir);
    return result;
}

int cce_secret_from_file(struct cce_secret *secret, const char *path,
                         struct cce_error *err)
{
    return init_from_path(secret, path, open_any, err);
}

int cce_secret_from_private_file(struct cce_secret *secret, const char *path,
                                 struct cce_error *err)
{
    return init_from_path(secret, path, open_private, err);
}
