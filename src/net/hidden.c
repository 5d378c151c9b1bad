#include "net/hidden.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/buf.h"

/* No page is smaller. Most of what libcurl frees is, and needs no question. */
enum { LEAST_PAGE = 4096 };

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* A best effort: a kernel without it leaves them in. */
static void advise(void *memory, size_t size, int advice)
{
    (void)madvise(memory, size / page_size() * page_size(), advice);
}

/* AddressSanitizer sees where a block ends only when that is not rounded. */
#ifdef __SANITIZE_ADDRESS__
void *cce_hidden_malloc(size_t size)
{
    return malloc(size);
}
#else
void *cce_hidden_malloc(size_t size)
{
    size_t page = page_size(), whole = (size + page - 1) / page * page;
    void *memory = NULL;

    if (whole < size || posix_memalign(&memory, page, whole) != 0)
        return NULL;
    advise(memory, whole, MADV_DONTDUMP);
    return memory;
}
#endif

void cce_hidden_free(void *memory)
{
    size_t size = memory != NULL ? malloc_usable_size(memory) : 0;

    if (size > 0)
        cce_wipe(memory, size);
    if (size >= LEAST_PAGE && size >= page_size() &&
        (uintptr_t)memory % page_size() == 0)
        advise(memory, size, MADV_DODUMP);
    free(memory);
}
