#include "net/worker.h"

#include "os/module.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct cce_worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct cce_task *first, *last;
    bool stopping;
};

/* ---- starting a thread ---- */

int cce_worker_start_thread(pthread_t *thread, void *(*run)(void *context),
                            void *context, const char *name,
                            struct cce_error *err)
{
    sigset_t all, before;
    int problem;

    cce_module_pin();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    problem = pthread_create(thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (problem != 0)
        return cce_fail(err, CCE_UNSUPPORTED, "cannot start a thread: %s",
                        strerror(problem));
    pthread_setname_np(*thread, name);
    return 0;
}

/* ---- the thread ---- */

static void *run(void *context)
{
    struct cce_worker *worker = context;
    struct cce_task *task;

    /* What was submitted before the worker is to stop is still done. */
    for (;;) {
        pthread_mutex_lock(&worker->lock);
        while (worker->first == NULL && !worker->stopping)
            pthread_cond_wait(&worker->changed, &worker->lock);
        task = worker->first;
        if (task != NULL)
            worker->first = task->next;
        if (worker->first == NULL)
            worker->last = NULL;
        pthread_mutex_unlock(&worker->lock);
        if (task == NULL)
            return NULL;
        task->run(task->context);
    }
}

int cce_worker_new(struct cce_worker **result, struct cce_error *err)
{
    struct cce_worker *worker = calloc(1, sizeof *worker);

    *result = NULL;
    if (worker == NULL)
        return cce_fail_memory(err);
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->changed, NULL);
    if (cce_worker_start_thread(&worker->thread, run, worker, "cce-files",
                                err) != 0) {
        free(worker);
        return -1;
    }
    *result = worker;
    return 0;
}

void cce_worker_free(struct cce_worker *worker)
{
    if (worker == NULL)
        return;
    pthread_mutex_lock(&worker->lock);
    worker->stopping = true;
    pthread_cond_signal(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
    pthread_join(worker->thread, NULL);
    pthread_cond_destroy(&worker->changed);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}

void cce_worker_submit(struct cce_worker *worker, struct cce_task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&worker->lock);
    if (worker->last != NULL)
        worker->last->next = task;
    else
        worker->first = task;
    worker->last = task;
    pthread_cond_signal(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}
