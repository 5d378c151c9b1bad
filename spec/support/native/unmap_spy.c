/*
 * unmap_spy: sees secrets that leave memory without having been wiped.
 * Preloaded into a process, it looks for the text that CCE_SPY names in what is
 * unmapped, and says "unmapped with the text" on standard error.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

/* Read by the kernel: part of a mapping may be out of reach. */
static void look(void *pages, size_t length)
{
    static const char found[] = "unmapped with the text\n";
    static char copy[1 << 16];
    const char *text = getenv("CCE_SPY");
    size_t size = length < sizeof copy ? length : sizeof copy;
    struct iovec to = {copy, size}, from = {pages, size};
    ssize_t count = process_vm_readv(getpid(), &to, 1, &from, 1, 0);

    if (text != NULL && count > 0 &&
        memmem(copy, (size_t)count, text, strlen(text)) != NULL)
        (void)!write(STDERR_FILENO, found, sizeof found - 1);
}

PUBLIC int munmap(void *pages, size_t length)
{
    look(pages, length);
    return (int)syscall(SYS_munmap, pages, length);
}
