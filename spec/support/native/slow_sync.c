/*
 * slow_sync: a disk that is slow on order. Preloaded into a process, it makes
 * fsync and fdatasync take so many milliseconds longer as the file says that
 * CCE_SLOW_SYNC names; none when there is no such file; while it says -1, until
 * it says something else. Each call adds a byte to the file of that name with
 * ".count".
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

static char order[512], counter[520];

/* While it starts: nginx takes the environment from its workers. */
__attribute__((constructor)) static void read_environment(void)
{
    const char *path = getenv("CCE_SLOW_SYNC");

    if (path != NULL)
        snprintf(order, sizeof order, "%s", path);
    snprintf(counter, sizeof counter, "%s.count", order);
}

static long ordered(void)
{
    FILE *file = fopen(order, "r");
    long milliseconds = 0;

    if (file == NULL)
        return 0;
    if (fscanf(file, "%ld", &milliseconds) != 1)
        milliseconds = 0;
    fclose(file);
    return milliseconds;
}

static void rest(long milliseconds)
{
    struct timespec pause = {milliseconds / 1000,
                             milliseconds % 1000 * 1000000};

    nanosleep(&pause, NULL);
}

static void take_time(void)
{
    long milliseconds;
    int fd = open(counter, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

    if (fd >= 0) {
        (void)!write(fd, ".", 1);
        close(fd);
    }
    while ((milliseconds = ordered()) < 0)
        rest(5);
    rest(milliseconds);
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
