/*
 * append_file: what happens between two steps of its own, and when one of them
 * fails. The system calls here stand before the C library's, so that another
 * holder can come, or a signal, just then.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "os/file/append_file.h"
#include "os/file/file.h"
#include "os/file/secret_file.h"

#define FIRST "{\"schedule\":1}"

static char directory[256], path[300];
static const char *late_lines; /* what another holder adds before we lock */
static int removals;           /* how often others remove a file before that */
static bool late_fifo;         /* others make one right before we would */
static bool late_removal;      /* others remove it before we open it */
static bool is_noisy;          /* a signal ends every other call */
static bool is_full;           /* no room for the last byte of a line */
static int interruptions;

static void add_lines(const char *lines)
{
    int fd = open(path, O_WRONLY | O_APPEND);

    CHECK(fd >= 0);
    CHECK(write(fd, lines, strlen(lines)) == (ssize_t)strlen(lines));
    close(fd);
}

static int is_interrupted(void)
{
    static bool now;

    now = is_noisy && !now;
    interruptions += now;
    errno = now ? EINTR : errno;
    return now;
}

/* The call that fails, after so many that do not. */
static const char *failing;
static int skipped, failing_errno;
static bool has_failed;

static int is_failing(const char *call)
{
    if (failing == NULL || strcmp(call, failing) != 0 || skipped-- != 0)
        return 0;
    has_failed = true;
    errno = failing_errno;
    return 1;
}

static void fail_call(const char *call, int after, int error)
{
    failing = call;
    skipped = after;
    failing_errno = error;
    has_failed = false;
}

int fstat(int fd, struct stat *info)
{
    return is_failing("fstat") ? -1 : fstatat(fd, "", info, AT_EMPTY_PATH);
}

int stat(const char *name, struct stat *info)
{
    return is_failing("stat") ? -1 : fstatat(AT_FDCWD, name, info, 0);
}

int openat(int dir, const char *name, int flags, ...)
{
    va_list arguments;
    mode_t mode = 0;

    va_start(arguments, flags);
    if ((flags & O_CREAT) != 0)
        mode = va_arg(arguments, mode_t);
    va_end(arguments);
    /* What is made is its owner's alone from the first. */
    CHECK((flags & O_CREAT) == 0 || mode == 0600);
    if (late_fifo && (flags & O_CREAT) != 0)
        late_fifo = mkfifo(path, 0600) != 0;
    if (late_removal && (flags & O_ACCMODE) == O_RDWR)
        late_removal = unlink(path) != 0;
    return is_interrupted() || is_failing("openat")
               ? -1
               : (int)syscall(SYS_openat, dir, name, flags, mode);
}

ssize_t read(int fd, void *bytes, size_t size)
{
    return is_interrupted() || is_failing("read")
               ? -1
               : syscall(SYS_read, fd, bytes, size);
}

ssize_t pread(int fd, void *bytes, size_t size, off_t from)
{
    return is_failing("pread") ? -1
                               : syscall(SYS_pread64, fd, bytes, size, from);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t from)
{
    return is_interrupted() || is_failing("pwritev")
               ? -1
               : syscall(SYS_pwritev, fd, parts, (long)count - is_full,
                         (long)from, 0L);
}

int ftruncate(int fd, off_t size)
{
    return is_failing("ftruncate") ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

/* Others leave the lock files. */
static void remove_named(int fd)
{
    char link[64], name[PATH_MAX];
    ssize_t length;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, name, sizeof name - 1);
    CHECK(length > 0);
    name[length] = '\0';
    if (strstr(name, ".lock") == NULL) {
        removals--;
        unlink(name);
    }
}

int flock(int fd, int operation)
{
    if (operation != LOCK_UN && (is_interrupted() || is_failing("flock")))
        return -1;
    if (operation != LOCK_UN && removals > 0)
        remove_named(fd);
    if (late_lines != NULL && operation != LOCK_UN)
        add_lines(late_lines);
    late_lines = NULL;
    return (int)syscall(SYS_flock, fd, operation);
}

int fallocate(int fd, int mode, off_t from, off_t length)
{
    if (is_interrupted() || is_failing("fallocate"))
        return -1;
    return (int)syscall(SYS_fallocate, fd, mode, from, length);
}

int fsync(int fd)
{
    return is_interrupted() || is_failing("fsync")
               ? -1
               : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return is_interrupted() || is_failing("fdatasync")
               ? -1
               : (int)syscall(SYS_fdatasync, fd);
}

static void check_text(const char *expected)
{
    char text[256] = "";
    int fd = open(path, O_RDONLY);
    ssize_t length = read(fd, text, sizeof text - 1);

    close(fd);
    CHECK(length == (ssize_t)strlen(expected));
    CHECK(strcmp(text, expected) == 0);
}

