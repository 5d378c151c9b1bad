/*
 * process: on a kernel that has no pidfd_open, and with an errno that an
 * earlier call has left. The system call here stands before the C library's.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"
#include "os/process.h"

long syscall(long number, ...)
{
    (void)number;
    errno = ENOSYS;
    return -1;
}

static struct cce_process start(const char *name, const char *argument)
{
    char *argv[] = {(char *)name, (char *)argument, NULL};
    struct cce_spawn spawn = {.argv = argv};
    struct cce_process process = {0};
    struct cce_error err;

    CHECK(cce_process_spawn(&process, &spawn, &err) == 0);
    CHECK(process.pidfd == -1);
    return process;
}

static void check_failure(void)
{
    char *argv[] = {(char *)"/nowhere/program", NULL};
    struct cce_spawn spawn = {.argv = argv};
    struct cce_process process = {0};
    struct cce_error err;

    errno = EINTR;
    CHECK(cce_process_spawn(&process, &spawn, &err) != 0);
    CHECK(strstr(err.message, strerror(ENOENT)) != NULL);
    CHECK(process.pid == 0);
}

static void do_nothing(int signal)
{
    (void)signal;
}

static void check_waits(void)
{
    const struct sigaction action = {.sa_handler = do_nothing};
    const struct itimerval soon = {{0, 3000}, {0, 3000}};
    const struct itimerval never = {{0, 0}, {0, 0}};
    struct cce_process process = start("true", NULL);

    CHECK(cce_process_wait(&process, -1) == CCE_WAIT_ENDED);
    CHECK(process.status == 0);
    cce_process_end(&process);
    process = start("sleep", "60");
    CHECK(cce_process_wait(&process, 0.02) == CCE_WAIT_TIMEOUT);
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
    CHECK(cce_process_wait(&process, -1) == CCE_WAIT_INTERRUPTED);
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    cce_process_end(&process);
    CHECK(process.pid == 0);
}

int main(void)
{
    check_failure();
    check_waits();
    return 0;
}
