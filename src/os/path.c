#include "os/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
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

/* ---- where a path leads ---- */

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

static int open_directory(struct cce_path *target)
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
    target->dir =
        cce_path_openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY, 0);
    return target->dir < 0 ? -1 : 0;
}

static bool is_directory_name(const char *name)
{
    return *name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int cce_path_resolve(struct cce_path *target, const char *verb,
                     const char *path, struct cce_error *err)
{
    target->dir = -1;
    if (strlen(path) >= sizeof target->path)
        return cce_path_fail_step(err, verb, path, "", ENAMETOOLONG);
    memcpy(target->path, path, strlen(path) + 1);
    if (follow_links(target->path) < 0)
        return cce_path_fail_step(err, verb, path, "following its links",
                                  errno);
    if (open_directory(target) < 0)
        return cce_path_fail_step(err, verb, path, "opening its directory",
                                  errno);
    if (is_directory_name(target->name)) {
        cce_path_close(&target->dir);
        return cce_path_fail(err, verb, path, "it is not the name of a file");
    }
    return 0;
}
