#include "os/sigpipe.h"

#include <time.h>

void cce_sigpipe_block(struct cce_sigpipe *guard, bool wanted)
{
    sigset_t pipe_only, pending;

    guard->active = wanted;
    if (!wanted)
        return;
    /* One that is pending already is the program's, and must stay. */
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    guard->was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_only, &guard->before);
}

void cce_sigpipe_restore(const struct cce_sigpipe *guard)
{
    static const struct timespec at_once = {0, 0};
    sigset_t pipe_only;

    if (!guard->active)
        return;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    if (!guard->was_pending)
        while (sigtimedwait(&pipe_only, NULL, &at_once) == SIGPIPE)
            continue;
    pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}
