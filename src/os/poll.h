/*
 * poll: waiting for a few descriptors, as a prompt does. poller.h is for many.
 */
#ifndef CCE_OS_POLL_H
#define CCE_OS_POLL_H

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

/* Waits at most `seconds` (negative: without end) until one of `count`
 * descriptors can be read, or has come to its end: `ready[i]` says which. A
 * signal that has a handler ends the wait early, with none. */
int cce_poll(const int *fds, bool *ready, size_t count, double seconds,
             struct cce_error *err);

#endif
