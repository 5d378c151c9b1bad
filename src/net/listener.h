/*
 * listener: a listening unix socket of our own, under a name that the host's
 * own sockets can use: lua-cce-XXXXXX/engine in a directory for such things.
 * That is TMPDIR, or /tmp when it is not set; then XDG_RUNTIME_DIR, where a
 * container has no other place to write to. (An abstract socket would need
 * none, but nginx's cosockets refuse its name.)
 *
 * The directory has mode 0700, which keeps other users out even where a
 * socket's mode is not looked at. A process that is killed leaves its directory
 * behind: cce_listener_sweep removes such ones.
 */
#ifndef CCE_NET_LISTENER_H
#define CCE_NET_LISTENER_H

#include "core/status.h"

enum {
    CCE_LISTENER_PATH_MAX = 107, /* what an address of a socket has room for */
    CCE_LISTENER_PLACE_MAX =
        CCE_LISTENER_PATH_MAX - (int)sizeof "/lua-cce-XXXXXX/engine" + 1
};

struct cce_listener {
    int fd;                                 /* listens; -1: not open */
    char place[CCE_LISTENER_PLACE_MAX + 1]; /* where the directory is */
    char directory[CCE_LISTENER_PATH_MAX + 1 - sizeof "/engine" + 1];
    char path[CCE_LISTENER_PATH_MAX + 1];
};

void cce_listener_init(struct cce_listener *listener);

/* Whatever it returns, cce_listener_close is to follow. */
int cce_listener_open(struct cce_listener *listener, struct cce_error *err);

/* Closes, and removes the socket and its directory. */
void cce_listener_close(struct cce_listener *listener);

/* Removes, where this listener's directory is, those of this user that have
 * no listener any more and have not changed for a minute: a younger one may
 * be about to listen. It goes by the sockets and not by ids of processes, which
 * mean nothing in another container that shares that place. What else lies in
 * one stays, and the directory with it. */
void cce_listener_sweep(const struct cce_listener *listener);

#endif
