/*
 * journal: a file of lines that is only ever appended to, and whose lines are
 * on disk before anything that follows from them happens.
 *
 * One holder at a time: a second open fails while the first holds the lock,
 * which ends with its process. A line is there whole or not at all: what a
 * killed process left of one is cut off at the next open, and a line that did
 * not fit (a full disk) is taken back at once. Room for a line to come can be
 * reserved, so that it cannot fail for lack of space later.
 *
 * Errors are FILE_ERROR, and name the path and the step that failed; CONFLICT
 * when another process holds the lock.
 */
#ifndef CCE_JOURNAL_H
#define CCE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "status.h"

struct cce_journal {
    bool is_open;
    int fd;
    pid_t owner; /* a child after fork may not write */
    off_t size;  /* where the next line begins */
    char *path;
};

/* Opens, or makes with mode 0600, and locks. `journal` must be zeroed; on
 * failure it is as before. */
int cce_journal_open(struct cce_journal *journal, const char *path,
                     struct cce_error *err);

/* Appends a line, which must hold no line end; one is added. With `sync` it
 * is on disk when this returns. */
int cce_journal_append(struct cce_journal *journal, const void *line,
                       size_t length, bool sync, struct cce_error *err);

/* Sees to it that so many bytes more can be appended, as far as the file
 * system can promise that. */
int cce_journal_reserve(struct cce_journal *journal, size_t bytes,
                        struct cce_error *err);

/* Gives back what was reserved, and unlocks. Idempotent; right for a zeroed
 * struct. */
void cce_journal_close(struct cce_journal *journal);

#endif