static void remove_lock_file(void)
{
    char lock[sizeof path + sizeof ".lock"];

    snprintf(lock, sizeof lock, "%s.lock", path);
    unlink(lock);
}

static int count_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static const char *const kinds[] = {"run journal", "audit log",
                                    "schedule export"};

static const struct cce_append_kind *kind(void)
{
    return cce_append_kind_find("schedule export");
}

/* Read it as a secret, of each kind. */
static int use_secret(struct cce_error *err)
{
    struct cce_secret secret = {0};
    int result = cce_secret_from_file(&secret, path, err);

    cce_secret_cleanup(&secret);
    if (result == 0)
        result = cce_secret_from_private_file(&secret, path, err);
    cce_secret_cleanup(&secret);
    return result;
}

static struct cce_append_file *open_journal(void)
{
    struct cce_append_file *journal;
    struct cce_error err;

    CHECK(cce_append_file_open(&journal, path, kind(), &err) == 0);
    return journal;
}

static void append(struct cce_append_file *journal, const char *line)
{
    struct cce_error err;

    CHECK(cce_append_file_append(journal, line, strlen(line), true, &err) == 0);
}

/* Whoever held the journal until we got the lock has appended. */
static void check_lines_of_another_holder(void)
{
    struct cce_append_file *journal = open_journal();

    append(journal, FIRST);
    cce_append_file_free(journal);
    late_lines = "two\nthree\nto";
    journal = open_journal();
    CHECK(cce_append_file_size(journal) == strlen(FIRST "\ntwo\nthree\n"));
    append(journal, "four");
    cce_append_file_free(journal);
    check_text(FIRST "\ntwo\nthree\nfour\n");
}

static void refuse(const char *name, enum cce_status status, const char *why)
{
    struct cce_append_file *file;
    struct cce_error err;

    CHECK(cce_append_file_open(&file, name, kind(), &err) != 0);
    CHECK(err.code == status);
    if (strstr(err.message, why) == NULL)
        fprintf(stderr, "\"%s\" does not say \"%s\"\n", err.message, why);
    CHECK(strstr(err.message, why) != NULL);
}

/* What others put there, or take away, between two steps. */
static void check_races(void)
{
    char descriptor[32];
    int fd, before = count_descriptors();
    struct cce_error err;

    unlink(path);
    late_lines = "hello\n";
    refuse(path, CCE_FILE_ERROR, "its first line does not say so");
    check_text("hello\n");
    unlink(path);
    late_fifo = true;
    refuse(path, CCE_FILE_ERROR, "it is not a regular file");
    unlink(path);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct cce_append_file *file;

        removals = 1;
        CHECK(cce_append_file_open(&file, path, cce_append_kind_find(kinds[i]),
                                   &err) == 0);
        cce_append_file_free(file);
        check_text("");
        CHECK(count_descriptors() == before);
        remove_lock_file();
    }
    removals = 1;
    CHECK(cce_file_write(path, "x", 1, 0600, &err) == 0 && removals == 0);
    check_text("x");
    late_removal = true;
    cce_append_file_free(open_journal());
    CHECK(!late_removal);
    check_text("");
    removals = 1000;
    refuse(path, CCE_CONFLICT, "is being replaced by others");
    CHECK(removals > 0);
    removals = 0;
    unlink(path);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    snprintf(descriptor, sizeof descriptor, "/proc/self/fd/%d", fd);
    refuse(descriptor, CCE_FILE_ERROR, "it is an open descriptor");
    close(fd);
}

static void check_interruptions(void)
{
    struct cce_append_file *journal;
    struct cce_file_lock lock;
    const struct cce_file_lock_options options = {.kubectl = true};
    struct cce_error err;

    unlink(path);
    is_noisy = true;
    journal = open_journal();
    CHECK(cce_append_file_reserve(journal, 4096, &err) == 0);
    append(journal, FIRST);
    cce_append_file_free(journal);
    CHECK(use_secret(&err) == 0);
    CHECK(cce_file_lock(&lock, path, &options, &err) == 0);
    cce_file_unlock(&lock);
    CHECK(cce_file_write(path, "x", 1, 0600, &err) == 0);
    is_noisy = false;
    CHECK(interruptions > 20);
    check_text("x");
    unlink(path);
}

