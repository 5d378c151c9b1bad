#include "os/append_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { TAIL = 4096 };

struct cce_append_file {
    pthread_mutex_t lock; /* of what follows, but for the fixed and the count */
    off_t size;           /* where the next line begins */
    int fd;               /* fixed, as is what follows */
    pid_t owner;          /* a child after fork may not write */
    unsigned keepers;     /* atomic */
    char path[];
};

static int fail_step(struct cce_error *err, const char *step, const char *path)
{
    return cce_fail(err, CCE_FILE_ERROR, "cannot %s '%s': %s", step, path,
                    strerror(errno));
}

/* ---- opening ---- */

static int open_file(struct cce_append_file *journal, struct cce_error *err)
{
    struct stat info;
    int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

    journal->fd = open(journal->path, flags, 0600);
    if (journal->fd < 0)
        return fail_step(err, "open", journal->path);
    if (fstat(journal->fd, &info) != 0)
        return fail_step(err, "look at", journal->path);
    if (!S_ISREG(info.st_mode))
        return cce_fail(err, CCE_FILE_ERROR, "'%s' is not a regular file",
                        journal->path);
    return 0;
}

static int lock_file(struct cce_append_file *journal, struct cce_error *err)
{
    if (flock(journal->fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return cce_fail(err, CCE_CONFLICT, "'%s' is in use by another process",
                        journal->path);
    return fail_step(err, "lock", journal->path);
}

/* Where the last whole line ends, looking backwards. -1: it cannot be read. */
static off_t end_of_lines(int fd, off_t size)
{
    char block[TAIL];

    while (size > 0) {
        size_t length = size < TAIL ? (size_t)size : TAIL;
        off_t start = size - (off_t)length;
        ssize_t count = pread(fd, block, length, start);
        const char *line_end;

        if (count != (ssize_t)length)
            return -1;
        line_end = memrchr(block, '\n', length);
        if (line_end != NULL)
            return start + (line_end - block) + 1;
        size = start;
    }
    return 0;
}

/* A line without an end was never acknowledged: nothing followed from it. Only
 * who has the lock may ask for the size: until then another holder appends. */
static int cut_torn_line(struct cce_append_file *journal, struct cce_error *err)
{
    struct stat info;
    off_t end;

    if (fstat(journal->fd, &info) != 0)
        return fail_step(err, "look at", journal->path);
    end = end_of_lines(journal->fd, info.st_size);
    if (end < 0)
        return fail_step(err, "read", journal->path);
    if (end < info.st_size && ftruncate(journal->fd, end) != 0)
        return fail_step(err, "shorten", journal->path);
    journal->size = end;
    return 0;
}

/* A signal that has a handler must not look like a disk that failed. */
static int sync_file(int fd, int (*sync)(int fd))
{
    int result;

    do
        result = sync(fd);
    while (result != 0 && errno == EINTR);
    return result;
}

/* The name of a new file must survive a power cut, too. */
static int sync_directory(const char *path, struct cce_error *err)
{
    char *copy = strdup(path);
    int fd = -1, result = -1;

    if (copy == NULL)
        return cce_fail_memory(err);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && (sync_file(fd, fsync) == 0 || errno == EINVAL))
        result = 0;
    else
        fail_step(err, "sync the directory of", path);
    if (fd >= 0)
        close(fd);
    free(copy);
    return result;
}

static struct cce_append_file *new_journal(const char *path)
{
    size_t length = strlen(path) + 1;
    struct cce_append_file *journal = calloc(1, sizeof *journal + length);

    if (journal == NULL)
        return NULL;
    memcpy(journal->path, path, length);
    pthread_mutex_init(&journal->lock, NULL);
    journal->fd = -1;
    journal->owner = getpid();
    journal->keepers = 1;
    return journal;
}

static void discard(struct cce_append_file *journal)
{
    if (journal->fd >= 0)
        close(journal->fd);
    free(journal);
}

int cce_append_file_open(struct cce_append_file **result, const char *path,
                         struct cce_error *err)
{
    struct cce_append_file *journal = new_journal(path);

    *result = NULL;
    if (journal == NULL)
        return cce_fail_memory(err);
    if (open_file(journal, err) != 0 || lock_file(journal, err) != 0 ||
        cut_torn_line(journal, err) != 0 || sync_directory(path, err) != 0) {
        discard(journal);
        return -1;
    }
    *result = journal;
    return 0;
}

/* ---- appending ---- */

static int check_owner(const struct cce_append_file *journal,
                       struct cce_error *err)
{
    if (journal->owner == getpid())
        return 0;
    return cce_fail(err, CCE_UNSUPPORTED,
                    "'%s' was opened by process %ld; a child after fork must "
                    "not write to it",
                    journal->path, (long)journal->owner);
}

static ssize_t write_lines(int fd, const void *lines, size_t length, off_t at)
{
    struct iovec parts[2] = {{(void *)lines, length}, {(void *)"\n", 1}};
    ssize_t count;

    do
        count = pwritev(fd, parts, 2, at);
    while (count < 0 && errno == EINTR);
    return count;
}

static int append(struct cce_append_file *journal, const void *lines,
                  size_t length, bool sync, struct cce_error *err)
{
    ssize_t written = write_lines(journal->fd, lines, length, journal->size);
    int problem;

    if (written == (ssize_t)length + 1 &&
        (!sync || sync_file(journal->fd, fdatasync) == 0)) {
        journal->size += written;
        return 0;
    }
    problem = written < 0 || written == (ssize_t)length + 1 ? errno : ENOSPC;
    if (ftruncate(journal->fd, journal->size) != 0)
        problem = errno;
    errno = problem;
    return fail_step(err, "append to", journal->path);
}

int cce_append_file_append(struct cce_append_file *journal, const void *lines,
                           size_t length, bool sync, struct cce_error *err)
{
    int result;

    if (check_owner(journal, err) != 0)
        return -1;
    pthread_mutex_lock(&journal->lock);
    result = append(journal, lines, length, sync, err);
    pthread_mutex_unlock(&journal->lock);
    return result;
}

/* A limit on the size of files (ulimit -f), which fallocate does not heed. */
static bool is_within_limit(off_t size, size_t bytes)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
        limit.rlim_cur != RLIM_INFINITY &&
        (rlim_t)size + bytes > limit.rlim_cur) {
        errno = EFBIG;
        return false;
    }
    return true;
}

