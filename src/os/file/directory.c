#include "os/file/directory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int cce_directory_make_private(char *path, struct cce_error *err)
{
    char wanted[256];

    snprintf(wanted, sizeof wanted, "%s", path);
    if (mkdtemp(path) == NULL)
        return cce_fail(err, CCE_FILE_ERROR, "cannot make directory %s: %s",
                        wanted, strerror(errno));
    return 0;
}

int cce_directory_make(const char *path, struct cce_error *err)
{
    struct stat info;
    int problem;

    if (mkdir(path, 0700) == 0)
        return 0;
    problem = errno;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return 0;
    return cce_fail(err, CCE_FILE_ERROR, "cannot make directory %s: %s", path,
                    strerror(problem));
}

int cce_directory_realpath(const char *path, char result[PATH_MAX],
                           struct cce_error *err)
{
    if (realpath(path, result) == NULL)
        return cce_fail(err, CCE_FILE_ERROR, "%s: %s", path, strerror(errno));
    return 0;
}
