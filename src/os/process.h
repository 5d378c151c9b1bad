/*
 * process: what a supervisor of other processes needs from the system: start,
 * watch and end a child, and wait for signals.
 *
 * Nothing here installs a signal handler, and nothing happens before the
 * first call. Not for use inside an nginx worker: waits block.
 */
#ifndef CCE_OS_PROCESS_H
#define CCE_OS_PROCESS_H

#include <signal.h>
#include <stdbool.h>
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
    pid_t owner; /* the parent that started it: a child after fork leaves it
                    alone */
    int pidfd;   /* -1 when the kernel has no pidfd_open */
    bool ended;
    int status; /* as of waitpid, once ended */
};

enum cce_wait { CCE_WAIT_ENDED, CCE_WAIT_TIMEOUT, CCE_WAIT_INTERRUPTED };

/* Starts a program. Its signals are unblocked and at their defaults; it
 * inherits no descriptor but the first three. When it cannot be executed
 * this fails, rather than the child. A file for stdout or stderr is appended
 * to, and made with mode 0600. */
int cce_process_spawn(struct cce_process *process,
                      const struct cce_spawn *spawn, struct cce_error *err);

/* Waits at most `seconds` (negative: without end) for the end of it. A signal
 * that has a handler ends the wait early, so that Ctrl-C is felt. */
enum cce_wait cce_process_wait(struct cce_process *process, double seconds);

/* Sends a signal; an ended process is left alone (its number may be another's
 * by now), which is a failure of code CLOSED. */
int cce_process_kill(struct cce_process *process, int signal,
                     struct cce_error *err);

/* Ends it (SIGTERM, then SIGKILL after two seconds) and reaps it. Idempotent,
 * and nothing for a zeroed struct or in a child made by fork. */
void cce_process_end(struct cce_process *process);

/* Asks the kernel to send us `signal` when our parent dies. Sends it at once
 * if the parent has died while we asked. */
int cce_process_die_with_parent(int signal, struct cce_error *err);

/* SIGINT <-> "SIGINT". 0 or NULL: not known here. */
int cce_process_signal_number(const char *name);
const char *cce_process_signal_name(int signal);

/* Whether a signal has its default action in this process. */
bool cce_process_signal_is_default(int signal);

/* Takes one of the (blocked) signals in `set`, waiting at most `seconds`
 * (negative: without end). Returns its number, or 0 when none came. */
int cce_process_take_signal(const sigset_t *set, double seconds);

#endif