/* A child after fork has the descriptors, and keeps them. */
static void check_lock_after_fork(void)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const struct cce_append_kind *each = cce_append_kind_find(kinds[i]);
        struct cce_append_file *journal;
        struct cce_error err;
        int gate[2];
        char byte;
        pid_t child;

        unlink(path);
        CHECK(cce_append_file_open(&journal, path, each, &err) == 0);
        CHECK(pipe(gate) == 0);
        child = fork();
        if (child == 0) {
            close(gate[1]);
            _exit(read(gate[0], &byte, 1) == 0 ? 0 : 1);
        }
        close(gate[0]);
        cce_append_file_free(journal);
        CHECK(cce_append_file_open(&journal, path, each, &err) == 0);
        cce_append_file_free(journal);
        close(gate[1]);
        CHECK(waitpid(child, NULL, 0) == child);
        remove_lock_file();
    }
}

/* What became of it only the one that writes asks. */
static void check_loss_after_fork(void)
{
    struct cce_append_file *journal = open_journal();
    struct cce_error err;
    char now[PATH_MAX];
    pid_t child;
    int status;

    unlink(path);
    CHECK(cce_append_file_append(journal, "x", 1, true, &err) != 0);
    CHECK(strcmp(cce_append_file_lost(journal, now), "removed") == 0);
    CHECK(now[0] == '\0');
    child = fork();
    if (child == 0)
        _exit(cce_append_file_lost(journal, now) == NULL ? 0 : 1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    cce_append_file_free(journal);
}

/* It is open as long as anybody keeps it. */
static void check_keepers(void)
{
    struct cce_append_file *journal, *kept;

    unlink(path);
    journal = open_journal();
    kept = cce_append_file_keep(journal);
    cce_append_file_free(journal);
    append(kept, FIRST);
    cce_append_file_free(kept);
    check_text(FIRST "\n");
}

/* Two processes would write over each other's lines. */
static void check_writing_after_fork(void)
{
    struct cce_append_file *journal;
    struct cce_error err;
    pid_t child;
    int status;

    unlink(path);
    journal = open_journal();
    append(journal, FIRST);
    child = fork();
    if (child == 0)
        _exit(cce_append_file_append(journal, "x", 1, true, &err) != 0 &&
                      err.code == CCE_UNSUPPORTED &&
                      cce_append_file_reserve(journal, 1, &err) != 0 &&
                      err.code == CCE_UNSUPPORTED
                  ? 0
                  : 1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    append(journal, "two");
    cce_append_file_free(journal);
    check_text(FIRST "\ntwo\n");
}

/* But a child that lets go of it does not unlock it. */
static void check_lock_of_parent(void)
{
    struct cce_append_file *journal = open_journal(), *second;
    struct cce_error err;
    pid_t child = fork();

    if (child == 0) {
        cce_append_file_free(journal);
        _exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(cce_append_file_open(&second, path, kind(), &err) != 0);
    CHECK(err.code == CCE_CONFLICT);
    cce_append_file_free(journal);
}

/* Where another user may only go through the directory, its own file there is
 * still its own; root alone can try that. */
static void check_directory_to_go_through(void)
{
    struct cce_append_file *file;
    struct cce_error err;
    pid_t child;
    int status;

    if (geteuid() != 0)
        return;
    unlink(path);
    cce_append_file_free(open_journal());
    CHECK(chown(path, 65534, 65534) == 0 && chmod(directory, 0711) == 0);
    child = fork();
    if (child == 0) {
        CHECK(setgid(65534) == 0 && setuid(65534) == 0);
        file = open_journal();
        append(file, FIRST);
        cce_append_file_free(file);
        path[strlen(path) - 1] = 'X';
        CHECK(cce_append_file_open(&file, path, kind(), &err) != 0);
        CHECK(strstr(err.message, strerror(EACCES)) != NULL);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    check_text(FIRST "\n");
}

/* Where everybody may put files, one's own and root's are used, and no
 * other's. */
static void check_who_prepared_it(void)
{
    static const uid_t owners[] = {65534, 0, 65533};

    if (geteuid() != 0)
        return;
    CHECK(chmod(directory, 01777) == 0);
    for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++) {
        pid_t child;
        int status;

        unlink(path);
        close(open(path, O_WRONLY | O_CREAT, 0644));
        add_lines("not-a-real-key");
        CHECK(chown(path, owners[i], owners[i]) == 0);
        child = fork();
        if (child == 0) {
            struct cce_buf text;
            struct cce_error err;

            cce_buf_init(&text, 100);
            CHECK(setgid(65534) == 0 && setuid(65534) == 0);
            CHECK((cce_file_read(path, &text, &err) == 0) == (i < 2));
            /* Others may read it; but what is one's own may be a key. */
            CHECK(use_secret(&err) != 0);
            if (i == 0)
                CHECK(chmod(path, 0600) == 0 && use_secret(&err) == 0);
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
}

/* Open it, which cuts off a torn line; reserve, append and read. */
static int use_file(struct cce_error *err)
{
    struct cce_append_file *file;
    const char *call = failing;
    struct cce_buf text;
    int result = -1;

    if (cce_append_file_open(&file, path, kind(), err) != 0)
        return -1;
    if (cce_append_file_reserve(file, 4096, err) == 0 &&
        cce_append_file_append(file, "two", 3, true, err) == 0)
        result = 0;
    failing = NULL; /* to give back what was reserved is no promise */
    cce_append_file_free(file);
    failing = call;
    if (result != 0)
        return -1;
    cce_buf_init(&text, 100);
    result = cce_file_read(path, &text, err);
    cce_buf_cleanup(&text);
    return result;
}

/* What fails is told, with its reason, and nothing counts as written then. */
static void check_failures(int (*use)(struct cce_error *err), int least)
{
    static const char *const calls[] = {
        "fstat", "stat",  "openat",    "read",      "pread",    "pwritev",
        "flock", "fsync", "fdatasync", "fallocate", "ftruncate"};
    int failures = 0;

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        for (int nth = 0;; nth++) {
            struct cce_error err;
            int result;

            unlink(path);
            close(open(path, O_WRONLY | O_CREAT, 0600));
            add_lines(FIRST "\nto");
            fail_call(calls[i], nth, EIO);
            result = use(&err);
            failing = NULL;
            if (!has_failed)
                break;
            failures++;
            if (result == 0 || strstr(err.message, strerror(EIO)) == NULL) {
                fprintf(stderr, "%s %d failed: %s\n", calls[i], nth,
                        result == 0 ? "nobody said so" : err.message);
                exit(1);
            }
        }
    CHECK(failures >= least);
}

/* A file system may have no way to reserve room: then it is written without. */
static void check_without_room(void)
{
    struct cce_error err;

    unlink(path);
    fail_call("fallocate", 0, EOPNOTSUPP);
    CHECK(use_file(&err) == 0 && has_failed);
    failing = NULL;
}

/* What could not be cut off is written over by the next line; once it was cut
 * off, what is there is others'. */
static void check_half_line(void)
{
    struct cce_append_file *file;
    struct cce_error err;

    unlink(path);
    file = open_journal();
    append(file, FIRST);
    is_full = true;
    fail_call("ftruncate", 0, EIO);
    CHECK(cce_append_file_append(file, "half", 4, true, &err) != 0);
    CHECK(strstr(err.message, strerror(EIO)) != NULL);
    is_full = false;
    failing = NULL;
    append(file, "two");
    is_full = true;
    CHECK(cce_append_file_append(file, "half", 4, true, &err) != 0);
    CHECK(strstr(err.message, strerror(ENOSPC)) != NULL);
    is_full = false;
    check_text(FIRST "\ntwo\n");
    add_lines("another's\n");
    CHECK(cce_append_file_append(file, "three", 5, true, &err) != 0);
    CHECK(strstr(err.message, "written to by others") != NULL);
    cce_append_file_free(file);
    check_text(FIRST "\ntwo\nanother's\n");
}

/* A name is one in the directory where it was opened. */
static void check_change_of_directory(void)
{
    struct cce_append_file *file;
    struct cce_error err;
    int here = open(".", O_PATH);

    unlink(path);
    CHECK(here >= 0 && chdir(directory) == 0);
    CHECK(cce_append_file_open(&file, "lines", kind(), &err) == 0);
    CHECK(fchdir(here) == 0);
    append(file, FIRST);
    cce_append_file_free(file);
    check_text(FIRST "\n");
    close(here);
}

static void check_descriptors(void)
{
    int before = count_descriptors();

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const struct cce_append_kind *each = cce_append_kind_find(kinds[i]);
        struct cce_append_file *file;
        struct cce_error err;

        unlink(path);
        CHECK(cce_append_file_open(&file, path, each, &err) == 0);
        cce_append_file_free(file);
        CHECK(count_descriptors() == before);
        add_lines("what somebody else wrote\n");
        CHECK(cce_append_file_open(&file, path, each, &err) != 0);
        CHECK(count_descriptors() == before);
        remove_lock_file();
    }
}

int main(void)
{
    const char *place = getenv("TMPDIR");

    snprintf(directory, sizeof directory, "%s/cce-journal-test-XXXXXX",
             place != NULL ? place : "/tmp");
    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/lines", directory);
    check_lines_of_another_holder();
    check_races();
    check_interruptions();
    check_lock_after_fork();
    check_keepers();
    check_writing_after_fork();
    check_loss_after_fork();
    check_lock_of_parent();
    check_directory_to_go_through();
    check_who_prepared_it();
    CHECK(chmod(directory, 0700) == 0);
    check_failures(use_file, 20);
    check_failures(use_secret, 6);
    check_without_room();
    check_half_line();
    check_change_of_directory();
    check_descriptors();
    unlink(path);
    rmdir(directory);
    return 0;
}
