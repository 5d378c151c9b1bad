#include "net/hidden.h"

#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/buf.h"

/* Most of it is libcurl's buffers, one for each request that is under way, of
 * 16 KiB and the head of a list. They come from one mapping, of which the
 * kernel is told once: to be told of each costs more than all of malloc. The
 * bits of the slots that are taken need no lock, which a child after fork might
 * find locked. No page is smaller than LEAST_PAGE. */
enum {
    WORDS = 2,
    SLOTS = 64 * WORDS,
    SLOT_SIZE = 20 * 1024,
    LEAST_PAGE = 4096
};

static char *slots; /* NULL: there are none */
static uint64_t taken[WORDS];

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* A best effort: a kernel without it leaves them in. */
static void advise(void *memory, size_t size, int advice)
{
    (void)madvise(memory, size / page_size() * page_size(), advice);
}

/* AddressSanitizer sees what is used wrongly when each block is one of malloc,
 * and where it ends only when that is not rounded. */
#ifndef __SANITIZE_ADDRESS__
static void map_slots(void)
{
    void *memory = mmap(NULL, (size_t)SLOTS * SLOT_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return;
    advise(memory, (size_t)SLOTS * SLOT_SIZE, MADV_DONTDUMP);
    __atomic_store_n(&slots, memory, __ATOMIC_RELEASE);
}

/* NULL when all are taken. */
static void *take_slot(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, map_slots);
    for (int word = 0; slots != NULL && word < WORDS; word++) {
        uint64_t known = __atomic_load_n(&taken[word], __ATOMIC_RELAXED);

        while (known != UINT64_MAX) {
            int bit = __builtin_ctzll(~known);

            if (__atomic_compare_exchange_n(&taken[word], &known,
                                            known | UINT64_C(1) << bit, true,
                                            __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
                return slots + (size_t)(64 * word + bit) * SLOT_SIZE;
        }
    }
    return NULL;
}

void *cce_hidden_malloc(size_t size)
{
    size_t page = page_size(), whole = (size + page - 1) / page * page;
    void *memory = size <= SLOT_SIZE ? take_slot() : NULL;

    if (memory != NULL)
        return memory;
    if (whole < size || posix_memalign(&memory, page, whole) != 0)
        return NULL;
    advise(memory, whole, MADV_DONTDUMP);
    return memory;
}
#else
void *cce_hidden_malloc(size_t size)
{
    return malloc(size);
}
#endif

static bool is_slot(const void *memory)
{
    const char *first = __atomic_load_n(&slots, __ATOMIC_ACQUIRE);

    return first != NULL &&
           (uintptr_t)memory - (uintptr_t)first < (size_t)SLOTS * SLOT_SIZE;
}

size_t cce_hidden_size(void *memory)
{
    if (memory == NULL)
        return 0;
    return is_slot(memory) ? SLOT_SIZE : malloc_usable_size(memory);
}

void cce_hidden_free(void *memory)
{
    size_t size = cce_hidden_size(memory);

    if (size > 0)
        cce_wipe(memory, size);
    if (is_slot(memory)) {
        size_t slot = (size_t)((char *)memory - slots) / SLOT_SIZE;

        __atomic_fetch_and(&taken[slot / 64], ~(UINT64_C(1) << slot % 64),
                           __ATOMIC_RELEASE);
        return;
    }
    if (size >= LEAST_PAGE && size >= page_size() &&
        (uintptr_t)memory % page_size() == 0)
        advise(memory, size, MADV_DODUMP);
    free(memory);
}
