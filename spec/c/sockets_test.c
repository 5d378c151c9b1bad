/*
 * sockets: those that are closed are forgotten, and when one is quiet.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "net/sockets.h"

int main(void)
{
    struct sockaddr_in server = {.sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in own;
    struct curl_sockaddr kind = {.family = AF_INET, .socktype = SOCK_STREAM};
    struct cce_sockets sockets = {0};
    socklen_t length = sizeof server;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd, peer, port;
    char byte;

    CHECK(bind(listener, (struct sockaddr *)&server, length) == 0);
    CHECK(listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&server, &length) == 0);
    for (int i = 0; i < 100; i++) {
        fd = cce_sockets_open(&sockets, CURLSOCKTYPE_IPCXN, &kind);
        CHECK(fd >= 0 && sockets.count == 1);
        CHECK(cce_sockets_close(&sockets, fd) == 0 && sockets.count == 0);
    }

    fd = cce_sockets_open(&sockets, CURLSOCKTYPE_IPCXN, &kind);
    CHECK(connect(fd, (struct sockaddr *)&server, length) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&own, &length) == 0);
    port = ntohs(own.sin_port);
    peer = accept(listener, NULL, NULL);
    CHECK(cce_sockets_is_quiet(&sockets, port));
    CHECK(!cce_sockets_is_quiet(&sockets, ntohs(server.sin_port)));
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
    cce_sockets_cleanup(&sockets);
    close(listener);
    return 0;
}
