#include "core/secret.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

int cce_secret_allocate(struct cce_secret *secret, size_t length,
                        struct cce_error *err)
{
    secret->data = map_pages(length);
    if (secret->data == NULL)
        return cce_fail_memory(err);
    secret->length = length;
    return 0;
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
    if (cce_secret_allocate(secret, bytes.length, err) != 0)
        return -1;
    memcpy(secret->data, bytes.data, bytes.length);
    return 0;
}

struct cce_bytes cce_secret_without_mark(struct cce_bytes bytes)
{
    if (bytes.length >= 3 && memcmp(bytes.data, "\xef\xbb\xbf", 3) == 0) {
        bytes.data += 3;
        bytes.length -= 3;
    }
    return bytes;
}

int cce_secret_from_env(struct cce_secret *secret, const char *name,
                        struct cce_error *err)
{
    const char *value = getenv(name);
    struct cce_bytes bytes = {value, value == NULL ? 0 : strlen(value)};

    bytes = cce_secret_without_mark(bytes);
    if (bytes.length == 0)
        return cce_fail(err, CCE_NO_CREDENTIALS,
                        "the environment variable %s is not set", name);
    return cce_secret_init(secret, bytes, err);
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
