/*
 * sockets: those that are closed are forgotten, and when one is quiet.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "net/sockets.h"

struct place {
    struct sockaddr_storage address;
    socklen_t length;
    int listener; /* -1: there is no such address here */
};

static int port_of(int fd)
{
    struct sockaddr_in6 address; /* the port lies where that of IPv4 does */
    socklen_t length = sizeof address;

    CHECK(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
    return ntohs(address.sin6_port);
}

static struct place listen_at(int family)
{
    struct place place = {.length = sizeof place.address};
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const struct sockaddr *wanted =
        family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;

    place.listener = socket(family, SOCK_STREAM, 0);
    if (bind(place.listener, wanted,
             family == AF_INET ? sizeof v4 : sizeof v6) != 0) {
        CHECK(family == AF_INET6);
        close(place.listener);
        place.listener = -1;
        return place;
    }
    CHECK(listen(place.listener, 1) == 0);
    CHECK(getsockname(place.listener, (struct sockaddr *)&place.address,
                      &place.length) == 0);
    return place;
}

static void check_forgetting(void)
{
    struct curl_sockaddr kind = {.family = AF_INET, .socktype = SOCK_STREAM};
    struct cce_sockets sockets = {0};

    for (int i = 0; i < 100; i++) {
        int fd = cce_sockets_open(&sockets, CURLSOCKTYPE_IPCXN, &kind);

        CHECK(fd >= 0 && sockets.count == 1);
        CHECK(cce_sockets_close(&sockets, fd) == 0 && sockets.count == 0);
    }
    cce_sockets_cleanup(&sockets);
}

/* A connection in `sockets`; its peer's end. */
static int connect_to(const struct place *place, struct cce_sockets *sockets,
                      int *fd)
{
    struct curl_sockaddr kind = {.family = place->address.ss_family,
                                 .socktype = SOCK_STREAM};

    *fd = cce_sockets_open(sockets, CURLSOCKTYPE_IPCXN, &kind);
    CHECK(connect(*fd, (const struct sockaddr *)&place->address,
                  place->length) == 0);
    return accept(place->listener, NULL, NULL);
}

static void check_quiet(int family)
{
    static const struct linger reset = {1, 0};
    struct cce_sockets sockets = {0};
    struct place place = listen_at(family);
    int fd, peer, port;
    char byte;

    if (place.listener < 0)
        return;
    peer = connect_to(&place, &sockets, &fd);
    port = port_of(fd);
    CHECK(cce_sockets_is_quiet(&sockets, port));
    CHECK(!cce_sockets_is_quiet(&sockets, port_of(place.listener)));
    CHECK(send(peer, "x", 1, 0) == 1);
    CHECK(!cce_sockets_is_quiet(&sockets, port));
    CHECK(recv(fd, &byte, 1, 0) == 1);
    sockets.is_incomplete = true;
    CHECK(!cce_sockets_is_quiet(&sockets, port));
    sockets.is_incomplete = false;
    CHECK(cce_sockets_is_quiet(&sockets, port));
    close(peer);
    CHECK(!cce_sockets_is_quiet(&sockets, port));
    cce_sockets_close(&sockets, fd);
    CHECK(!cce_sockets_is_quiet(&sockets, port));

    /* A peer may also end it without a word. */
    peer = connect_to(&place, &sockets, &fd);
    CHECK(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    close(peer);
    CHECK(!cce_sockets_is_quiet(&sockets, port_of(fd)));
    cce_sockets_close(&sockets, fd);
    cce_sockets_cleanup(&sockets);
    close(place.listener);
}

int main(void)
{
    check_forgetting();
    check_quiet(AF_INET);
    check_quiet(AF_INET6);
    return 0;
}
