#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { TAIL = 4096 };

static int fail_step(struct cce_error *err, const char *step, const char *path)
{
    return cce_fail(err, CCE_FILE_ERROR, "cannot %s '%s': %s", step, path,
                    strerror(errno));
}

/* ---- opening ---- */

static int open_file(struct cce_journal *journal, struct cce_error *err)
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
    journal->size = info.st_size;
    return 0;
}

static int lock_file(struct cce_journal *journal, struct cce_error *err)
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

/* A line without an end was never acknowledged: nothing followed from it. */
static int cut_torn_line(struct cce_journal *journal, struct cce_error *err)
{
    off_t end = end_of_lines(journal->fd, journal->size);

    if (end < 0)
        return fail_step(err, "read", journal->path);
    if (end < journal->size && ftruncate(journal->fd, end) != 0)
        return fail_step(err, "shorten", journal->path);
    journal->size = end;
    return 0;
}

/* The name of a new file must survive a power cut, too. */
static int sync_directory(const char *path, struct cce_error *err)
{
    char *copy = strdup(path);
    int fd = -1, result = -1;

    if (copy == NULL)
        return cce_fail_memory(err);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && (fsync(fd) == 0 || errno == EINVAL))
        result = 0;
    else
        fail_step(err, "sync the directory of", path);
    if (fd >= 0)
        close(fd);
    free(copy);
    return result;
}

int cce_journal_open(struct cce_journal *journal, const char *path,
                     struct cce_error *err)
{
    journal->fd = -1;
    journal->path = strdup(path);
    if (journal->path == NULL) {
        cce_fail_memory(err);
        goto failed;
    }
    if (open_file(journal, err) != 0 || lock_file(journal, err) != 0 ||
        cut_torn_line(journal, err) != 0 || sync_directory(path, err) != 0)
        goto failed;
    journal->owner = getpid();
    journal->is_open = true;
    return 0;

failed:
    if (journal->fd >= 0)
        close(journal->fd);
    free(journal->path);
    memset(journal, 0, sizeof *journal);
    return -1;
}

/* ---- appending ---- */

static int check_owner(const struct cce_journal *journal, struct cce_error *err)
{
    if (journal->owner == getpid())
        return 0;
    return cce_fail(err, CCE_UNSUPPORTED,
                    "'%s' was opened by process %ld; a child after fork must "
                    "not write to it",
                    journal->path, (long)journal->owner);
}

static ssize_t write_line(int fd, const void *line, size_t length, off_t at)
{
    struct iovec parts[2] = {{(void *)line, length}, {(void *)"\n", 1}};
    ssize_t count;

    do
        count = pwritev(fd, parts, 2, at);
    while (count < 0 && errno == EINTR);
    return count;
}

static int sync_file(int fd)
{
    int result;

    do
        result = fdatasync(fd);
    while (result != 0 && errno == EINTR);
    return result;
}

int cce_journal_append(struct cce_journal *journal, const void *line,
                       size_t length, bool sync, struct cce_error *err)
{
    ssize_t written;
    int problem;

    if (check_owner(journal, err) != 0)
        return -1;
    if (memchr(line, '\n', length) != NULL)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "a line of a journal has a line end inside");
    written = write_line(journal->fd, line, length, journal->size);
    if (written == (ssize_t)length + 1 &&
        (!sync || sync_file(journal->fd) == 0)) {
        journal->size += written;
        return 0;
    }
    problem = written < 0 || written == (ssize_t)length + 1 ? errno : ENOSPC;
    if (ftruncate(journal->fd, journal->size) != 0)
        problem = errno;
    errno = problem;
    return fail_step(err, "append to", journal->path);
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

int cce_journal_reserve(struct cce_journal *journal, size_t bytes,
                        struct cce_error *err)
{
    if (check_owner(journal, err) != 0)
        return -1;
    if (is_within_limit(journal->size, bytes) &&
        (fallocate(journal->fd, FALLOC_FL_KEEP_SIZE, journal->size,
                   (off_t)bytes) == 0 ||
         errno == EOPNOTSUPP))
        return 0;
    return fail_step(err, "reserve room in", journal->path);
}

void cce_journal_close(struct cce_journal *journal)
{
    if (!journal->is_open)
        return;
    /* Shortening a file to its own size frees what lies beyond its end. */
    if (journal->owner == getpid() &&
        ftruncate(journal->fd, journal->size) != 0)
        errno = 0;
    close(journal->fd);
    free(journal->path);
    memset(journal, 0, sizeof *journal);
}
