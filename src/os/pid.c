#include "os/pid.h"

#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static pid_t *kept; /* 0 there: not asked yet in this process; NULL: no page */

static void make_page(void)
{
#ifdef MADV_WIPEONFORK
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return;
    /* An emulator may take any advice and do nothing: so nonsense is tried,
     * too. */
    if (madvise(page, size, -1) == 0 ||
        madvise(page, size, MADV_WIPEONFORK) != 0)
        munmap(page, size);
    else
        kept = page;
#endif
}

pid_t cce_pid(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pid_t pid;

    pthread_once(&once, make_page);
    if (kept == NULL)
        return getpid();
    pid = __atomic_load_n(kept, __ATOMIC_RELAXED);
    if (pid == 0) {
        pid = getpid();
        __atomic_store_n(kept, pid, __ATOMIC_RELAXED);
    }
    return pid;
}
