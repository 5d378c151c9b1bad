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

#define PLACE  "/tmp"
#define PREFIX "lua-cce-"
#define RANDOM "XXXXXX"
#define SOCKET "engine"

enum { BACKLOG = 1024, STALE_SECONDS = 60 };

static int fail_errno(struct cce_error *err, const char *what)
{
    return cce_fail(err, CCE_UNSUPPORTED,
                    "cannot start the engine's thread: %s: %s", what,
                    strerror(errno));
}

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

int cce_listener_open(struct cce_listener *listener, struct cce_error *err)
{
    snprintf(listener->directory, sizeof listener->directory, "%s",
             PLACE "/" PREFIX RANDOM);
    if (mkdtemp(listener->directory) == NULL) {
        listener->directory[0] = '\0';
        return fail_errno(err, "a directory in " PLACE);
    }
    snprintf(listener->path, sizeof listener->path, "%s/%s",
             listener->directory, SOCKET);
    listener->fd = new_socket();
    if (listener->fd < 0 || use_path(listener->fd, listener->path, bind) != 0 ||
        listen(listener->fd, BACKLOG) != 0)
        return fail_errno(err, listener->path);
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

static bool has_our_name(const char *name)
{
    return strlen(name) == strlen(PREFIX RANDOM) &&
           strncmp(name, PREFIX, strlen(PREFIX)) == 0;
}

static bool is_old_and_ours(int fd)
{
    struct stat info;

    return fstat(fd, &info) == 0 && info.st_uid == geteuid() &&
           (info.st_mode & 07777) == 0700 &&
           time(NULL) - info.st_mtime > STALE_SECONDS;
}

/* Only a socket that nobody listens at refuses; the queue of one that is alive
 * may be full, which is another error. */
static bool is_deserted(const char *name)
{
    char path[sizeof PLACE PREFIX RANDOM SOCKET + 2];
    int fd = new_socket();
    bool refused;

    if (fd < 0)
        return false;
    snprintf(path, sizeof path, "%s/%.*s/%s", PLACE, (int)strlen(PREFIX RANDOM),
             name, SOCKET);
    refused = use_path(fd, path, connect) != 0 &&
              (errno == ECONNREFUSED || errno == ENOENT);
    close(fd);
    return refused;
}

/* Nobody but this user and root can put anything else into the name's place:
 * the directory is the user's own, and /tmp lets no other rename it. */
static void remove_if_stale(int place, const char *name)
{
    int fd =
        openat(place, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat info;

    if (fd < 0)
        return;
    if (is_old_and_ours(fd) && is_deserted(name)) {
        if (fstatat(fd, SOCKET, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISSOCK(info.st_mode))
            unlinkat(fd, SOCKET, 0);
        unlinkat(place, name, AT_REMOVEDIR);
    }
    close(fd);
}

void cce_listener_sweep(void)
{
    DIR *place = opendir(PLACE);
    const struct dirent *entry;

    if (place == NULL)
        return;
    while ((entry = readdir(place)) != NULL)
        if (has_our_name(entry->d_name))
            remove_if_stale(dirfd(place), entry->d_name);
    closedir(place);
}
