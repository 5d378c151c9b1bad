/*
 * slow_sync: a disk that is slow on order. Preloaded into a process, it makes
 * fsync and fdatasync take so many milliseconds longer as the file says that
 * CCE_SLOW_SYNC names; none when there is no such file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

static char order[512];

/* While it starts: nginx takes the environment from its workers. */
__attribute__((constructor)) static void read_environment(void)
{
    const char *path = getenv("CCE_SLOW_SYNC");

    if (path != NULL)
        snprintf(order, sizeof order, "%s", path);
}

static void take_time(void)
{
    FILE *file = fopen(order, "r");
    struct timespec pause = {0, 0};
    long milliseconds = 0;

    if (file == NULL)
        return;
    if (fscanf(file, "%ld", &milliseconds) == 1) {
        pause.tv_sec = milliseconds / 1000;
        pause.tv_nsec = milliseconds % 1000 * 1000000;
        nanosleep(&pause, NULL);
    }
    fclose(file);
}

PUBLIC int fsync(int fd)
{
    take_time();
    return (int)syscall(SYS_fsync, fd);
}

PUBLIC int fdatasync(int fd)
{
    take_time();
    return (int)syscall(SYS_fdatasync, fd);
}
