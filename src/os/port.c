#include "os/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The system chooses one, and it is given back: until the caller listens there
 * another process may take it. */
int cce_port_free(int *port, struct cce_error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = 0;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        result = cce_fail(err, CCE_CONNECT_FAILED, "no free port: %s",
                          strerror(errno));
    *port = ntohs(address.sin_port);
    if (fd >= 0)
        close(fd);
    return result;
}
