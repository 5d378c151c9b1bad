#include "core/wire/endpoint.h"

#include <arpa/inet.h>
#include <string.h>

#include "core/buf.h"
#include "core/uri.h"

#define HOST_CHARACTERS \
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
#define PATH_CHARACTERS HOST_CHARACTERS "~/"

/* A view of the text's parts. */
struct parts {
    const char *host, *port, *path;
    size_t host_length, port_length, path_length;
    bool tls, bracketed, unclosed;
};

static int refuse(struct cce_error *err, const char *text, const char *why)
{
    char shown[CCE_URI_SHOWN];

    cce_uri_show(text, shown);
    return cce_fail(err, CCE_INVALID_ARGUMENT,
                    "endpoint \"%s\": %s; expected https://host[:port]", shown,
                    why);
}

static const char *split_scheme(struct parts *parts, const char *text)
{
    static const struct cce_bytes plain = CCE_BYTES("http://");
    static const struct cce_bytes tls = CCE_BYTES("https://");
    struct cce_bytes start = cce_bytes_of(text);

    parts->tls = cce_bytes_begins(start, tls);
    if (parts->tls)
        return text + tls.length;
    return cce_bytes_begins(start, plain) ? text + plain.length : NULL;
}

/* An IPv6 address has colons of its own, so it stands in brackets (RFC 3986).
 * Slashes at the end of the path go: the path of a request begins with one. */
static void split_host(struct parts *parts, const char *rest)
{
    const char *end;

    parts->bracketed = rest[0] == '[';
    if (parts->bracketed) {
        parts->host = rest + 1;
        parts->host_length = strcspn(rest + 1, "]/");
        end = rest + 1 + parts->host_length;
        parts->unclosed = *end != ']';
        if (!parts->unclosed)
            end++;
    } else {
        parts->host = rest;
        parts->host_length = strcspn(rest, ":/");
        end = rest + parts->host_length;
    }
    if (*end == ':') {
        parts->port = end + 1;
        parts->port_length = strcspn(end + 1, "/");
        end = parts->port + parts->port_length;
    }
    parts->path = end;
    parts->path_length = strlen(end);
    while (parts->path_length > 0 && end[parts->path_length - 1] == '/')
        parts->path_length--;
}

/* By hand: strtoul takes blanks, a sign and numbers that are too large. */
static bool port_is_valid(const char *port, size_t length)
{
    unsigned long number = 0;

    if (length > 5)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!cce_is_digit(port[i]))
            return false;
        number = number * 10 + (unsigned long)(port[i] - '0');
    }
    return number >= 1 && number <= 65535;
}

/* What is wrong with the form, or NULL. The parts are joined to a URL and to a
 * Host header again: a byte that ends one of them too early would send the
 * request, with its signature, elsewhere. */
static const char *check_parts(const struct parts *parts, const char *host)
{
    struct in6_addr address;
    bool is_host = parts->bracketed
                       ? inet_pton(AF_INET6, host, &address) == 1
                       : strspn(host, HOST_CHARACTERS) == strlen(host) &&
                             host[0] != '-' && host[0] != '.';

    if (parts->unclosed)
        return "a bracket is not closed";
    if (parts->host_length == 0 || parts->host_length > 253)
        return "it has no host, or too long a one";
    if (!is_host)
        return "the host has characters that no host has";
    if (parts->port != NULL && !port_is_valid(parts->port, parts->port_length))
        return "the port is not a number from 1 to 65535";
    if (parts->path_length > 0 &&
        (parts->path[0] != '/' ||
         strspn(parts->path, PATH_CHARACTERS) < parts->path_length ||
         strstr(parts->path, "..") != NULL))
        return "what follows the host is not a plain path";
    if (parts->path_length >= sizeof((struct cce_endpoint *)0)->path)
        return "the path is too long";
    return NULL;
}

static bool is_localhost(const char *host)
{
    return cce_bytes_same_letters(cce_bytes_of(host),
                                  cce_bytes_of("localhost"));
}

