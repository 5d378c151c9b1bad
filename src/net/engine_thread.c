#include "net/engine_thread.h"
#include "net/listener.h"
#include "net/worker.h"
#include "os/pid.h"
#include "os/poller.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_A_WAIT = 64, BUCKETS = 1024, MAX_CONNECTIONS = 16384 };

/* One connection to the socket; it asks for one id at a time. */
struct connection {
    int fd;
    struct connection *previous, *next;
    struct cce_job *job; /* what it waits for, or NULL */
    struct connection *next_of_job;
    unsigned char id[CCE_JOB_ID_LENGTH];
    size_t received;
};

/* A job belongs to the host until it is submitted and once it is finished, to
 * the thread in between; its work belongs to the worker. The flags are under
 * the thread's lock. */
struct cce_job {
    struct cce_thread *thread;     /* NULL once the thread has ended */
    struct cce_transfer *transfer; /* NULL: it is work */
    struct cce_work work;
    struct cce_task task;
    struct cce_job *next_in_inbox;
    struct cce_job *previous_known; /* of its bucket */
    struct cce_job *next_known;
    struct connection *connections; /* the thread's own */
    uint64_t number;
    unsigned char id[CCE_JOB_ID_LENGTH];
    bool in_inbox;
    bool worked; /* the work has been done */
    bool finished;
    bool abandoned; /* the host has freed it: the thread will */
};

struct cce_thread {
    pthread_t thread;
    pthread_mutex_t lock;
    pid_t pid;
    struct cce_thread *next_inherited; /* see cce_thread_free */
    bool running;                      /* the thread was started */
    bool stopping;
    struct cce_engine *engine; /* the thread's own */
    struct cce_worker *worker; /* the host's own; NULL until there is work */
    struct cce_poller poller;  /* the tag is where its source lies */
    int spare_fd; /* given up for a moment when there is no other */
    struct cce_listener listener;
    struct cce_job *inbox_first, *inbox_last;
    struct cce_job *known[BUCKETS]; /* all jobs, by number */
    size_t job_count;
    struct connection *connections; /* the thread's own */
    size_t connection_count;
    uint64_t last_number;
};

/* ---- the table of jobs; the lock is held ---- */

static struct cce_job **bucket_of(struct cce_thread *thread, uint64_t number)
{
    return &thread->known[number % BUCKETS];
}

static void add_job(struct cce_thread *thread, struct cce_job *job)
{
    struct cce_job **bucket;

    job->number = ++thread->last_number;
    memcpy(job->id, &job->number, sizeof job->number);
    bucket = bucket_of(thread, job->number);
    job->next_known = *bucket;
    if (*bucket != NULL)
        (*bucket)->previous_known = job;
    *bucket = job;
    thread->job_count++;
}

static void remove_job(struct cce_thread *thread, struct cce_job *job)
{
    if (job->previous_known != NULL)
        job->previous_known->next_known = job->next_known;
    else
        *bucket_of(thread, job->number) = job->next_known;
    if (job->next_known != NULL)
        job->next_known->previous_known = job->previous_known;
    thread->job_count--;
}

static void free_job(struct cce_job *job)
{
    if (job->work.release != NULL)
        job->work.release(job->work.context);
    cce_transfer_free(job->transfer);
    free(job);
}

/* ---- connections; the thread's own ---- */

static int watch(struct cce_thread *thread, int fd, void *source)
{
    return cce_poller_add(&thread->poller, fd, CCE_POLLER_READ,
                          (uintptr_t)source);
}

static void close_connection(struct cce_thread *thread,
                             struct connection *connection)
{
    if (connection->job != NULL) {
        struct connection **place = &connection->job->connections;

        while (*place != connection)
            place = &(*place)->next_of_job;
        *place = connection->next_of_job;
        connection->job = NULL;
    }
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        thread->connections = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    cce_poller_remove(&thread->poller, connection->fd);
    close(connection->fd);
    free(connection);
    thread->connection_count--;
}

