#include "net/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool has_room(struct cce_sockets *sockets)
{
    size_t capacity = sockets->capacity * 2 + 16;
    struct cce_socket *open;

    if (sockets->count < sockets->capacity)
        return true;
    open = realloc(sockets->open, capacity * sizeof *open);
    if (open == NULL)
        return false;
    sockets->open = open;
    sockets->capacity = capacity;
    return true;
}

curl_socket_t cce_sockets_open(void *context, curlsocktype purpose,
                               struct curl_sockaddr *address)
{
    struct cce_sockets *sockets = context;
    curl_socket_t fd = socket(address->family, address->socktype | SOCK_CLOEXEC,
                              address->protocol);

    (void)purpose;
    if (fd < 0)
        return CURL_SOCKET_BAD;
    if (has_room(sockets))
        sockets->open[sockets->count++] = (struct cce_socket){.fd = fd};
    else
        sockets->is_incomplete = true;
    return fd;
}

int cce_sockets_close(void *context, curl_socket_t fd)
{
    struct cce_sockets *sockets = context;

    for (size_t i = 0; i < sockets->count; i++)
        if (sockets->open[i].fd == fd) {
            sockets->open[i] = sockets->open[--sockets->count];
            break;
        }
    return close(fd);
}

static int local_port_of(curl_socket_t fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        return 0;
    if (address.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&address)->sin_port);
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return 0;
}

/* Two sockets with the same local port lead to different places: then both
 * have to be quiet, as it is not known which one is meant. */
bool cce_sockets_is_quiet(struct cce_sockets *sockets, int local_port)
{
    bool found = false;
    char byte;

    if (sockets->is_incomplete)
        return false;
    for (size_t i = 0; i < sockets->count; i++) {
        struct cce_socket *socket = &sockets->open[i];

        if (socket->local_port == 0)
            socket->local_port = local_port_of(socket->fd);
        if (socket->local_port != local_port)
            continue;
        found = true;
        if (recv(socket->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
            (errno != EAGAIN && errno != EWOULDBLOCK))
            return false;
    }
    return found;
}

void cce_sockets_cleanup(struct cce_sockets *sockets)
{
    free(sockets->open);
    memset(sockets, 0, sizeof *sockets);
}
