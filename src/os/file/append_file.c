#include "os/file/append_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/file/path.h"

enum {
    BLOCK = 4096,
    LONGEST_FIRST_LINE = 64 * 1024,
    LONGEST_TORN_LINE = 16 * 1024 * 1024,
    MAX_ATTEMPTS = 8, /* to open a file that is replaced meanwhile */
};

struct cce_append_file {
    pthread_mutex_t lock; /* of the next three */
    off_t size;           /* where the next line begins */
    bool has_rest;        /* of a line, behind that, which could not be cut */
    const char *lost;     /* what happened to the file; NULL: nothing */
    int fd;               /* fixed, as is what follows */
    int lock_fd;          /* of "<path>.lock", or -1 */
    pid_t owner;          /* a child after fork may not write */
    unsigned keepers;     /* atomic */
    char path[];          /* absolute */
};

/* ---- kinds ---- */

/* How the first line of a kind begins. Files of version 0.1.0 do not name
 * their kind; there a moment stands between two texts. */
struct cce_append_kind {
    const char *name, *begins;
    const char *before_moment, *after_moment;
    bool has_lock_file;
};

static const struct cce_append_kind kinds[] = {
    {"run journal", "{\"file\":\"lua-cce run journal\",", "{\"at\":\"",
     "\",\"what\":\"run\",", true},
    {"audit log", "{\"file\":\"lua-cce audit log\",", "{\"n\":1,\"at\":\"",
     "\",\"operation\":\"", false},
    {"schedule export", "{\"schedule\":", "{\"exported\":\"",
     "\",\"schedule\":", false},
};

const struct cce_append_kind *cce_append_kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

static bool skip(const char **text, const char *expected)
{
    size_t length = strlen(expected);

    if (strncmp(*text, expected, length) != 0)
        return false;
    *text += length;
    return true;
}

static bool is_of_kind(const struct cce_append_kind *kind, const char *line)
{
    static const char moment[] = "0000-00-00T00:00:00Z"; /* 0: any digit */
    const char *old = line;

    if (strncmp(line, kind->begins, strlen(kind->begins)) == 0)
        return true;
    if (!skip(&old, kind->before_moment))
        return false;
    for (const char *each = moment; *each != '\0'; each++, old++)
        if (*each == '0' ? *old < '0' || *old > '9' : *old != *each)
            return false;
    return skip(&old, kind->after_moment);
}

/* ---- what a file is ---- */

/* 1: the first line is whole; 0: it has no end; -1: errno says. */
static int is_first_line_whole(int fd)
{
    char block[BLOCK];
    ssize_t count;

    for (off_t at = 0; at < LONGEST_FIRST_LINE; at += count) {
        count = pread(fd, block, sizeof block, at);
        if (count <= 0)
            return (int)count;
        if (memchr(block, '\n', (size_t)count) != NULL)
            return 1;
    }
    return 0;
}

/* Only reads. An empty file may become one of any kind. */
static int check_kind(int fd, const char *path,
                      const struct cce_append_kind *kind, struct cce_error *err)
{
    char begins[256] = "";
    ssize_t count = pread(fd, begins, sizeof begins - 1, 0);
    int whole = count > 0 ? is_first_line_whole(fd) : 0;

    if (count < 0 || whole < 0)
        return cce_path_fail_step(err, "open", path, "reading it", errno);
    if (count == 0)
        return 0;
    if (!is_of_kind(kind, begins))
        return cce_fail(err, CCE_FILE_ERROR,
                        "'%s' is not a%s %s: its first line does not say so; "
                        "it is left as it is",
                        cce_path_shown(path), kind->name[0] == 'a' ? "n" : "",
                        kind->name);
    if (whole == 0)
        return cce_fail(err, CCE_FILE_ERROR,
                        "'%s' has no complete first line, so it cannot be "
                        "told whether it is a%s %s; it is left as it is",
                        cce_path_shown(path), kind->name[0] == 'a' ? "n" : "",
                        kind->name);
    return 0;
}

/* Opens a file that is there, and is what it should be. */
static int open_known(const struct cce_path *target, const char *path,
                      const struct cce_append_kind *kind, struct cce_error *err)
{
    struct stat info;
    int fd = cce_path_open(target, "open", path, O_RDWR, &info, err);

    if (fd < 0)
        return -1;
    if ((info.st_mode & S_IWOTH) != 0 && info.st_uid != geteuid())
        cce_fail(err, CCE_FILE_ERROR,
                 "cannot open '%s': it belongs to user %ld, and everybody "
                 "may write to it (mode %04o)",
                 cce_path_shown(path), (long)info.st_uid,
                 (unsigned)(info.st_mode & 07777));
    else if (check_kind(fd, path, kind, err) == 0)
        return fd;
    cce_path_close(&fd);
    return -1;
}

