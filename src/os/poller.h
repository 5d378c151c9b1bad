/*
 * poller: waits for many descriptors, for a time, and for a call from another
 * thread, behind one descriptor that can itself be waited for.
 *
 * poller.c does it by epoll, timerfd and eventfd. A system with kqueue needs
 * another file with these functions, and nothing else.
 */
#ifndef CCE_OS_POLLER_H
#define CCE_OS_POLLER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

#define CCE_POLLER_NEVER INT64_MAX

/* What a descriptor is watched for, and what it is ready for. */
enum { CCE_POLLER_READ = 1, CCE_POLLER_WRITE = 2, CCE_POLLER_FAILED = 4 };

struct cce_poller {
    int fd; /* readable when cce_poller_wait has something to tell */
    int timer_fd, wake_fd;
    int64_t rings_ms; /* CCE_POLLER_NEVER: not */
    /* What the last cce_poller_wait found, beside the descriptors. */
    bool rang, woken;
};

struct cce_poller_event {
    uintptr_t tag; /* of the descriptor, as it was given */
    unsigned ready;
};

/* Sets no descriptor, so that cce_poller_close may follow. */
void cce_poller_init(struct cce_poller *poller);

/* What it can do beside watching descriptors; each takes one of its own. */
enum { CCE_POLLER_RINGS = 1, CCE_POLLER_WAKES = 2 };

/* UNSUPPORTED when the process has no descriptor left. Whatever it returns,
 * cce_poller_close is to follow. */
int cce_poller_open(struct cce_poller *poller, unsigned abilities,
                    struct cce_error *err);
void cce_poller_close(struct cce_poller *poller);

/* 0, or -1 and errno. A descriptor is added once, and must be removed before
 * it is closed. */
int cce_poller_add(struct cce_poller *poller, int fd, unsigned what,
                   uintptr_t tag);
int cce_poller_change(struct cce_poller *poller, int fd, unsigned what,
                      uintptr_t tag);
void cce_poller_remove(struct cce_poller *poller, int fd);

/* The clock of the timer, in milliseconds. */
int64_t cce_poller_now_ms(void);

/* Lets the timer ring at that time, or before: one that would ring earlier
 * stays as it is, which saves a system call. */
void cce_poller_ring_at(struct cce_poller *poller, int64_t at_ms);

/* Ends a wait; from any thread. */
void cce_poller_wake(struct cce_poller *poller);

/* Waits at most timeout_ms (-1: for ever). Returns how many descriptors are
 * ready, at most `count` of them, or -1 and errno. */
int cce_poller_wait(struct cce_poller *poller, struct cce_poller_event *events,
                    int count, int timeout_ms);

#endif
