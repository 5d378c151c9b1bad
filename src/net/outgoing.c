#include "net/outgoing.h"

#include <stdlib.h>
#include <string.h>

#include "net/hidden.h"

enum { MAX_PEM = 1024 * 1024 };

/* Copies to *at, which goes on behind. */
static void append(char **at, const char *bytes, size_t length)
{
    if (length > 0)
        memcpy(*at, bytes, length);
    *at += length;
}

static void append_string(char **at, const char *string)
{
    append(at, string, strlen(string));
}

static void end_string(char **at)
{
    *(*at)++ = '\0';
}

static char *put_string(char **at, const char *string)
{
    char *copy = *at;

    append(at, string, strlen(string) + 1);
    return copy;
}

static struct cce_bytes put_bytes(char **at, const void *data, size_t length)
{
    struct cce_bytes copy = {NULL, 0};

    if (data == NULL)
        return copy;
    copy.data = *at;
    copy.length = length;
    append(at, data, length);
    end_string(at);
    return copy;
}

struct url_parts {
    const char *host; /* with brackets, if any */
    size_t host_length;
    const char *port; /* with its colon; empty when there is none */
    size_t port_length;
};

static void split_url(const char *url, struct url_parts *parts)
{
    const char *start = strstr(url, "://");

    parts->host = start != NULL ? start + 3 : url;
    parts->host_length = parts->host[0] == '[' ? strcspn(parts->host, "]") + 1
                                               : strcspn(parts->host, ":/?");
    parts->port = parts->host + parts->host_length;
    parts->port_length = strcspn(parts->port, "/?");
}

/* The URL with another host, which is what TLS asks for and verifies, and where
 * curl is to connect instead of looking that up. */
static void put_server_name(struct cce_outgoing *outgoing, char **at,
                            const char *url, const char *name,
                            struct curl_slist *node)
{
    bool is_ipv6 = strchr(name, ':') != NULL;
    struct url_parts parts;

    split_url(url, &parts);
    outgoing->server_url = put_string(at, url);
    outgoing->url = *at;
    append(at, url, (size_t)(parts.host - url));
    append_string(at, is_ipv6 ? "[" : "");
    append_string(at, name);
    append_string(at, is_ipv6 ? "]" : "");
    append_string(at, parts.port);
    end_string(at);
    node->data = *at;
    node->next = NULL;
    append_string(at, "::");
    append(at, parts.host, parts.host_length + parts.port_length);
    end_string(at);
    outgoing->connect_to = node;
}

static char *put_host(char **at, const char *url)
{
    struct url_parts parts;
    char *copy = *at;
    size_t bracket;

    split_url(url, &parts);
    bracket = parts.host[0] == '[' ? 1 : 0;
    append(at, parts.host + bracket, parts.host_length - 2 * bracket);
    end_string(at);
    return copy;
}

/* No pause for a "100 Continue" before a long body. */
static const char no_expect[] = "Expect:";

static size_t length_of(const char *string)
{
    return string != NULL ? strlen(string) : 0;
}

/* At most so much is put into it. */
static size_t size_of(const struct cce_request *request,
                      const struct cce_identity *identity)
{
    size_t size = (request->header_count + 2) * sizeof(struct curl_slist) +
                  sizeof no_expect + request->body_length +
                  4 * strlen(request->url) +
                  2 * length_of(identity->server_name) +
                  length_of(identity->proxy) + identity->ca.length +
                  identity->certificate.length + identity->key.length;

    for (size_t i = 0; i < request->header_count; i++)
        size += strlen(request->headers[i].name) +
                strlen(request->headers[i].value) + sizeof ": ";
    return size + 64; /* brackets, a port, and a NUL behind each part */
}

int cce_outgoing_copy(struct cce_outgoing *outgoing,
                      const struct cce_request *request, struct cce_error *err)
{
    static const struct cce_identity none;
    const struct cce_identity *identity =
        request->identity != NULL ? request->identity : &none;
    size_t count = request->header_count, size;
    struct curl_slist *lines;
    char *at;

    if (identity->ca.length > MAX_PEM || identity->key.length > MAX_PEM ||
        identity->certificate.length > MAX_PEM)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "the identity has a text that is too long");
    size = size_of(request, identity);
    outgoing->memory = request->holds_secret || request->identity != NULL
                           ? cce_hidden_malloc(size)
                           : malloc(size);
    if (outgoing->memory == NULL)
        return cce_fail_memory(err);
    lines = (struct curl_slist *)(void *)outgoing->memory;
    at = (char *)&lines[count + 2];
    for (size_t i = 0; i < count; i++) {
        const struct cce_header *header = &request->headers[i];

        lines[i].data = at;
        append_string(&at, header->name);
        /* curl sends "Name:" only when told "Name;". */
        append_string(&at, header->value[0] != '\0' ? ": " : ";");
        append_string(&at, header->value);
        end_string(&at);
        lines[i].next = &lines[i + 1];
    }
    lines[count].data = put_string(&at, no_expect);
    lines[count].next = NULL;
    outgoing->headers = lines;
    if (identity->server_name != NULL)
        put_server_name(outgoing, &at, request->url, identity->server_name,
                        &lines[count + 1]);
    else
        outgoing->url = put_string(&at, request->url);
    outgoing->host = put_host(&at, outgoing->url);
    if (identity->proxy != NULL)
        outgoing->proxy = put_string(&at, identity->proxy);
    outgoing->body = put_bytes(&at, request->body, request->body_length);
    outgoing->ca = put_bytes(&at, identity->ca.data, identity->ca.length);
    outgoing->certificate = put_bytes(&at, identity->certificate.data,
                                      identity->certificate.length);
    outgoing->key = put_bytes(&at, identity->key.data, identity->key.length);
    return 0;
}

void cce_outgoing_wipe(struct cce_outgoing *outgoing)
{
    cce_hidden_free(outgoing->memory);
    memset(outgoing, 0, sizeof *outgoing);
}
