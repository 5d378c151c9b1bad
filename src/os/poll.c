#include "os/poll.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "os/clock.h"

int cce_poll(const int *fds, bool *ready, size_t count, double seconds,
             struct cce_error *err)
{
    /* One more: calloc may return NULL for none. */
    struct pollfd *list = calloc(count + 1, sizeof *list);
    struct timespec step = cce_clock_timespec(seconds < 0 ? 0 : seconds);
    int found;

    if (list == NULL)
        return cce_fail_memory(err);
    for (size_t i = 0; i < count; i++) {
        list[i].fd = fds[i];
        list[i].events = POLLIN;
    }
    found = ppoll(list, count, seconds < 0 ? NULL : &step, NULL);
    if (found < 0 && errno != EINTR)
        cce_fail(err, CCE_UNSUPPORTED, "cannot poll: %s", strerror(errno));
    else
        for (size_t i = 0; i < count; i++)
            ready[i] = found > 0 && list[i].revents != 0;
    free(list);
    return found < 0 && errno != EINTR ? -1 : 0;
}
