#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"

extern char **environ;

#define CCE_TERM_GRACE_SECONDS 2.0
/* Where pidfd_open is missing the end of a child is looked for this often. */
#define CCE_WAIT_STEP_SECONDS 0.01

static const struct {
    int number;
    const char *name;
} signals[] = {
    {SIGHUP, "SIGHUP"},   {SIGINT, "SIGINT"},   {SIGQUIT, "SIGQUIT"},
    {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
    {SIGILL, "SIGILL"},   {SIGKILL, "SIGKILL"}, {SIGSEGV, "SIGSEGV"},
    {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"}, {SIGTERM, "SIGTERM"},
    {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"}, {SIGCHLD, "SIGCHLD"},
    {SIGCONT, "SIGCONT"}, {SIGSTOP, "SIGSTOP"}, {SIGWINCH, "SIGWINCH"},
};

int cce_process_signal_number(const char *name)
{
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        if (strcmp(signals[i].name, name) == 0)
            return signals[i].number;
    }
    return 0;
}

const char *cce_process_signal_name(int signal)
{
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        if (signals[i].number == signal)
            return signals[i].name;
    }
    return NULL;
}

bool cce_process_signal_is_default(int signal)
{
    struct sigaction action;

    return sigaction(signal, NULL, &action) == 0 &&
           action.sa_handler == SIG_DFL;
}

int cce_process_take_signal(const sigset_t *set, double seconds)
{
    double deadline = cce_clock_monotonic() + seconds;
    double left = seconds;

    for (;;) {
        struct timespec step = cce_clock_timespec(seconds < 0 ? 86400 : left);
        int signal = sigtimedwait(set, NULL, &step);

        if (signal > 0)
            return signal;
        /* The time is up, or another signal interrupted the wait. */
        left = deadline - cce_clock_monotonic();
        if (seconds >= 0 && left <= 0)
            return 0;
    }
}

int cce_process_die_with_parent(int signal, struct cce_error *err)
{
    pid_t parent = getppid();

    if (prctl(PR_SET_PDEATHSIG, signal) != 0)
        return cce_fail(err, CCE_UNSUPPORTED,
                        "cannot follow the parent process: %s",
                        strerror(errno));
    /* It ended before the kernel was told: no signal would come. */
    if (getppid() != parent)
        raise(signal);
    return 0;
}

/* ------------------------------------------------------------- spawning */

/* The program's path, found in the parent: the child may only do what is
 * safe after fork in a program with threads. */
static int find_program(const char *name, char path[PATH_MAX],
                        struct cce_error *err)
{
    const char *dir = getenv("PATH");

    if (strchr(name, '/') != NULL) {
        snprintf(path, PATH_MAX, "%s", name);
        return 0;
    }
    if (dir == NULL)
        dir = "/usr/local/bin:/usr/bin:/bin";
    for (;;) {
        int length = (int)strcspn(dir, ":");

        snprintf(path, PATH_MAX, "%.*s/%s", length, dir, name);
        if (length > 0 && access(path, X_OK) == 0)
            return 0;
        if (dir[length] == '\0')
            break;
        dir += length + 1;
    }
    return cce_fail(err, CCE_MISSING_DEPENDENCY, "%s is not in PATH", name);
}

/* The host may have opened descriptors without O_CLOEXEC. They are marked and
 * not closed: the pipe that tells of a failure is needed until then. */
static void close_others_on_exec(void)
{
    struct rlimit limit;

#ifdef SYS_close_range
    enum { CLOEXEC = 4 }; /* CLOSE_RANGE_CLOEXEC, newer than the call */

    if (syscall(SYS_close_range, 3U, ~0U, CLOEXEC) == 0)
        return;
#endif
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 65536)
        limit.rlim_cur = 65536;
    for (int fd = 3; fd < (int)limit.rlim_cur; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* What the parent ignores or blocks would stay ignored or blocked across
 * execve. */
static void reset_signals(void)
{
    sigset_t none;

    for (int signal = 1; signal < NSIG; signal++) {
        struct sigaction action;

        if (sigaction(signal, NULL, &action) != 0 ||
            action.sa_handler == SIG_DFL)
            continue;
        memset(&action, 0, sizeof action);
        action.sa_handler = SIG_DFL;
        sigaction(signal, &action, NULL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool open_files(const struct cce_spawn *spawn)
{
    for (int fd = 0; fd < 3; fd++) {
        int flags = fd == 0 ? O_RDONLY : O_WRONLY | O_CREAT | O_APPEND;
        int file;

        if (spawn->file[fd] == NULL)
            continue;
        file = open(spawn->file[fd], flags, 0600);
        if (file < 0 || (file != fd && dup2(file, fd) < 0))
            return false;
        if (file > 2)
            close(file);
    }
    return true;
}

/* Runs in the child and only makes calls that are safe there. */
static void run_child(const struct cce_spawn *spawn, const char *path,
                      pid_t parent, int failure_pipe)
{
    reset_signals();
    if (spawn->die_with_parent) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* It ended before that: no signal would come. */
        if (getppid() != parent)
            _exit(127);
    }
    if (open_files(spawn)) {
        close_others_on_exec();
        execve(path, spawn->argv, spawn->env != NULL ? spawn->env : environ);
    }
    if (write(failure_pipe, &errno, sizeof errno) < 0)
        _exit(126);
    _exit(127);
}

int cce_process_spawn(struct cce_process *process,
                      const struct cce_spawn *spawn, struct cce_error *err)
{
    char path[PATH_MAX];
    int ends[2], high, failure = 0;
    pid_t parent = getpid();
    ssize_t got;

    if (find_program(spawn->argv[0], path, err) != 0)
        return -1;
    /* It closes when the child executes its program; what is in it before that
     * is why the child could not. */
    if (pipe2(ends, O_CLOEXEC) != 0)
        return cce_fail(err, CCE_UNSUPPORTED, "no pipe: %s", strerror(errno));
    /* Above 2, so that open_files cannot overwrite it. */
    high = fcntl(ends[1], F_DUPFD_CLOEXEC, 3);
    close(ends[1]);
    ends[1] = high;

    process->pid = fork();
    if (process->pid == 0)
        run_child(spawn, path, parent, ends[1]);
    close(ends[1]);
    /* The child's errno; nothing when it has executed its program. */
    if (process->pid < 0) {
        failure = errno;
    } else {
        do
            got = read(ends[0], &failure, sizeof failure);
        while (got < 0 && errno == EINTR);
        if (got != sizeof failure)
            failure = 0;
    }
    close(ends[0]);
    if (failure != 0) {
        if (process->pid > 0)
            waitpid(process->pid, NULL, 0);
        process->pid = 0;
        return cce_fail(err, CCE_UNSUPPORTED, "cannot start %s: %s", path,
                        strerror(failure));
    }
    process->owner = parent;
#ifdef SYS_pidfd_open
    process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
#else
    process->pidfd = -1;
#endif
    return 0;
}

/* -------------------------------------------------------------- watching */

static bool reap(struct cce_process *process)
{
    pid_t got;

    if (process->ended)
        return true;
    got = waitpid(process->pid, &process->status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR))
        return false;
    /* Another part of the host may have reaped it: then how it ended is not
     * known. */
    if (got < 0)
        process->status = 0;
    process->ended = true;
    return true;
}

/* False when a signal came. */
static bool pause_for(struct cce_process *process, double seconds)
{
    struct pollfd fd = {process->pidfd, POLLIN, 0};
    struct timespec step = cce_clock_timespec(seconds);

    if (process->pidfd < 0)
        return cce_clock_sleep(fmin(seconds, CCE_WAIT_STEP_SECONDS));
    return ppoll(&fd, 1, &step, NULL) >= 0 || errno != EINTR;
}

enum cce_wait cce_process_wait(struct cce_process *process, double seconds)
{
    double deadline = cce_clock_monotonic() + seconds;

    while (!reap(process)) {
        double left = seconds < 0 ? 86400 : deadline - cce_clock_monotonic();

        if (left <= 0)
            return CCE_WAIT_TIMEOUT;
        if (!pause_for(process, left))
            return CCE_WAIT_INTERRUPTED;
    }
    return CCE_WAIT_ENDED;
}

int cce_process_kill(struct cce_process *process, int signal,
                     struct cce_error *err)
{
    if (reap(process))
        return cce_fail(err, CCE_CLOSED, "the process has ended");
    if (kill(process->pid, signal) != 0)
        return cce_fail(err, CCE_UNSUPPORTED, "cannot signal process %d: %s",
                        (int)process->pid, strerror(errno));
    return 0;
}

static void wait_uninterrupted(struct cce_process *process, double seconds)
{
    double deadline = cce_clock_monotonic() + seconds;

    while (cce_process_wait(process, seconds) == CCE_WAIT_INTERRUPTED) {
        if (seconds >= 0)
            seconds = fmax(0, deadline - cce_clock_monotonic());
    }
}

void cce_process_end(struct cce_process *process)
{
    struct cce_error ignored;

    if (process->pid == 0)
        return;
    if (process->owner == getpid()) {
        /* SIGTERM first, so that it can give back what it holds. */
        if (cce_process_kill(process, SIGTERM, &ignored) == 0)
            wait_uninterrupted(process, CCE_TERM_GRACE_SECONDS);
        if (cce_process_kill(process, SIGKILL, &ignored) == 0)
            wait_uninterrupted(process, -1);
    }
    if (process->pidfd >= 0)
        close(process->pidfd);
    process->pid = 0;
}
