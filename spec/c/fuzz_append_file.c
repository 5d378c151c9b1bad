/*
 * Any bytes as a file that is to be opened as a journal, a log or an export:
 * one that is refused is left as it is; of one that is taken no whole line is
 * lost, and a line that is appended is the last.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "os/file/append_file.h"

static char path[64], lock[80];

static void clean_up(void)
{
    char *slash = strrchr(path, '/');

    unlink(path);
    unlink(lock);
    *slash = '\0';
    rmdir(path);
}

static void make_path(void)
{
    char directory[48];

    snprintf(directory, sizeof directory, "%s/fuzz-append-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    REQUIRE(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/file", directory);
    snprintf(lock, sizeof lock, "%s.lock", path);
    atexit(clean_up);
}

static void write_file(const uint8_t *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

static char *read_file(size_t *size)
{
    struct stat info;
    char *bytes;
    int fd = open(path, O_RDONLY);

    REQUIRE(fd >= 0 && fstat(fd, &info) == 0);
    *size = (size_t)info.st_size;
    bytes = malloc(*size + 1);
    REQUIRE(bytes != NULL && read(fd, bytes, *size) == (ssize_t)*size);
    close(fd);
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = {"run journal", "audit log",
                                        "schedule export"};
    struct cce_append_file *file;
    struct cce_error err;
    size_t now, whole = size;
    char *bytes;

    if (path[0] == '\0')
        make_path();
    while (whole > 0 && data[whole - 1] != '\n')
        whole--;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const struct cce_append_kind *kind = cce_append_kind_find(kinds[i]);

        write_file(data, size);
        if (cce_append_file_open(&file, path, kind, &err) != 0) {
            REQUIRE(fuzz_is_one_line(err.message));
            bytes = read_file(&now);
            REQUIRE(now == size && memcmp(bytes, data, size) == 0);
            free(bytes);
            continue;
        }
        REQUIRE(size == 0 || whole > 0);
        REQUIRE(cce_append_file_append(file, "{}", 2, false, &err) == 0);
        cce_append_file_free(file);
        bytes = read_file(&now);
        REQUIRE(now == whole + 3 && memcmp(bytes, data, whole) == 0);
        REQUIRE(memcmp(bytes + whole, "{}\n", 3) == 0);
        free(bytes);
    }
    return 0;
}
