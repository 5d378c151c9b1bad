/*
 * sigpipe: a dead connection must not kill the program.
 *
 * The disposition of SIGPIPE belongs to the program, so it is only kept off
 * the calling thread between block and restore, and taken there if it came.
 */
#ifndef CCE_OS_SIGPIPE_H
#define CCE_OS_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

struct cce_sigpipe {
    sigset_t before;
    bool active, was_pending;
};

/* Does nothing, and restore neither, unless `wanted`. */
void cce_sigpipe_block(struct cce_sigpipe *guard, bool wanted);
void cce_sigpipe_restore(const struct cce_sigpipe *guard);

#endif
