#include "os/file/glob.h"

#include <errno.h>
#include <string.h>

int cce_glob_find(struct cce_glob *out, const char *pattern,
                  struct cce_error *err)
{
    int result;

    errno = 0;
    /* glob's own order would depend on the locale. */
    result = glob(pattern, GLOB_ERR | GLOB_NOSORT, NULL, &out->found);
    out->filled = true;
    if (result == 0)
        return 0;
    if (result == GLOB_NOMATCH) {
        out->found.gl_pathc = 0;
        return 0;
    }
    if (result == GLOB_NOSPACE)
        return cce_fail_memory(err);
    return cce_fail(err, CCE_FILE_ERROR, "cannot list '%.240s': %s", pattern,
                    errno != 0 ? strerror(errno) : "a read failed");
}

void cce_glob_cleanup(struct cce_glob *out)
{
    if (out->filled)
        globfree(&out->found);
    memset(out, 0, sizeof *out);
}