/* 8 bytes always fit into the buffer of a peer that waits for them. */
static bool answer(struct connection *connection)
{
    ssize_t sent = send(connection->fd, connection->id, sizeof connection->id,
                        MSG_NOSIGNAL | MSG_DONTWAIT);

    connection->received = 0;
    return sent == (ssize_t)sizeof connection->id;
}

/* False when the connection is to be closed: its peer has gone, or speaks out
 * of turn. */
static bool read_connection(struct cce_thread *thread,
                            struct connection *connection)
{
    unsigned char *to = connection->id + connection->received;
    size_t room = sizeof connection->id - connection->received;
    struct cce_job *job;
    uint64_t number;
    ssize_t count;
    bool waits;

    if (connection->job != NULL || room == 0)
        return false;
    count = recv(connection->fd, to, room, MSG_DONTWAIT);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR;
    if (count == 0)
        return false;
    connection->received += (size_t)count;
    if (connection->received < sizeof connection->id)
        return true;

    /* The whole id has come. An unknown job has been freed: it has ended. */
    memcpy(&number, connection->id, sizeof number);
    pthread_mutex_lock(&thread->lock);
    job = *bucket_of(thread, number);
    while (job != NULL && job->number != number)
        job = job->next_known;
    waits = job != NULL && !job->finished;
    if (waits) {
        connection->job = job;
        connection->next_of_job = job->connections;
        job->connections = connection;
    }
    pthread_mutex_unlock(&thread->lock);
    return waits || answer(connection);
}

static void add_connection(struct cce_thread *thread, int fd)
{
    struct connection *connection = calloc(1, sizeof *connection);
    struct ucred peer;
    socklen_t length = sizeof peer;

    /* The socket is for this process alone. */
    if (connection == NULL || thread->connection_count >= MAX_CONNECTIONS ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 ||
        peer.pid != cce_pid() || watch(thread, fd, connection) != 0) {
        free(connection);
        close(fd);
        return;
    }
    connection->fd = fd;
    connection->next = thread->connections;
    if (connection->next != NULL)
        connection->next->previous = connection;
    thread->connections = connection;
    thread->connection_count++;
}

