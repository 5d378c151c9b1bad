/*
 * http: what HTTP/1.1 (RFC 9110, 9112) allows where, and the lines of an
 * answer's head. No I/O.
 *
 * The rules hold for every request that this library sends or signs: a byte
 * that is wrong in a method, a path or a header would be read by a server, or
 * by a proxy on the way, as something that nobody meant. Messages name a
 * header, never its value.
 */
#ifndef CCE_CORE_WIRE_HTTP_H
#define CCE_CORE_WIRE_HTTP_H

#include "core/bytes.h"
#include "core/status.h"

enum {
    CCE_HTTP_HEADERS_MAX = 64, /* of a request, as given */
    CCE_HTTP_QUERY_MAX = 4096  /* parameters of a request */
};

/* What a request is made of. Everything is raw. */
struct cce_http_request {
    struct cce_bytes method; /* a token; case is kept */
    struct cce_bytes path;   /* "" or begins with a slash */
    const struct cce_pair *query;
    size_t query_count;
    const struct cce_pair *headers; /* no name twice, in whatever case */
    size_t header_count;
};

/* INVALID_ARGUMENT, with what is wrong, unless all of it may be sent. */
int cce_http_check(const struct cce_http_request *request,
                   struct cce_error *err);

/* The same for one name of a header, for its value, and for a host, with its
 * port or without. */
bool cce_http_is_name(struct cce_bytes name);
bool cce_http_is_value(struct cce_bytes value);
bool cce_http_is_host(struct cce_bytes host);

/* INVALID_ARGUMENT about a header: "header NAME what". */
int cce_http_fail_header(struct cce_error *err, const char *what,
                         struct cce_bytes name);

/* The header of that name, in whatever case, or NULL. */
const struct cce_pair *cce_http_find(const struct cce_pair *headers,
                                     size_t count, struct cce_bytes name);

/* The status of a line such as "HTTP/1.1 200 OK"; 0 for another line. */
int cce_http_status(struct cce_bytes line);

/* Takes the next header off the lines of an answer's head, without the blanks
 * around its name and its value: false at the end. A blank before the colon is
 * no part of a name, or "X-Subject-Token :" would be another header than
 * "X-Subject-Token:"; nor may a lone CR hide one in another's value. What is no
 * header (the status line, a line that goes on from the one before) is passed
 * over. */
bool cce_http_next_header(struct cce_bytes *lines, struct cce_pair *header);

#endif