static int allocate(int fd, off_t from, size_t bytes)
{
    int result;

    do
        result = fallocate(fd, FALLOC_FL_KEEP_SIZE, from, (off_t)bytes);
    while (result != 0 && errno == EINTR);
    return result;
}

static int reserve(struct cce_append_file *journal, size_t bytes,
                   struct cce_error *err)
{
    if (is_within_limit(journal->size, bytes) &&
        (allocate(journal->fd, journal->size, bytes) == 0 ||
         errno == EOPNOTSUPP))
        return 0;
    return fail_step(err, "reserve room in", journal->path);
}

int cce_append_file_reserve(struct cce_append_file *journal, size_t bytes,
                            struct cce_error *err)
{
    int result;

    if (check_owner(journal, err) != 0)
        return -1;
    pthread_mutex_lock(&journal->lock);
    result = reserve(journal, bytes, err);
    pthread_mutex_unlock(&journal->lock);
    return result;
}

/* ---- its life ---- */

static bool is_inherited(const struct cce_append_file *journal)
{
    return journal->owner != getpid();
}

size_t cce_append_file_size(struct cce_append_file *journal)
{
    size_t size;

    /* The fork may have caught another thread with the lock. */
    if (is_inherited(journal))
        return (size_t)journal->size;
    pthread_mutex_lock(&journal->lock);
    size = (size_t)journal->size;
    pthread_mutex_unlock(&journal->lock);
    return size;
}

struct cce_append_file *cce_append_file_keep(struct cce_append_file *journal)
{
    __atomic_add_fetch(&journal->keepers, 1, __ATOMIC_RELAXED);
    return journal;
}

void cce_append_file_free(struct cce_append_file *journal)
{
    if (journal == NULL ||
        __atomic_sub_fetch(&journal->keepers, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    /* Shortening a file to its own size frees what lies beyond its end. The
     * lock would stay as long as a child after fork has the descriptor. */
    if (!is_inherited(journal)) {
        if (ftruncate(journal->fd, journal->size) != 0)
            errno = 0;
        flock(journal->fd, LOCK_UN);
        pthread_mutex_destroy(&journal->lock);
    }
    discard(journal);
}
