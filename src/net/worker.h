/*
 * worker: a thread that runs functions one after the other, in the order in
 * which they were submitted. For what blocks and cannot be told not to, such
 * as fsync.
 *
 * The thread blocks all signals. It does not survive a fork: in the child
 * nothing here may be called.
 */
#ifndef CCE_NET_WORKER_H
#define CCE_NET_WORKER_H

#include <pthread.h>

#include "core/status.h"

struct cce_worker;

/* What is to be done. It is the caller's, and must stay until `run` has been
 * called; from then on the worker does not touch it. */
struct cce_task {
    void (*run)(void *context);
    void *context;
    struct cce_task *next; /* the worker's */
};

int cce_worker_new(struct cce_worker **worker, struct cce_error *err);

/* Does first all that was submitted, then joins the thread. NULL is fine. */
void cce_worker_free(struct cce_worker *worker);

void cce_worker_submit(struct cce_worker *worker, struct cce_task *task);

/* Starts a thread that no signal of the host is delivered to, and whose code
 * stays mapped when Lua unloads the module. `name`: at most 15 bytes. */
int cce_worker_start_thread(pthread_t *thread, void *(*run)(void *context),
                            void *context, const char *name,
                            struct cce_error *err);

#endif
