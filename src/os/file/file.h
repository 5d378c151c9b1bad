/*
 * file: files that hold secrets: whole reads, atomic writes, locks.
 *
 * A reader of a path written here sees the old bytes or the new ones, never a
 * mixture, also after a power cut. New bytes are never readable by other users,
 * not even for a moment. A symlink at the path stays one: what it points to is
 * replaced. In a directory such as /tmp, links and files of other users are
 * refused, see path.h.
 * Every call goes on after EINTR; every descriptor is O_CLOEXEC. All
 * errors are FILE_ERROR (or NO_MEMORY, TIMEOUT) and name the path, the step
 * that failed and the system's reason. Nothing here touches Lua, and any
 * thread may call it.
 */
#ifndef CCE_OS_FILE_FILE_H
#define CCE_OS_FILE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/buf.h"
#include "core/status.h"

struct cce_file_stat {
    mode_t mode;  /* the permission bits alone */
    off_t size;   /* bytes */
    double mtime; /* unix seconds */
    uid_t owner;
    gid_t group;
    dev_t device;
    ino_t inode;      /* with the device: which file it is */
    const char *type; /* "file", "directory" or "other" */
    bool is_symlink;  /* the path is a link; all else is about its target */
};

/* What a path names. *exists is false, and the result 0, when there is
 * nothing (a symlink that leads nowhere is nothing). *out is set when there
 * is something. */
int cce_file_stat(const char *path, struct cce_file_stat *out, bool *exists,
                  struct cce_error *err);

/* Fails unless a path may be used by code that opens files without this module:
 * a regular file that no other user prepared (see path.h), or nothing yet. */
int cce_file_check(const char *path, struct cce_error *err);

/* Appends a whole regular file to `out`; more than out->maximum bytes are an
 * error. Never blocks on a FIFO or a device. */
int cce_file_read(const char *path, struct cce_buf *out, struct cce_error *err);

/*
 * Replaces the file at `path` by one with these bytes and these permission
 * bits, or makes it. A temporary file ".cce-<16 hex digits>.tmp" in the same
 * directory is written, synced and renamed; then the directory is synced.
 * Those that killed processes of this user left there are removed first.
 * Owner and group of a replaced file are kept as far as the system allows.
 * When it fails the old file is untouched and the temporary one is gone
 * (except that the last step, syncing the directory, comes after the rename).
 */
int cce_file_write(const char *path, const void *bytes, size_t length,
                   mode_t mode, struct cce_error *err);

/* Whether such a write can succeed: all of it but the rename. The file at
 * `path` stays as it is, or absent. */
int cce_file_try_write(const char *path, const void *bytes, size_t length,
                       mode_t mode, struct cce_error *err);

/*
 * A lock that ends with its process. It is a flock on "<dir>/.<name>.lock"
 * beside the file that `path` leads to, removed again with the last holder.
 */
struct cce_file_lock {
    bool held;
    bool keep; /* the lock file is not to be removed */
    int fd;
    pid_t owner;    /* after a fork, the child lets go without removing */
    char *path;     /* of the lock file */
    char *sentinel; /* kubectl's "<file>.lock" while we hold it, or NULL */
};

struct cce_file_lock_options {
    long timeout_ms; /* 0: try once */
    /* Also hold the lock that kubectl takes when it writes a kubeconfig: a
     * file "<file>.lock" that must not exist before. One left by a dead
     * process of ours is taken over, one of kubectl's is waited for. */
    bool kubectl;
};

/* `lock` must be zeroed. On failure it is as before. */
int cce_file_lock(struct cce_file_lock *lock, const char *path,
                  const struct cce_file_lock_options *options,
                  struct cce_error *err);

/* Idempotent; also right for a zeroed lock. */
void cce_file_unlock(struct cce_file_lock *lock);

#endif
