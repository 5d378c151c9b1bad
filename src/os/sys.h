/*
 * sys: what a supervisor of other processes needs from the system: start,
 * watch and end a child, wait for signals, ask the terminal and the clock.
 *
 * Nothing here installs a signal handler, and nothing happens before the
 * first call. Not for use inside an nginx worker: waits block.
 */
#ifndef CCE_OS_SYS_H
#define CCE_OS_SYS_H

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/status.h"

/* What to start. Strings and arrays are the caller's and only read. */
struct cce_spawn {
    char *const *argv;    /* ends with NULL; argv[0] is looked up in PATH */
    char *const *env;     /* ends with NULL; NULL: ours */
    const char *file[3];  /* stdin, stdout, stderr: a path; NULL: ours */
    bool die_with_parent; /* SIGKILL for the child when we die */
};

struct cce_process {
    pid_t pid;   /* 0: none, or already reaped and `ended` */
    pid_t owner; /* who started it: after a fork the child leaves it alone */
    int pidfd;   /* -1 when the kernel has no pidfd_open */
    bool ended;
    int status; /* as of waitpid, once ended */
};

enum cce_wait { CCE_WAIT_ENDED, CCE_WAIT_TIMEOUT, CCE_WAIT_INTERRUPTED };

/* Starts a program. Its signals are unblocked and at their defaults; it
 * inherits no descriptor but the first three. When it cannot be executed
 * this fails, rather than the child. A file for stdout or stderr is appended
 * to, and made with mode 0600. */
int cce_sys_spawn(struct cce_process *process, const struct cce_spawn *spawn,
                  struct cce_error *err);

/* Waits at most `seconds` (negative: without end) for the end of it. A signal
 * that has a handler ends the wait early, so that Ctrl-C is felt. */
enum cce_wait cce_sys_wait(struct cce_process *process, double seconds);

/* Sends a signal; an ended process is left alone (its number may be another's
 * by now), which is a failure of code CLOSED. */
int cce_sys_kill(struct cce_process *process, int signal,
                 struct cce_error *err);

/* Ends it (SIGTERM, then SIGKILL after two seconds) and reaps it. Idempotent,
 * and nothing for a zeroed struct or in a child made by fork. */
void cce_sys_end(struct cce_process *process);

/* Asks the kernel to send us `signal` when our parent dies. Sends it at once
 * if the parent has died while we asked. */
int cce_sys_die_with_parent(int signal, struct cce_error *err);

/* SIGINT <-> "SIGINT". 0 or NULL: not known here. */
int cce_sys_signal_number(const char *name);
const char *cce_sys_signal_name(int signal);

/* Whether a signal has its default action in this process. */
bool cce_sys_signal_is_default(int signal);

/* Takes one of the (blocked) signals in `set`, waiting at most `seconds`
 * (negative: without end). Returns its number, or 0 when none came. */
int cce_sys_take_signal(const sigset_t *set, double seconds);

/* Sleeps; false when a signal cut it short. */
bool cce_sys_sleep(double seconds);

/* Waits at most `seconds` (negative: without end) until one of `count`
 * descriptors can be read, or has come to its end: `ready[i]` says which. A
 * signal that has a handler ends the wait early, with none. */
int cce_sys_poll(const int *fds, bool *ready, size_t count, double seconds,
                 struct cce_error *err);

double cce_sys_monotonic(void); /* seconds; only differences mean something */
double cce_sys_boottime(void);  /* the same, but it goes on while suspended */
double cce_sys_time(void);      /* unix time with its fraction */

bool cce_sys_is_terminal(int fd);
int cce_sys_terminal_size(int fd, int *columns, int *rows,
                          struct cce_error *err);

/* Makes a directory of mode 0700; the XXXXXX at the end of `path` becomes a
 * name that did not exist. */
int cce_sys_mkdir_private(char *path, struct cce_error *err);

/* Makes a directory of mode 0700; one that is there already is fine. */
int cce_sys_mkdir(const char *path, struct cce_error *err);

/* The absolute path of what `path` names, without links. */
int cce_sys_realpath(const char *path, char result[PATH_MAX],
                     struct cce_error *err);

/* A TCP port that nobody listens on at 127.0.0.1 at this moment. */
int cce_sys_free_port(int *port, struct cce_error *err);

#endif