static int accept_one(struct cce_thread *thread)
{
    return accept4(thread->listener.fd, NULL, NULL,
                   SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void accept_connections(struct cce_thread *thread)
{
    static const struct timespec moment = {0, 1000000};
    int fd;

    while ((fd = accept_one(thread)) >= 0)
        add_connection(thread, fd);
    if (errno != EMFILE && errno != ENFILE)
        return;

    /* The process has no descriptor left. The peers would wait for ever, and
     * the listener stay readable: so each is accepted and closed. */
    do {
        if (thread->spare_fd >= 0)
            close(thread->spare_fd);
        fd = accept_one(thread);
        if (fd >= 0)
            close(fd);
        thread->spare_fd = open_spare();
    } while (fd >= 0);
    /* The host was faster and took it. */
    if (thread->spare_fd < 0)
        nanosleep(&moment, NULL);
}

/* ---- the inbox; the lock is held ---- */

/* A transfer lies here when it is new, work when it has been done; and either
 * once more when the host frees it before it has ended. Who put the first one
 * there has woken the thread, which then takes all that there are. */
static void put_into_inbox(struct cce_thread *thread, struct cce_job *job)
{
    if (job->in_inbox)
        return;
    job->in_inbox = true;
    job->next_in_inbox = NULL;
    if (thread->inbox_last != NULL) {
        thread->inbox_last->next_in_inbox = job;
    } else {
        thread->inbox_first = job;
        cce_poller_wake(&thread->poller);
    }
    thread->inbox_last = job;
}

/* ---- the thread's side of jobs ---- */

/* Answers the connections that wait for the job; frees it when the host has
 * abandoned it. A transfer that has not ended by itself is cancelled. */
static void finish_job(struct cce_thread *thread, struct cce_job *job)
{
    struct connection *connections = job->connections;
    bool is_last;

    if (job->transfer != NULL)
        cce_engine_release(job->transfer);
    /* Once this is set and the lock is released, the host may free the job. */
    job->connections = NULL;
    pthread_mutex_lock(&thread->lock);
    job->finished = true;
    is_last = job->abandoned && !job->in_inbox;
    if (is_last)
        remove_job(thread, job);
    pthread_mutex_unlock(&thread->lock);
    if (is_last)
        free_job(job);
    while (connections != NULL) {
        struct connection *next = connections->next_of_job;

        connections->job = NULL;
        if (!answer(connections))
            close_connection(thread, connections);
        connections = next;
    }
}

/* One at a time: the host may put the next one back meanwhile. What was given
 * up before it began is the host's already. */
static bool handle_next_job(struct cce_thread *thread)
{
    struct cce_job *job;
    struct cce_error err; /* the transfer keeps its own */
    bool is_work, ends, begins;

    pthread_mutex_lock(&thread->lock);
    job = thread->inbox_first;
    if (job == NULL) {
        pthread_mutex_unlock(&thread->lock);
        return false;
    }
    thread->inbox_first = job->next_in_inbox;
    if (thread->inbox_first == NULL)
        thread->inbox_last = NULL;
    job->in_inbox = false;
    is_work = job->transfer == NULL;
    ends = is_work ? job->worked : job->abandoned;
    begins = !is_work && !job->finished;
    pthread_mutex_unlock(&thread->lock);

    if (ends)
        finish_job(thread, job);
    else if (begins &&
             cce_engine_start(thread->engine, job->transfer, &err) != 0)
        finish_job(thread, job);
    return true;
}

/* ---- the thread ---- */

static bool is_stopping(struct cce_thread *thread)
{
    bool stopping;

    pthread_mutex_lock(&thread->lock);
    stopping = thread->stopping;
    pthread_mutex_unlock(&thread->lock);
    return stopping;
}

/* The tag of a connection is its address, that of the other two descriptors
 * the address of their field. The
 * engine is stepped after each batch anyway: before that no answer is sent, so
 * that no connection is closed while an event of its own waits in the batch. */
static void handle_event(struct cce_thread *thread, void *source)
{
    struct connection *connection = source;
    struct cce_job *job;

    if (source == &thread->engine)
        return;
    if (source == &thread->listener) {
        accept_connections(thread);
        return;
    }
    if (read_connection(thread, connection))
        return;

    /* A peer that hangs up while it waits has given up the job. A transfer that
     * no connection waits for any more ends now, not when the host comes to
     * free it, for others may queue behind it. */
    job = connection->job;
    close_connection(thread, connection);
    if (job != NULL && job->transfer != NULL && job->connections == NULL)
        finish_job(thread, job);
}

static void *run(void *context)
{
    static bool swept;
    struct cce_thread *thread = context;
    struct cce_poller_event events[EVENTS_A_WAIT];

    /* Once a process, and here: a directory may be slow, and the host must not
     * wait. */
    if (!__atomic_exchange_n(&swept, true, __ATOMIC_RELAXED))
        cce_listener_sweep(&thread->listener);
    while (!is_stopping(thread)) {
        struct cce_transfer *transfer;
        struct cce_error err; /* ignored: the next round tries again */
        int count = cce_poller_wait(&thread->poller, events, EVENTS_A_WAIT, -1);

        for (int i = 0; i < count; i++)
            handle_event(thread, (void *)events[i].tag);
        while (thread->poller.woken && handle_next_job(thread))
            continue;
        cce_engine_step(thread->engine, 0, &err);
        while ((transfer = cce_engine_next_finished(thread->engine)) != NULL)
            finish_job(thread, cce_transfer_owner(transfer));
    }
    return NULL;
}

static int fail_errno(struct cce_error *err, const char *what)
{
    return cce_fail(err, CCE_UNSUPPORTED,
                    "cannot start the engine's thread: %s: %s", what,
                    strerror(errno));
}

int cce_thread_new(struct cce_thread **result,
                   const struct cce_engine_options *options,
                   struct cce_error *err)
{
    struct cce_thread *thread = calloc(1, sizeof *thread);

    *result = NULL;
    if (thread == NULL)
        return cce_fail_memory(err);
    cce_poller_init(&thread->poller);
    thread->spare_fd = -1;
    cce_listener_init(&thread->listener);
    thread->pid = cce_pid();
    pthread_mutex_init(&thread->lock, NULL);

    if (cce_engine_new(&thread->engine, options, err) != 0)
        goto failed;
    thread->spare_fd = open_spare();
    if (thread->spare_fd < 0) {
        fail_errno(err, "a descriptor");
        goto failed;
    }
    if (cce_poller_open(&thread->poller, CCE_POLLER_WAKES, err) != 0 ||
        cce_listener_open(&thread->listener, err) != 0)
        goto failed;
    if (watch(thread, cce_engine_fd(thread->engine), &thread->engine) != 0 ||
        watch(thread, thread->listener.fd, &thread->listener) != 0) {
        fail_errno(err, "watching a descriptor");
        goto failed;
    }
    /* Last: from here on the thread owns all of it. */
    if (cce_worker_start_thread(&thread->thread, run, thread, "cce-engine",
                                err) != 0)
        goto failed;
    thread->running = true;
    *result = thread;
    return 0;

failed:
    cce_thread_free(thread);
    return -1;
}

bool cce_thread_is_inherited(const struct cce_thread *thread)
{
    return thread->pid != cce_pid();
}

/* The thread has ended: all is ours now. */
static void disown_jobs(struct cce_thread *thread)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        while (thread->known[i] != NULL) {
            struct cce_job *job = thread->known[i];

            remove_job(thread, job);
            job->thread = NULL;
            job->finished = true;
            if (job->abandoned)
                free_job(job);
        }
    }
}

