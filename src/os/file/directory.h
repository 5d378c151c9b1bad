/*
 * directory: making directories, and where they are. Errors are FILE_ERROR.
 */
#ifndef CCE_OS_FILE_DIRECTORY_H
#define CCE_OS_FILE_DIRECTORY_H

#include <limits.h>

#include "core/status.h"

/* Makes a directory of mode 0700; the XXXXXX at the end of `path` becomes a
 * name that did not exist. */
int cce_directory_make_private(char *path, struct cce_error *err);

/* Makes a directory of mode 0700; one that is there already is fine. */
int cce_directory_make(const char *path, struct cce_error *err);

/* The absolute path of what `path` names, without links. */
int cce_directory_realpath(const char *path, char result[PATH_MAX],
                           struct cce_error *err);

#endif
