#include "net/listener.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "lua-cce-"
#define RANDOM "XXXXXX"
#define SOCKET "engine"

enum { BACKLOG = 1024, STALE_SECONDS = 60 };

static int new_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Either of bind and connect. */
static int use_path(int fd, const char *path,
                    int (*use)(int fd, const struct sockaddr *address,
                               socklen_t length))
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return use(fd, (struct sockaddr *)&address, sizeof address);
}

void cce_listener_init(struct cce_listener *listener)
{
    memset(listener, 0, sizeof *listener);
    listener->fd = -1;
}

/* ---- where it is ---- */

/* Why a directory will not do, or NULL. */
static const char *place_problem(const char *place)
{
    struct stat info;

    if (place[0] != '/')
        return "it is no absolute path";
    if (strlen(place) > CCE_LISTENER_PLACE_MAX)
        return "it is too long for the path of a socket";
    if (stat(place, &info) != 0)
        return strerror(errno);
    if ((info.st_mode & S_IWOTH) != 0 && (info.st_mode & S_ISVTX) == 0)
        return "others may rename what is in it";
    return NULL;
}

static bool make_directory(struct cce_listener *listener, const char *place,
                           struct cce_error *problems)
{
    const char *problem = place_problem(place);
    char before[sizeof problems->message];

    if (problem == NULL) {
        snprintf(listener->directory, sizeof listener->directory, "%s/%s",
                 place, PREFIX RANDOM);
        if (mkdtemp(listener->directory) != NULL) {
            snprintf(listener->place, sizeof listener->place, "%s", place);
            return true;
        }
        problem = strerror(errno);
        listener->directory[0] = '\0';
    }
    memcpy(before, problems->message, sizeof before);
    snprintf(problems->message, sizeof problems->message, "%.200s%s%.100s: %s",
             before, before[0] == '\0' ? "" : "; ", place, problem);
    return false;
}

int cce_listener_open(struct cce_listener *listener, struct cce_error *err)
{
    const char *temporary = getenv("TMPDIR");
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct cce_error problems = {0};

    if (temporary == NULL || temporary[0] == '\0')
        temporary = "/tmp";
    if (!make_directory(listener, temporary, &problems) &&
        (runtime == NULL || runtime[0] == '\0' ||
         !make_directory(listener, runtime, &problems)))
        return cce_fail(err, CCE_UNSUPPORTED,
                        "cannot start the engine's thread: there is no place "
                        "for its socket (%.300s); set TMPDIR to a directory "
                        "that this process may write to, of at most %d bytes "
                        "(nginx: env TMPDIR=...;)",
                        problems.message, CCE_LISTENER_PLACE_MAX);

    snprintf(listener->path, sizeof listener->path, "%s/%s",
             listener->directory, SOCKET);
    listener->fd = new_socket();
    if (listener->fd < 0 || use_path(listener->fd, listener->path, bind) != 0 ||
        listen(listener->fd, BACKLOG) != 0)
        return cce_fail(err, CCE_UNSUPPORTED,
                        "cannot start the engine's thread: %s: %s",
                        listener->path, strerror(errno));
    return 0;
}

void cce_listener_close(struct cce_listener *listener)
{
    if (listener->fd >= 0)
        close(listener->fd);
    if (listener->directory[0] != '\0') {
        unlink(listener->path);
        rmdir(listener->directory);
    }
    cce_listener_init(listener);
}

/* ---- what killed processes left ---- */

/* Only a socket without a listener refuses; the queue of one that is alive may
 * be full, which is another error. */
static bool is_deserted(const char *place, const char *name)
{
    char path[CCE_LISTENER_PATH_MAX + 1];
    int fd = new_socket();
    bool refused;

    if (fd < 0)
        return false;
    snprintf(path, sizeof path, "%s/%.*s/%s", place, (int)strlen(PREFIX RANDOM),
             name, SOCKET);
    refused = use_path(fd, path, connect) != 0 &&
              (errno == ECONNREFUSED || errno == ENOENT);
    close(fd);
    return refused;
}

/* Only this user and root can put anything else into the name's place: the
 * directory is the user's own, and its place lets no other user rename it. */
static void remove_if_stale(const char *path, int place, const char *name)
{
    int fd =
        openat(place, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat info;

    if (fd < 0)
        return;
    if (fstat(fd, &info) == 0 && info.st_uid == geteuid() &&
        (info.st_mode & 07777) == 0700 &&
        time(NULL) - info.st_mtime > STALE_SECONDS && is_deserted(path, name)) {
        if (fstatat(fd, SOCKET, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISSOCK(info.st_mode))
            unlinkat(fd, SOCKET, 0);
        unlinkat(place, name, AT_REMOVEDIR);
    }
    close(fd);
}

void cce_listener_sweep(const struct cce_listener *listener)
{
    DIR *place = opendir(listener->place);
    const struct dirent *entry;

    if (place == NULL)
        return;
    while ((entry = readdir(place)) != NULL)
        if (strlen(entry->d_name) == strlen(PREFIX RANDOM) &&
            strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0)
            remove_if_stale(listener->place, dirfd(place), entry->d_name);
    closedir(place);
}
