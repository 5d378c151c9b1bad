/*
 * path: where a path leads, which user prepared what is there, and the calls on
 * it that go on after EINTR.
 *
 * Every read, write, append and lock comes through here, so that one rule holds
 * for them: in a directory where other users may put names (a sticky one, or
 * one that is writable for all, such as /tmp) a link or a file is used only
 * if it is this user's or root's, and has no second name elsewhere. A
 * directory that another user made there is such a directory. Root is held to
 * it, too. The kernel's own rules (protected_symlinks and protected_regular)
 * can be off, and do not see a rename over a file.
 *
 * Errors are those of file.h.
 */
#ifndef CCE_OS_FILE_PATH_H
#define CCE_OS_FILE_PATH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/status.h"

/* A file by its open directory, so that nothing that happens to the names
 * above can make the steps of a write see different directories. */
struct cce_path {
    int dir;
    bool is_shared;      /* others may put names into the directory */
    bool is_descriptor;  /* a name in /proc such as /dev/stdin leads to */
    char path[PATH_MAX]; /* where the symlinks lead */
    const char *name;    /* the last part of `path` */
};

/* Follows the symlinks of `path` and opens the directory that they lead to;
 * target->dir is the caller's to close. `verb` is for messages. */
int cce_path_resolve(struct cce_path *target, const char *verb,
                     const char *path, struct cce_error *err);

/* Fails unless a file that is there, or that was opened, may be used. */
int cce_path_check(const struct cce_path *target, const char *verb,
                   const char *path, const struct stat *info,
                   struct cce_error *err);

/* Opens the file: a regular one that may be used, or, to read it, a pipe behind
 * a name such as /dev/stdin; or fails. Does not wait for a FIFO or a device.
 * Returns the descriptor, and what fstat says of it. */
int cce_path_open(const struct cce_path *target, const char *verb,
                  const char *path, int flags, struct stat *info,
                  struct cce_error *err);

/* Whether the name still leads to the file that `info` is of. */
bool cce_path_is_named(int dir, const char *name, const struct stat *info);

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

/* fsync or fdatasync, again after a signal. */
int cce_path_sync(int fd, int (*sync)(int fd));

/* So that a new name survives a power cut, as far as that can be had. */
int cce_path_sync_directory(int dir);

/* Closes a descriptor that is not -1, and makes it that. */
void cce_path_close(int *fd);

#endif
