#include "core/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"

static size_t mapping_size(size_t length)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (length + 1 + page - 1) / page * page;
}

/* Zeroed pages with room for `length` bytes and a NUL; NULL without memory.
 * Locking is a best effort: its quota is small, and often zero. */
static char *map_pages(size_t length)
{
    size_t size = mapping_size(length);
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED)
        return NULL;
    (void)mlock(pages, size);
#ifdef MADV_DONTDUMP
    (void)madvise(pages, size, MADV_DONTDUMP);
#endif
    return pages;
}

static void unmap_pages(char *pages, size_t length)
{
    if (pages == NULL)
        return;
    cce_wipe(pages, length);
    munmap(pages, mapping_size(length));
}

int cce_secret_init(struct cce_secret *secret, struct cce_bytes bytes,
                    struct cce_error *err)
{
    if (bytes.length == 0)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "a secret must not be empty");
    if (bytes.length > CCE_SECRET_MAX)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "a secret has at most %d bytes, this one has %zu",
                        CCE_SECRET_MAX, bytes.length);
    secret->data = map_pages(bytes.length);
    if (secret->data == NULL)
        return cce_fail_memory(err);
    secret->length = bytes.length;
    memcpy(secret->data, bytes.data, bytes.length);
    return 0;
}

int cce_secret_from_env(struct cce_secret *secret, const char *name,
                        struct cce_error *err)
{
    const char *value = getenv(name);

    if (value == NULL || value[0] == '\0')
        return cce_fail(err, CCE_NO_CREDENTIALS,
                        "the environment variable %s is not set", name);
    return cce_secret_init(secret, (struct cce_bytes){value, strlen(value)},
                           err);
}

static int fail_file(struct cce_error *err, const char *verb, const char *path)
{
    return cce_fail(err, CCE_FILE_ERROR, "cannot %s %s: %s", verb, path,
                    strerror(errno));
}

/* Reads to the end or until `size` bytes are there. */
static int read_all(int fd, char *bytes, size_t size, size_t *length)
{
    ssize_t count;

    *length = 0;
    while (*length < size) {
        count = read(fd, bytes + *length, size - *length);
        if (count == 0)
            break;
        if (count > 0)
            *length += (size_t)count;
        else if (errno != EINTR)
            return -1;
    }
    return 0;
}

static size_t trim_newline(const char *bytes, size_t length)
{
    if (length == 0 || bytes[length - 1] != '\n')
        return length;
    length--;
    return length > 0 && bytes[length - 1] == '\r' ? length - 1 : length;
}

static int init_from_read(struct cce_secret *secret, struct cce_bytes read,
                          const char *path, struct cce_error *err)
{
    if (read.length > CCE_SECRET_MAX)
        return cce_fail(err, CCE_FILE_ERROR,
                        "%s has more than the %d bytes a secret may have", path,
                        CCE_SECRET_MAX);
    read.length = trim_newline(read.data, read.length);
    if (read.length == 0)
        return cce_fail(err, CCE_FILE_ERROR, "%s is empty", path);
    return cce_secret_init(secret, read, err);
}

static int init_from_fd(struct cce_secret *secret, int fd, const char *path,
                        struct cce_error *err)
{
    size_t length = 0;
    char *bytes = NULL;
    int result = -1;

    bytes = map_pages(CCE_SECRET_MAX + 1);
    if (bytes == NULL)
        cce_fail_memory(err);
    else if (read_all(fd, bytes, CCE_SECRET_MAX + 1, &length) != 0)
        fail_file(err, "read", path);
    else
        result = init_from_read(secret, (struct cce_bytes){bytes, length}, path,
                                err);
    unmap_pages(bytes, CCE_SECRET_MAX + 1);
    return result;
}

int cce_secret_from_file(struct cce_secret *secret, const char *path,
                         struct cce_error *err)
{
    int result, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return fail_file(err, "open", path);
    result = init_from_fd(secret, fd, path, err);
    close(fd);
    return result;
}

/* Asked of the open file, so that nobody changes it in between. */
static int check_private(int fd, const char *path, struct cce_error *err)
{
    struct stat info;

    if (fstat(fd, &info) != 0)
        return fail_file(err, "look at", path);
    if (!S_ISREG(info.st_mode))
        return cce_fail(err, CCE_FILE_ERROR, "%s is not a regular file", path);
    if (info.st_uid != geteuid() && info.st_uid != 0)
        return cce_fail(err, CCE_FILE_ERROR,
                        "%s belongs to another user (id %ld)", path,
                        (long)info.st_uid);
    if ((info.st_mode & 077) != 0)
        return cce_fail(err, CCE_FILE_ERROR,
                        "others than its owner can use %s (mode %04o)", path,
                        (unsigned)(info.st_mode & 07777));
    return 0;
}

int cce_secret_from_private_file(struct cce_secret *secret, const char *path,
                                 struct cce_error *err)
{
    int result, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return fail_file(err, "open", path);
    result = check_private(fd, path, err);
    if (result == 0)
        result = init_from_fd(secret, fd, path, err);
    close(fd);
    return result;
}

void cce_secret_cleanup(struct cce_secret *secret)
{
    unmap_pages(secret->data, secret->length);
    secret->data = NULL;
    secret->length = 0;
}

struct cce_bytes cce_secret_bytes(const struct cce_secret *secret)
{
    return (struct cce_bytes){secret->data, secret->length};
}
