/*
 * Any texts as a path and as the links that it leads through: what is found is
 * a name in an open directory, or an error on one line, whatever circles and
 * dots there are.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fuzz.h"
#include "os/file/path.h"

enum { LINKS = 3 };

static char root[64];
static int root_fd = -1;

static void clean_up(void)
{
    rmdir(root);
}

static void make_root(void)
{
    snprintf(root, sizeof root, "%s/fuzz-path-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    REQUIRE(mkdtemp(root) != NULL);
    root_fd = open(root, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    REQUIRE(root_fd >= 0);
    atexit(clean_up);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[LINKS] = {"a", "b", "c"};
    struct fuzz_input input = {{(const char *)data, size}};
    struct cce_path target;
    struct cce_error err;
    size_t length;
    char *text = fuzz_field(&input, true, &length);
    char path[PATH_MAX * 2];

    if (root_fd < 0)
        make_root();
    for (int i = 0; i < LINKS; i++) {
        char *to = fuzz_field(&input, true, &length);

        if (to[0] != '\0' && symlinkat(to, root_fd, names[i]) != 0)
            to[0] = '\0';
        free(to);
    }
    snprintf(path, sizeof path, "%s/%s", root, text);
    if (cce_path_resolve(&target, "read", path, &err) == 0) {
        REQUIRE(fcntl(target.dir, F_GETFD) != -1);
        REQUIRE(strchr(target.name, '/') == NULL);
        REQUIRE(target.name >= target.path &&
                target.name <= target.path + strlen(target.path));
        close(target.dir);
    } else {
        REQUIRE(err.code == CCE_FILE_ERROR || err.code == CCE_INVALID_ARGUMENT);
    }
    for (int i = 0; i < LINKS; i++)
        unlinkat(root_fd, names[i], 0);
    free(text);
    return 0;
}
