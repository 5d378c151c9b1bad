/*
 * engine_thread: an engine on a helper thread, for a host that must not wait
 * and has no way to poll a descriptor of ours: an nginx worker.
 *
 * Jobs are submitted from the host's thread. Each has an id of 8 bytes. A
 * connection to the thread's unix socket that sends the id gets the same 8
 * bytes back once the job has ended (at once when it is unknown): the host can
 * wait for them with its own sockets. Several may wait for the same job.
 *
 * A job is a transfer, or any function that blocks. A transfer without a
 * waiting connection is cancelled by freeing it; when the last connection that
 * waits for it is closed, it is cancelled at once. A function is never
 * cancelled: it runs on another thread, so that a slow disk holds up no
 * transfer, in the order of submission, and to its end even when no connection
 * waits any more.
 *
 * The thread blocks all signals, never touches Lua, and ends in
 * cce_thread_free, which waits for it. It does not survive a fork: in the
 * child every call but cce_thread_free fails, and that one leaves what is the
 * parent's alone. The socket lies in a directory of mode 0700 and talks to our
 * own process only.
 */
#ifndef CCE_NET_ENGINE_THREAD_H
#define CCE_NET_ENGINE_THREAD_H

#include "net/engine.h"

enum { CCE_JOB_ID_LENGTH = 8 };

struct cce_thread;
struct cce_job;

int cce_thread_new(struct cce_thread **thread,
                   const struct cce_engine_options *options,
                   struct cce_error *err);

/* Cancels the transfers that are under way (CLOSED), runs all functions to
 * their end, and joins the threads. Jobs may be freed later. NULL is fine. */
void cce_thread_free(struct cce_thread *thread);

/* True in a child of the process that made the thread. */
bool cce_thread_is_inherited(const struct cce_thread *thread);

/* Where to ask for ids. */
const char *cce_thread_socket(const struct cce_thread *thread);

/* How many jobs exist: under way, or ended and not freed yet. */
size_t cce_thread_jobs(struct cce_thread *thread);

int cce_thread_submit(struct cce_thread *thread,
                      const struct cce_request *request, struct cce_job **job,
                      struct cce_error *err);

/* Runs once, on a thread of its own. `release` is called once when the job is
 * gone, on any thread. */
struct cce_work {
    void (*run)(void *context);
    void (*release)(void *context);
    void *context;
};

/* When it fails, the context is still the caller's. */
int cce_thread_run(struct cce_thread *thread, const struct cce_work *work,
                   struct cce_job **job, struct cce_error *err);

const unsigned char *cce_job_id(const struct cce_job *job);

bool cce_job_is_finished(struct cce_job *job);

/* Only for a finished transfer. The pointers live as long as the job. */
void cce_job_result(const struct cce_job *job, struct cce_result *result);

/* The context of work that has been done. NULL: it is the parent's, in a child
 * after fork. */
void *cce_job_context(const struct cce_job *job);

/* Frees; cancels first a transfer that has not ended. NULL is fine. */
void cce_job_free(struct cce_job *job);

#endif
