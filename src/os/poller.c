#include "os/poller.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "os/clock.h"

enum { EVENTS_A_WAIT = 64 };

/* The tags of our own two descriptors: addresses, so that no descriptor's
 * number and no other address equals them. */
static const char timer_tag, wake_tag;

static int control(struct cce_poller *poller, int operation, int fd,
                   unsigned what, uintptr_t tag)
{
    struct epoll_event event = {
        .events = (what & CCE_POLLER_READ ? EPOLLIN | EPOLLRDHUP : 0u) |
                  (what & CCE_POLLER_WRITE ? EPOLLOUT : 0u),
        .data.ptr = (void *)tag,
    };

    return epoll_ctl(poller->fd, operation, fd, &event);
}

void cce_poller_init(struct cce_poller *poller)
{
    memset(poller, 0, sizeof *poller);
    poller->fd = poller->timer_fd = poller->wake_fd = -1;
    poller->rings_ms = CCE_POLLER_NEVER;
}

static int watch_own(struct cce_poller *poller, int fd, const char *tag)
{
    if (fd >= 0 && control(poller, EPOLL_CTL_ADD, fd, CCE_POLLER_READ,
                           (uintptr_t)tag) == 0)
        return 0;
    return -1;
}

int cce_poller_open(struct cce_poller *poller, unsigned abilities,
                    struct cce_error *err)
{
    cce_poller_init(poller);
    poller->fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->fd < 0)
        goto failed;
    if (abilities & CCE_POLLER_RINGS) {
        poller->timer_fd =
            timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (watch_own(poller, poller->timer_fd, &timer_tag) != 0)
            goto failed;
    }
    if (abilities & CCE_POLLER_WAKES) {
        poller->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (watch_own(poller, poller->wake_fd, &wake_tag) != 0)
            goto failed;
    }
    return 0;

failed:
    return cce_fail(err, CCE_UNSUPPORTED,
                    "cannot open a descriptor for the engine: %s",
                    strerror(errno));
}

void cce_poller_close(struct cce_poller *poller)
{
    const int descriptors[] = {poller->wake_fd, poller->timer_fd, poller->fd};

    for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    cce_poller_init(poller);
}

int cce_poller_add(struct cce_poller *poller, int fd, unsigned what,
                   uintptr_t tag)
{
    return control(poller, EPOLL_CTL_ADD, fd, what, tag);
}

int cce_poller_change(struct cce_poller *poller, int fd, unsigned what,
                      uintptr_t tag)
{
    return control(poller, EPOLL_CTL_MOD, fd, what, tag);
}

/* Closing alone does not do: a child that was just started may have the
 * descriptor, too, and then events go on to come. */
void cce_poller_remove(struct cce_poller *poller, int fd)
{
    epoll_ctl(poller->fd, EPOLL_CTL_DEL, fd, NULL);
}

int64_t cce_poller_now_ms(void)
{
    return cce_clock_monotonic_ms();
}

void cce_poller_ring_at(struct cce_poller *poller, int64_t at_ms)
{
    struct itimerspec when = {{0, 0}, {0, 0}};

    if (at_ms >= poller->rings_ms)
        return;
    poller->rings_ms = at_ms;
    when.it_value.tv_sec = (time_t)(at_ms / 1000);
    when.it_value.tv_nsec = at_ms % 1000 * 1000000;
    timerfd_settime(poller->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void cce_poller_wake(struct cce_poller *poller)
{
    static const uint64_t one = 1;

    /* It fails only when it would overflow, and then it is readable anyway. */
    if (write(poller->wake_fd, &one, sizeof one) < 0)
        return;
}

/* Reads what makes it readable; false when there is nothing. */
static bool drain(int fd)
{
    uint64_t count;

    return read(fd, &count, sizeof count) == (ssize_t)sizeof count;
}

int cce_poller_wait(struct cce_poller *poller, struct cce_poller_event *events,
                    int count, int timeout_ms)
{
    struct epoll_event found[EVENTS_A_WAIT];
    int ready = 0, all;

    poller->rang = poller->woken = false;
    all = epoll_wait(poller->fd, found,
                     count < EVENTS_A_WAIT ? count : EVENTS_A_WAIT, timeout_ms);
    for (int i = 0; i < all; i++) {
        uint32_t what = found[i].events;

        if (found[i].data.ptr == &timer_tag) {
            poller->rang = drain(poller->timer_fd);
            if (poller->rang)
                poller->rings_ms = CCE_POLLER_NEVER;
        } else if (found[i].data.ptr == &wake_tag) {
            poller->woken = drain(poller->wake_fd);
        } else {
            events[ready].tag = (uintptr_t)found[i].data.ptr;
            events[ready].ready =
                (what & (EPOLLIN | EPOLLRDHUP) ? CCE_POLLER_READ : 0u) |
                (what & EPOLLOUT ? CCE_POLLER_WRITE : 0u) |
                (what & (EPOLLERR | EPOLLHUP) ? CCE_POLLER_FAILED : 0u);
            ready++;
        }
    }
    return all < 0 ? -1 : ready;
}