/* ---- locks ---- */

static int lock_file(int fd, const char *path, struct cce_error *err)
{
    int result;

    do
        result = flock(fd, LOCK_EX | LOCK_NB);
    while (result != 0 && errno == EINTR);
    if (result == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return cce_fail(err, CCE_CONFLICT, "'%s' is in use by another process",
                        cce_path_shown(path));
    return cce_path_fail_step(err, "lock", path, "", errno);
}

static int open_lock_file(const struct cce_path *target, const char *path,
                          struct cce_error *err)
{
    struct cce_path beside = *target;
    struct stat info;
    int fd;

    if (strlen(target->path) + sizeof ".lock" > sizeof beside.path)
        return cce_path_fail_step(err, "lock", path, "", ENAMETOOLONG);
    memcpy(beside.path + strlen(target->path), ".lock", sizeof ".lock");
    beside.name = beside.path + (target->name - target->path);
    fd = cce_path_open(&beside, "lock with", beside.path, O_RDWR | O_CREAT,
                       &info, err);
    if (fd >= 0 && lock_file(fd, path, err) != 0)
        cce_path_close(&fd);
    return fd;
}

/* ---- opening ---- */

/* Where the last whole line ends, looking backwards. -1: it cannot be read;
 * -2: what follows it is too long for a line. */
static off_t end_of_lines(int fd, off_t size)
{
    char block[BLOCK];
    off_t end = size;

    while (end > 0) {
        size_t length = end < BLOCK ? (size_t)end : BLOCK;
        off_t start = end - (off_t)length;
        const char *line_end;

        if (size - end > LONGEST_TORN_LINE)
            return -2;
        if (pread(fd, block, length, start) != (ssize_t)length)
            return -1;
        line_end = memrchr(block, '\n', length);
        if (line_end != NULL)
            return start + (line_end - block) + 1;
        end = start;
    }
    return 0;
}

/* A line without an end was never acknowledged: nothing followed from it. The
 * size is asked for under the lock: until then another holder appends. */
static int cut_torn_line(struct cce_append_file *file, struct cce_error *err)
{
    struct stat info;
    off_t end;

    if (fstat(file->fd, &info) != 0)
        return cce_path_fail_step(err, "look at", file->path, "", errno);
    end = end_of_lines(file->fd, info.st_size);
    if (end == -2)
        return cce_path_fail(err, "open", file->path,
                             "its last line has no end, and is longer than "
                             "any of ours");
    if (end < 0)
        return cce_path_fail_step(err, "read", file->path, "", errno);
    if (end < info.st_size && ftruncate(file->fd, end) != 0)
        return cce_path_fail_step(err, "shorten", file->path, "", errno);
    file->size = end;
    return 0;
}

static bool is_missing(const struct cce_path *target)
{
    struct stat info;

    return fstatat(target->dir, target->name, &info, AT_SYMLINK_NOFOLLOW) !=
               0 &&
           errno == ENOENT;
}

/* One try: 1: it is open, locked, and what the name leads to; 0: another
 * process replaced it meanwhile; -1: *err says why. Nothing is made beside a
 * file that is not ours. */
static int try_open(struct cce_append_file *file, const struct cce_path *target,
                    const struct cce_append_kind *kind, struct cce_error *err)
{
    struct stat info;

    if (!is_missing(target)) {
        file->fd = open_known(target, file->path, kind, err);
        /* It may have been removed since the look. */
        if (file->fd < 0)
            return is_missing(target) ? 0 : -1;
    }
    if (kind->has_lock_file && file->lock_fd < 0) {
        file->lock_fd = open_lock_file(target, file->path, err);
        if (file->lock_fd < 0)
            return -1;
    }
    if (file->fd < 0) {
        file->fd = cce_path_openat(target->dir, target->name,
                                   O_RDWR | O_CREAT | O_EXCL, 0600);
        if (file->fd < 0)
            return errno == EEXIST
                       ? 0
                       : cce_path_fail_step(err, "open", file->path, "", errno);
    }
    if (lock_file(file->fd, file->path, err) != 0)
        return -1;
    if (fstat(file->fd, &info) != 0)
        return cce_path_fail_step(err, "look at", file->path, "", errno);
    return cce_path_is_named(target->dir, target->name, &info);
}

static void discard(struct cce_append_file *file)
{
    cce_path_close(&file->fd);
    cce_path_close(&file->lock_fd);
    free(file);
}

/* NULL: no memory. */
static struct cce_append_file *new_file(const char *path)
{
    char directory[PATH_MAX] = "";
    struct cce_append_file *file;
    size_t size;

    /* A process may change its directory while the file is open. */
    if (path[0] != '/' && getcwd(directory, sizeof directory) == NULL)
        directory[0] = '\0';
    size = strlen(directory) + 1 + strlen(path) + 1;
    file = calloc(1, sizeof *file + size);
    if (file == NULL)
        return NULL;
    snprintf(file->path, size, "%s%s%s", directory,
             directory[0] == '\0' ? "" : "/", path);
    pthread_mutex_init(&file->lock, NULL);
    file->fd = file->lock_fd = -1;
    file->owner = getpid();
    file->keepers = 1;
    return file;
}

int cce_append_file_open(struct cce_append_file **result, const char *path,
                         const struct cce_append_kind *kind,
                         struct cce_error *err)
{
    struct cce_path target;
    struct cce_append_file *file;
    int opened = 0;

    *result = NULL;
    if (cce_path_resolve(&target, "open", path, err) != 0)
        return -1;
    file = new_file(path);
    if (file == NULL) {
        cce_fail_memory(err);
        goto done;
    }
    if (target.is_descriptor) {
        cce_path_fail(err, "open", file->path,
                      "it is an open descriptor, not a file");
        goto done;
    }
    for (int i = 0; i < MAX_ATTEMPTS && opened == 0; i++) {
        opened = try_open(file, &target, kind, err);
        if (opened == 0)
            cce_path_close(&file->fd);
    }
    if (opened == 0)
        cce_fail(err, CCE_CONFLICT, "'%s' is being replaced by others",
                 cce_path_shown(file->path));

    /* The kind is asked again once the file is locked: another process may have
     * written meanwhile. The name of a new file must survive a power cut. */
    if (opened <= 0 || check_kind(file->fd, file->path, kind, err) != 0 ||
        cut_torn_line(file, err) != 0)
        goto done;
    if (cce_path_sync_directory(target.dir) == 0)
        *result = file;
    else
        cce_path_fail_step(err, "sync the directory of", path, "", errno);

done:
    cce_path_close(&target.dir);
    if (*result == NULL && file != NULL)
        discard(file);
    return *result == NULL ? -1 : 0;
}

/* ---- whether it is still there ---- */

/* Sets file->lost to what happened since the last line; a lost file is never
 * written to again. -1: it is not known. */
static int look(struct cce_append_file *file, struct cce_error *err)
{
    struct stat open, named;

    if (fstat(file->fd, &open) != 0)
        return cce_path_fail_step(err, "look at", file->path, "", errno);
    if (stat(file->path, &named) == 0) {
        if (open.st_dev != named.st_dev || open.st_ino != named.st_ino)
            file->lost = "replaced";
    } else if (errno == ENOENT || errno == ENOTDIR)
        file->lost = open.st_nlink == 0 ? "removed" : "renamed";
    else
        return cce_path_fail_step(err, "look at", file->path, "", errno);
    if (file->lost == NULL && open.st_size < file->size)
        file->lost = "shortened";
    else if (file->lost == NULL && open.st_size > file->size && !file->has_rest)
        file->lost = "written to by others";
    return 0;
}

static int check_place(struct cce_append_file *file, struct cce_error *err)
{
    if (file->lost == NULL && look(file, err) != 0)
        return -1;
    if (file->lost == NULL)
        return 0;
    return cce_fail(err, CCE_FILE_ERROR, "'%s' was %s while it was open",
                    cce_path_shown(file->path), file->lost);
}

const char *cce_append_file_lost(struct cce_append_file *file,
                                 char now[PATH_MAX])
{
    char link[64];
    const char *lost;
    ssize_t length;
    struct stat info;

    now[0] = '\0';
    if (file->owner != getpid())
        return NULL;
    pthread_mutex_lock(&file->lock);
    lost = file->lost;
    pthread_mutex_unlock(&file->lock);
    if (lost == NULL || fstat(file->fd, &info) != 0 || info.st_nlink == 0)
        return lost;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file->fd);
    length = readlink(link, now, PATH_MAX - 1);
    now[length > 0 ? length : 0] = '\0';
    return lost;
}

