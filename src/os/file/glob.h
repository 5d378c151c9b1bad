/*
 * paths: the paths that a pattern of the shell stands for.
 *
 * Nothing here touches Lua.
 */
#ifndef CCE_OS_FILE_GLOB_H
#define CCE_OS_FILE_GLOB_H

#include <glob.h>
#include <stdbool.h>

#include "core/status.h"

/* What was found, to be freed by cce_glob_cleanup; zeroed before use. */
struct cce_glob {
    glob_t found;
    bool filled;
};

/*
 * Finds the paths that match `pattern` (*, ?, [...], and \ before a character
 * that stands for itself), in no order; hidden names only where the pattern
 * has their dot. None is no error: out->found.gl_pathc is 0. A
 * directory that cannot be read is a FILE_ERROR.
 */
int cce_glob_find(struct cce_glob *out, const char *pattern,
                  struct cce_error *err);

/* Idempotent; also right for a zeroed one. */
void cce_glob_cleanup(struct cce_glob *out);

#endif
