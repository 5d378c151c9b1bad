/*
 * target: where a path leads, and the calls on it that go on after EINTR.
 * For the files that read, write and lock; errors are those of file.h.
 */
#ifndef CCE_OS_PATH_H
#define CCE_OS_PATH_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/status.h"

/* A file by its open directory, so that nothing that happens to the names
 * above can make the steps of a write see different directories. */
struct cce_path {
    int dir;
    char path[PATH_MAX]; /* where the symlinks lead */
    const char *name;    /* the last part of `path` */
};

/* Follows the symlinks of `path`, except a stranger's in a directory such as
 * /tmp, and opens the directory; target->dir is the caller's to close. `verb`
 * is for messages. */
int cce_path_resolve(struct cce_path *target, const char *verb,
                     const char *path, struct cce_error *err);

/* FILE_ERROR: "cannot <verb> '<path>': <step>: <reason>". */
int cce_path_fail_step(struct cce_error *err, const char *verb,
                       const char *path, const char *step, int error);

/* FILE_ERROR: "cannot <verb> '<path>': <what>". */
int cce_path_fail(struct cce_error *err, const char *verb, const char *path,
                  const char *what);

/* The end of a path that is too long for a message, else the path. */
const char *cce_path_shown(const char *path);

/* openat with O_CLOEXEC. */
int cce_path_openat(int dir, const char *name, int flags, mode_t mode);

/* -1 when it fails: errno says. */
int cce_path_write_all(int fd, const char *bytes, size_t length);

/* Closes a descriptor that is not -1, and makes it that. */
void cce_path_close(int *fd);

#endif