/* ---- appending ---- */

static bool is_inherited(const struct cce_append_file *file)
{
    return file->owner != getpid();
}

static int check_owner(const struct cce_append_file *file,
                       struct cce_error *err)
{
    if (!is_inherited(file))
        return 0;
    return cce_fail(err, CCE_UNSUPPORTED,
                    "'%s' was opened by process %ld; a child after fork must "
                    "not write to it",
                    file->path, (long)file->owner);
}

static int append(struct cce_append_file *file, const void *lines,
                  size_t length, bool sync, struct cce_error *err)
{
    struct iovec parts[2] = {{(void *)lines, length}, {(void *)"\n", 1}};
    ssize_t written;
    int problem;

    if (check_place(file, err) != 0)
        return -1;
    do
        written = pwritev(file->fd, parts, 2, file->size);
    while (written < 0 && errno == EINTR);
    if (written == (ssize_t)length + 1 &&
        (!sync || cce_path_sync(file->fd, fdatasync) == 0)) {
        file->size += written;
        file->has_rest = false;
        return 0;
    }

    /* A part may have been written. It is cut off, so that it is never read as
     * a line: the caller takes all of it for not written. */
    problem = written < 0 || written == (ssize_t)length + 1 ? errno : ENOSPC;
    file->has_rest = ftruncate(file->fd, file->size) != 0;
    if (file->has_rest)
        problem = errno;
    return cce_path_fail_step(err, "append to", file->path, "", problem);
}

