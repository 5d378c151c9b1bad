/*
 * listener: a listening unix socket of our own, under a name that others of the
 * process can find: /tmp/lua-cce-XXXXXX/engine.
 *
 * The directory has mode 0700, which keeps others out even where a socket's
 * mode is not looked at. A process that is killed leaves its directory behind:
 * cce_listener_sweep removes such ones.
 */
#ifndef CCE_NET_LISTENER_H
#define CCE_NET_LISTENER_H

#include "core/status.h"

struct cce_listener {
    int fd; /* listens; -1: not open */
    char directory[64];
    char path[96];
};

void cce_listener_init(struct cce_listener *listener);

/* Whatever it returns, cce_listener_close is to follow. */
int cce_listener_open(struct cce_listener *listener, struct cce_error *err);

/* Closes, and removes the socket and its directory. */
void cce_listener_close(struct cce_listener *listener);

/* Removes the directories of this user that nobody listens in any more and
 * that have not changed for a minute: a younger one may be about to listen. It
 * goes by the sockets and not by ids of processes, which mean nothing in
 * another container that shares /tmp. What else lies in one stays, and the
 * directory with it. */
void cce_listener_sweep(void);

#endif
