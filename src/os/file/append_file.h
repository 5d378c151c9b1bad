/*
 * append_file: a file of lines that is only ever appended to, and whose lines
 * are on disk before anything that follows from them happens.
 *
 * A file is of a kind, and its first line says of which. Nothing of a file
 * changes before that line was read: one that is not empty, and is not of the
 * kind, is refused. So is one that other users may write to, or may have
 * prepared (see path.h).
 *
 * One holder at a time: a second open fails while the first holds the lock,
 * which ends with its process. A line is there whole or not at all: what a
 * killed process left of one is cut off at the next open, and a line that did
 * not fit (a full disk) is taken back at once. Room for a line to come can be
 * reserved, so that it cannot fail for lack of space later.
 *
 * Before lines are appended the path is compared with the open file. Once it
 * was removed, renamed, replaced, shortened or written to by others, nothing
 * is appended any more: cce_append_file_lost says why.
 *
 * Any thread may append, one after the other. A caller that works with a file
 * on another thread keeps it (cce_append_file_keep), so that it stays until
 * then.
 *
 * Errors are FILE_ERROR, and name the path and the step that failed; CONFLICT
 * when another process holds the lock.
 */
#ifndef CCE_OS_FILE_APPEND_FILE_H
#define CCE_OS_FILE_APPEND_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

struct cce_append_kind;
struct cce_append_file;

/* "run journal", "audit log" or "schedule export"; NULL: there is no such
 * kind. */
const struct cce_append_kind *cce_append_kind_find(const char *name);

/* Opens, or makes with mode 0600, and locks. A run journal is locked by
 * "<path>.lock" as well, which is made once and never removed: so the lock
 * holds also when the journal is replaced. */
int cce_append_file_open(struct cce_append_file **file, const char *path,
                         const struct cce_append_kind *kind,
                         struct cce_error *err);

/* Appends a line, or several with a line end between them: a last one is
 * added. All of it is there afterwards, or nothing. With `sync` it is on disk
 * when this returns. */
int cce_append_file_append(struct cce_append_file *file, const void *lines,
                           size_t length, bool sync, struct cce_error *err);

/* Sees to it that so many bytes more can be appended, as far as the file
 * system can promise that. */
int cce_append_file_reserve(struct cce_append_file *file, size_t bytes,
                            struct cce_error *err);

/* How long the file is without what is reserved. */
size_t cce_append_file_size(struct cce_append_file *file);

/* What happened to the file, as a word such as "replaced", which is why
 * appending fails; NULL: nothing did. `now` is where it is, "" when it has no
 * name any more. */
const char *cce_append_file_lost(struct cce_append_file *file,
                                 char now[PATH_MAX]);

/* For one more holder, which frees it, too. */
struct cce_append_file *cce_append_file_keep(struct cce_append_file *file);

/* The last one gives back what was reserved, and unlocks. NULL is fine. */
void cce_append_file_free(struct cce_append_file *file);

#endif