static bool is_loopback(const char *host, bool bracketed)
{
    struct in_addr address;

    if (bracketed)
        return strcmp(host, "::1") == 0;
    if (is_localhost(host))
        return true;
    return inet_pton(AF_INET, host, &address) == 1 &&
           (ntohl(address.s_addr) >> 24) == 127;
}

/* Such addresses are not routed: what answers there is of the same network. */
static bool is_link_local(const char *host, bool bracketed)
{
    struct in_addr address;
    struct in6_addr address6;

    if (bracketed)
        return inet_pton(AF_INET6, host, &address6) == 1 &&
               IN6_IS_ADDR_LINKLOCAL(&address6);
    return inet_pton(AF_INET, host, &address) == 1 &&
           (ntohl(address.s_addr) >> 16) == 0xA9FE;
}

/* Why one may not talk to this host for this purpose, or NULL. */
static const char *check_purpose(enum cce_purpose purpose,
                                 const struct parts *parts, const char *host)
{
    bool loopback = is_loopback(host, parts->bracketed);
    bool is_metadata =
        strcmp(host, "169.254.169.254") == 0 && parts->port == NULL;

    if (purpose == CCE_PURPOSE_METADATA)
        return !parts->tls && (loopback || is_metadata)
                   ? NULL
                   : "metadata comes from http://169.254.169.254 only";
    if (parts->tls || loopback)
        return NULL;
    if (purpose == CCE_PURPOSE_API)
        return "plain http goes to a loopback address only";
    return is_link_local(host, parts->bracketed)
               ? NULL
               : "plain http goes to a loopback or link-local address only";
}

/* host[:port], without the scheme's own port: what is signed as Host must be
 * what is sent. */
static void append_authority(struct cce_buf *to, const struct parts *parts,
                             const char *host)
{
    const char *own = parts->tls ? "443" : "80";
    bool is_own = parts->port == NULL ||
                  (parts->port_length == strlen(own) &&
                   memcmp(parts->port, own, parts->port_length) == 0);

    cce_buf_append_string(to, parts->bracketed ? "[" : "");
    cce_buf_append_string(to, host);
    cce_buf_append_string(to, parts->bracketed ? "]" : "");
    if (!is_own) {
        cce_buf_append_char(to, ':');
        cce_buf_append(to, parts->port, parts->port_length);
    }
}

/* Every request is written for its endpoint anew, hence not by snprintf. What
 * check_parts let pass fits. */
static void fill(struct cce_endpoint *endpoint, const struct parts *parts,
                 const char *host)
{
    bool is_sent_so = parts->tls || !is_localhost(host);
    struct cce_buf to;

    endpoint->tls = parts->tls;
    endpoint->loopback = is_loopback(host, parts->bracketed);
    cce_buf_init_fixed(&to, endpoint->host, sizeof endpoint->host,
                       sizeof endpoint->host - 1);
    append_authority(&to, parts, host);
    cce_buf_init_fixed(&to, endpoint->origin, sizeof endpoint->origin,
                       sizeof endpoint->origin - 1);
    cce_buf_append_string(&to, parts->tls ? "https://" : "http://");
    append_authority(&to, parts, is_sent_so ? host : "127.0.0.1");
    memcpy(endpoint->path, parts->path, parts->path_length);
    endpoint->path[parts->path_length] = '\0';
}

int cce_endpoint_parse(enum cce_purpose purpose, struct cce_endpoint *endpoint,
                       const char *text, struct cce_error *err)
{
    struct parts parts = {0};
    char host[254] = "";
    const char *why, *rest = split_scheme(&parts, text);

    memset(endpoint, 0, sizeof *endpoint);
    if (rest == NULL)
        return refuse(err, text, "it does not begin with https://");
    if (strchr(rest, '@') != NULL)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "an endpoint must not hold a user name or password");
    split_host(&parts, rest);
    if (parts.host_length < sizeof host)
        memcpy(host, parts.host, parts.host_length);
    why = strpbrk(rest, "?#") != NULL
              ? "an address has neither a query nor a fragment"
              : check_parts(&parts, host);
    if (why == NULL)
        why = check_purpose(purpose, &parts, host);
    if (why != NULL)
        return refuse(err, text, why);
    fill(endpoint, &parts, host);
    return 0;
}
