#include "core/wire/http.h"

/* Characters of HTTP's tokens (methods, names of headers), of its headers'
 * values, and of a host with its port. */
enum { IN_TOKEN = 1, IN_VALUE = 2, IN_HOST = 4 };

static const unsigned char classes[256] = {
    ['\t'] = IN_VALUE,
    [' '] = IN_VALUE,
    ['!'] = IN_TOKEN | IN_VALUE,
    ['"'] = IN_VALUE,
    ['#' ... '\''] = IN_TOKEN | IN_VALUE,
    ['(' ... ')'] = IN_VALUE,
    ['*' ... '+'] = IN_TOKEN | IN_VALUE,
    [','] = IN_VALUE,
    ['-' ... '.'] = IN_TOKEN | IN_VALUE | IN_HOST,
    ['/'] = IN_VALUE,
    ['0' ... '9'] = IN_TOKEN | IN_VALUE | IN_HOST,
    [':'] = IN_VALUE | IN_HOST,
    [';' ... '@'] = IN_VALUE,
    ['A' ... 'Z'] = IN_TOKEN | IN_VALUE | IN_HOST,
    ['['] = IN_VALUE | IN_HOST,
    ['\\'] = IN_VALUE,
    [']'] = IN_VALUE | IN_HOST,
    ['^'] = IN_TOKEN | IN_VALUE,
    ['_'] = IN_TOKEN | IN_VALUE | IN_HOST,
    ['`'] = IN_TOKEN | IN_VALUE,
    ['a' ... 'z'] = IN_TOKEN | IN_VALUE | IN_HOST,
    ['{'] = IN_VALUE,
    ['|'] = IN_TOKEN | IN_VALUE,
    ['}'] = IN_VALUE,
    ['~'] = IN_TOKEN | IN_VALUE,
    [0x80 ... 0xff] = IN_VALUE,
};

bool cce_http_is_name(struct cce_bytes name)
{
    return name.length > 0 &&
           (cce_bytes_classes(classes, name) & IN_TOKEN) != 0;
}

/* No control character but the tab: a CR or LF would begin another header. */
bool cce_http_is_value(struct cce_bytes value)
{
    return (cce_bytes_classes(classes, value) & IN_VALUE) != 0;
}

bool cce_http_is_host(struct cce_bytes host)
{
    return host.length > 0 && (cce_bytes_classes(classes, host) & IN_HOST) != 0;
}

int cce_http_fail_header(struct cce_error *err, const char *what,
                         struct cce_bytes name)
{
    int shown = name.length > 64 ? 64 : (int)name.length;

    return cce_fail(err, CCE_INVALID_ARGUMENT, "header %.*s %s", shown,
                    name.data, what);
}

const struct cce_pair *cce_http_find(const struct cce_pair *headers,
                                     size_t count, struct cce_bytes name)
{
    for (size_t i = 0; i < count; i++)
        if (cce_bytes_same_letters(headers[i].name, name))
            return &headers[i];
    return NULL;
}

int cce_http_check(const struct cce_http_request *request,
                   struct cce_error *err)
{
    if (!cce_http_is_name(request->method))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "method must be a word like GET");
    /* What follows an authority is a path only when a slash begins it: else it
     * would go on with the port, or with the host's name. */
    if (request->path.length > 0 && request->path.data[0] != '/')
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "path must begin with a slash");
    if (request->query_count > CCE_HTTP_QUERY_MAX)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "a query has at most %d parameters, this one has %zu",
                        CCE_HTTP_QUERY_MAX, request->query_count);
    if (request->header_count > CCE_HTTP_HEADERS_MAX)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "a request has at most %d headers, this one has %zu",
                        CCE_HTTP_HEADERS_MAX, request->header_count);
    for (size_t i = 0; i < request->header_count; i++) {
        struct cce_bytes name = request->headers[i].name;

        if (!cce_http_is_name(name))
            return cce_fail(err, CCE_INVALID_ARGUMENT,
                            "a header's name is empty or holds a character "
                            "that HTTP does not allow there");
        if (!cce_http_is_value(request->headers[i].value))
            return cce_http_fail_header(
                err, "has a control character in its value", name);
        if (cce_http_find(request->headers, i, name) != NULL)
            return cce_http_fail_header(err, "is given twice", name);
    }
    return 0;
}

/* What follows the number is not looked at: HTTP/2 has no such words. */
int cce_http_status(struct cce_bytes line)
{
    const char *digits;

    if (line.length < 5 || memcmp(line.data, "HTTP/", 5) != 0)
        return 0;
    digits = memchr(line.data, ' ', line.length);
    if (digits == NULL || line.data + line.length - digits < 4 ||
        !cce_is_digit(digits[1]) || !cce_is_digit(digits[2]) ||
        !cce_is_digit(digits[3]))
        return 0;
    return (digits[1] - '0') * 100 + (digits[2] - '0') * 10 + digits[3] - '0';
}

bool cce_http_next_header(struct cce_bytes *lines, struct cce_pair *header)
{
    struct cce_bytes line;

    while (cce_bytes_next_line(lines, &line)) {
        const char *colon =
            line.length > 0 ? memchr(line.data, ':', line.length) : NULL;

        if (colon == NULL || cce_is_blank(line.data[0]))
            continue;
        header->name = cce_bytes_trim(
            (struct cce_bytes){line.data, (size_t)(colon - line.data)});
        header->value = cce_bytes_trim((struct cce_bytes){
            colon + 1, (size_t)(line.data + line.length - colon) - 1});
        if (cce_http_is_name(header->name) && cce_http_is_value(header->value))
            return true;
    }
    return false;
}