static void close_descriptors(struct cce_thread *thread)
{
    cce_poller_close(&thread->poller);
    if (thread->spare_fd >= 0)
        close(thread->spare_fd);
}

/* Those of the parent that this process, its child, has let go of. They are
 * left as they are, but not lost. */
static struct cce_thread *inherited_threads;

/* In a child after fork nothing may be touched but the descriptors: the fork
 * may have caught the thread in the middle of anything. */
void cce_thread_free(struct cce_thread *thread)
{
    if (thread == NULL)
        return;
    if (cce_thread_is_inherited(thread)) {
        close_descriptors(thread);
        close(thread->listener.fd);
        thread->next_inherited =
            __atomic_load_n(&inherited_threads, __ATOMIC_ACQUIRE);
        while (!__atomic_compare_exchange_n(
            &inherited_threads, &thread->next_inherited, thread, false,
            __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            continue;
        return;
    }

    /* The worker first: what it has done goes into the thread's inbox. */
    cce_worker_free(thread->worker);
    if (thread->running) {
        pthread_mutex_lock(&thread->lock);
        thread->stopping = true;
        pthread_mutex_unlock(&thread->lock);
        cce_poller_wake(&thread->poller);
        pthread_join(thread->thread, NULL);
    }

    /* The thread has ended: what was its own belongs to the caller now. */
    while (thread->connections != NULL)
        close_connection(thread, thread->connections);
    cce_engine_free(thread->engine);
    disown_jobs(thread);
    close_descriptors(thread);
    cce_listener_close(&thread->listener);
    pthread_mutex_destroy(&thread->lock);
    free(thread);
}

/* ---- the host's side ---- */

const char *cce_thread_socket(const struct cce_thread *thread)
{
    return thread->listener.path;
}

size_t cce_thread_jobs(struct cce_thread *thread)
{
    size_t count;

    if (cce_thread_is_inherited(thread))
        return 0;
    pthread_mutex_lock(&thread->lock);
    count = thread->job_count;
    pthread_mutex_unlock(&thread->lock);
    return count;
}

static int check_ours(const struct cce_thread *thread, struct cce_error *err)
{
    if (!cce_thread_is_inherited(thread))
        return 0;
    return cce_fail(err, CCE_UNSUPPORTED,
                    "this engine belongs to process %ld; a child after "
                    "fork needs its own",
                    (long)thread->pid);
}

static struct cce_job *new_job(struct cce_thread *thread, struct cce_error *err)
{
    struct cce_job *job = calloc(1, sizeof *job);

    if (job == NULL)
        cce_fail_memory(err);
    else
        job->thread = thread;
    return job;
}

int cce_thread_submit(struct cce_thread *thread,
                      const struct cce_request *request,
                      struct cce_job **result, struct cce_error *err)
{
    struct cce_job *job;

    *result = NULL;
    if (check_ours(thread, err) != 0 || (job = new_job(thread, err)) == NULL)
        return -1;
    if (cce_transfer_new(&job->transfer, request, err) != 0) {
        free(job);
        return -1;
    }
    cce_transfer_set_owner(job->transfer, job);
    pthread_mutex_lock(&thread->lock);
    add_job(thread, job);
    put_into_inbox(thread, job);
    pthread_mutex_unlock(&thread->lock);
    *result = job;
    return 0;
}

/* On the worker's thread. Once the lock is given up the job may be gone. */
static void run_work(void *context)
{
    struct cce_job *job = context;
    struct cce_thread *thread = job->thread;

    job->work.run(job->work.context);
    pthread_mutex_lock(&thread->lock);
    job->worked = true;
    put_into_inbox(thread, job);
    pthread_mutex_unlock(&thread->lock);
}

int cce_thread_run(struct cce_thread *thread, const struct cce_work *work,
                   struct cce_job **result, struct cce_error *err)
{
    struct cce_job *job;

    *result = NULL;
    if (check_ours(thread, err) != 0 ||
        (thread->worker == NULL && cce_worker_new(&thread->worker, err) != 0) ||
        (job = new_job(thread, err)) == NULL)
        return -1;
    job->work = *work;
    job->task.run = run_work;
    job->task.context = job;
    pthread_mutex_lock(&thread->lock);
    add_job(thread, job);
    pthread_mutex_unlock(&thread->lock);
    cce_worker_submit(thread->worker, &job->task);
    *result = job;
    return 0;
}

const unsigned char *cce_job_id(const struct cce_job *job)
{
    return job->id;
}

bool cce_job_is_finished(struct cce_job *job)
{
    struct cce_thread *thread = job->thread;
    bool finished;

    if (thread == NULL || cce_thread_is_inherited(thread))
        return true;
    pthread_mutex_lock(&thread->lock);
    finished = job->finished;
    pthread_mutex_unlock(&thread->lock);
    return finished;
}

void cce_job_result(const struct cce_job *job, struct cce_result *result)
{
    cce_transfer_result(job->transfer, result);
}

void *cce_job_context(const struct cce_job *job)
{
    if (job->thread != NULL && cce_thread_is_inherited(job->thread))
        return NULL;
    return job->work.context;
}

void cce_job_free(struct cce_job *job)
{
    struct cce_thread *thread;
    bool is_ours;

    if (job == NULL)
        return;
    thread = job->thread;
    if (thread == NULL) {
        free_job(job);
        return;
    }
    if (cce_thread_is_inherited(thread))
        return;
    pthread_mutex_lock(&thread->lock);
    /* Else the thread has still to do with it, and frees it afterwards. */
    is_ours = job->finished && !job->in_inbox;
    if (is_ours) {
        remove_job(thread, job);
    } else {
        job->abandoned = true;
        put_into_inbox(thread, job);
    }
    pthread_mutex_unlock(&thread->lock);
    if (is_ours)
        free_job(job);
}
