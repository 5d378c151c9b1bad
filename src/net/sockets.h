/*
 * sockets: which sockets libcurl has open for an engine, and whether the one
 * that a request is about to leave on has been quiet.
 *
 * A reused connection on which something lies already is not fit for a request
 * that changes something. It may be the end of the stream: then the request is
 * lost, and whether it was read is not known. Or it may be bytes that answer no
 * request: then they become the answer to this one. libcurl looks by itself,
 * but not each time (from 8.22 once a second), and it does not tell which
 * socket it takes: CURLINFO_ACTIVESOCKET is -1 at that moment. So the socket is
 * found by its local port.
 */
#ifndef CCE_NET_SOCKETS_H
#define CCE_NET_SOCKETS_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

struct cce_socket {
    curl_socket_t fd;
    int local_port; /* 0: not asked yet */
};

/* Zeroed is valid and empty. */
struct cce_sockets {
    struct cce_socket *open;
    size_t count, capacity;
    bool is_incomplete; /* there was no memory to note one */
};

/* For CURLOPT_OPENSOCKETFUNCTION and CURLOPT_CLOSESOCKETFUNCTION; the data of
 * both is the struct cce_sockets. */
curl_socket_t cce_sockets_open(void *sockets, curlsocktype purpose,
                               struct curl_sockaddr *address);
int cce_sockets_close(void *sockets, curl_socket_t fd);

/* Whether nothing can be read from the socket with that local port, not even
 * its end. Nothing is taken from it. False when there is no such socket,
 * or it may be one that could not be noted. */
bool cce_sockets_is_quiet(struct cce_sockets *sockets, int local_port);

/* Frees the list; the sockets are libcurl's. */
void cce_sockets_cleanup(struct cce_sockets *sockets);

#endif