int cce_append_file_append(struct cce_append_file *file, const void *lines,
                           size_t length, bool sync, struct cce_error *err)
{
    int result;

    if (check_owner(file, err) != 0)
        return -1;
    pthread_mutex_lock(&file->lock);
    result = append(file, lines, length, sync, err);
    pthread_mutex_unlock(&file->lock);
    return result;
}

static int reserve(struct cce_append_file *file, size_t bytes,
                   struct cce_error *err)
{
    struct rlimit limit;
    int result;

    if (check_place(file, err) != 0)
        return -1;
    /* fallocate does not heed the limit on the size of files (ulimit -f). That
     * there is none is a number, too, and the largest. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
        (rlim_t)file->size + bytes > limit.rlim_cur)
        return cce_path_fail_step(err, "reserve room in", file->path, "",
                                  EFBIG);
    do
        result =
            fallocate(file->fd, FALLOC_FL_KEEP_SIZE, file->size, (off_t)bytes);
    while (result != 0 && errno == EINTR);
    /* A file system that cannot reserve is no reason not to write. */
    if (result == 0 || errno == EOPNOTSUPP)
        return 0;
    return cce_path_fail_step(err, "reserve room in", file->path, "", errno);
}

int cce_append_file_reserve(struct cce_append_file *file, size_t bytes,
                            struct cce_error *err)
{
    int result;

    if (check_owner(file, err) != 0)
        return -1;
    pthread_mutex_lock(&file->lock);
    result = reserve(file, bytes, err);
    pthread_mutex_unlock(&file->lock);
    return result;
}

/* ---- its life ---- */

size_t cce_append_file_size(struct cce_append_file *file)
{
    size_t size;

    /* The fork may have caught another thread with the lock. */
    if (is_inherited(file))
        return (size_t)file->size;
    pthread_mutex_lock(&file->lock);
    size = (size_t)file->size;
    pthread_mutex_unlock(&file->lock);
    return size;
}

struct cce_append_file *cce_append_file_keep(struct cce_append_file *file)
{
    __atomic_add_fetch(&file->keepers, 1, __ATOMIC_RELAXED);
    return file;
}

void cce_append_file_free(struct cce_append_file *file)
{
    struct stat info;

    if (file == NULL ||
        __atomic_sub_fetch(&file->keepers, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (!is_inherited(file)) {
        /* Shortening a file to its own size frees the room that was reserved
         * beyond its end. What other processes did to the file stays
         * as it is. */
        if (fstat(file->fd, &info) == 0 &&
            (info.st_size == file->size || file->has_rest) &&
            ftruncate(file->fd, file->size) != 0)
            errno = 0; /* then the room stays reserved */
        /* The locks would stay as long as a child after fork has the
         * descriptors. */
        flock(file->fd, LOCK_UN);
        if (file->lock_fd >= 0)
            flock(file->lock_fd, LOCK_UN);
        pthread_mutex_destroy(&file->lock);
    }
    discard(file);
}
