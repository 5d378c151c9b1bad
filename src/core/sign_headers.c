#include "core/sign_headers.h"

#include <string.h>

#include "core/date.h"
#include "core/sign_algorithm.h"

static const struct cce_bytes implied_names[CCE_SIGN_IMPLIED] = {
    CCE_BYTES("host"),
    CCE_BYTES("x-sdk-date"),
    CCE_BYTES("x-security-token"),
};

/* Characters of HTTP's tokens (RFC 9110: methods, names of headers), of its
 * headers' values, and of a host with its port. */
enum {
    IN_TOKEN = 1,
    IN_VALUE = 2,
    IN_HOST = 4,
    IS_UPPER = 0x20 /* the bit that a lower-case letter has and this lacks */
};

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
    ['A' ... 'Z'] = IN_TOKEN | IN_VALUE | IN_HOST | IS_UPPER,
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

/* ASCII only, in any locale. */
static inline unsigned char lower(char character)
{
    unsigned char byte = (unsigned char)character;

    return byte | (classes[byte] & IS_UPPER);
}

static int compare_names(struct cce_bytes a, struct cce_bytes b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;

    for (size_t i = 0; i < shorter; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return lower(a.data[i]) - lower(b.data[i]);
    return (a.length > b.length) - (a.length < b.length);
}

static inline bool same_name(struct cce_bytes a, struct cce_bytes b)
{
    return a.length == b.length && compare_names(a, b) == 0;
}

/* --- what may stand where --- */

static bool all_in(struct cce_bytes bytes, unsigned class)
{
    return bytes.length > 0 && (cce_uri_classes(classes, bytes) & class) != 0;
}

/* No control character but the tab: a CR or LF would begin another header. */
static bool is_value(struct cce_bytes bytes)
{
    return (cce_uri_classes(classes, bytes) & IN_VALUE) != 0;
}

/* --- which there are --- */

static struct cce_bytes trim(struct cce_bytes value)
{
    while (value.length > 0 && (*value.data == ' ' || *value.data == '\t')) {
        value.data++;
        value.length--;
    }
    while (value.length > 0 && (value.data[value.length - 1] == ' ' ||
                                value.data[value.length - 1] == '\t'))
        value.length--;
    return value;
}

static int fail_header(struct cce_error *err, const char *what,
                       struct cce_bytes name)
{
    int shown = name.length > 64 ? 64 : (int)name.length;

    return cce_fail(err, CCE_INVALID_ARGUMENT, "header %.*s %s", shown,
                    name.data, what);
}

static int check_header(struct cce_bytes name, struct cce_bytes value,
                        struct cce_error *err)
{
    if (!all_in(name, IN_TOKEN))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "a header's name is empty or holds a character that "
                        "HTTP does not allow there");
    if (!is_value(value))
        return fail_header(err, "has a control character in its value", name);
    if (same_name(name, (struct cce_bytes)CCE_BYTES("authorization")))
        return fail_header(err, "is what signing makes: do not give it", name);
    return 0;
}

static void note_header(struct cce_sign_headers *headers, struct cce_bytes name,
                        struct cce_bytes value, struct cce_bytes content_header)
{
    for (size_t i = 0; i < CCE_SIGN_IMPLIED; i++) {
        if (!same_name(name, implied_names[i]))
            continue;
        headers->implied[i].given = true;
        headers->implied[i].found = value;
    }
    if (same_name(name, content_header))
        headers->content_hash = value;
}

static void add_entry(struct cce_sign_headers *headers, struct cce_bytes name,
                      struct cce_bytes value, bool is_signed)
{
    headers->list[headers->count++] = (struct cce_sign_header){
        .name = name, .value = value, .is_signed = is_signed};
}

static int add_given(struct cce_sign_headers *headers,
                     const struct cce_sign_request *request,
                     struct cce_bytes content_header, struct cce_error *err)
{
    if (request->header_count > CCE_SIGN_HEADERS_MAX)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "a request has at most %d headers, this one has %zu",
                        CCE_SIGN_HEADERS_MAX, request->header_count);
    for (size_t i = 0; i < request->header_count; i++) {
        struct cce_bytes name = request->headers[i].name;
        struct cce_bytes value = trim(request->headers[i].value);

        if (check_header(name, value, err) != 0)
            return -1;
        note_header(headers, name, value, content_header);
        add_entry(headers, name, value,
                  !same_name(name, (struct cce_bytes)CCE_BYTES("user-agent")));
    }
    return 0;
}

/* Host, date and token: each from outside or from the headers, and from both
 * only when they agree. */
static int add_implied(struct cce_sign_headers *headers,
                       struct cce_bytes default_date, struct cce_error *err)
{
    struct cce_sign_implied *date = &headers->implied[CCE_SIGN_DATE];

    if (!date->given && date->wanted.length == 0)
        date->wanted = default_date;
    for (size_t i = 0; i < CCE_SIGN_IMPLIED; i++) {
        struct cce_sign_implied *implied = &headers->implied[i];

        if (!implied->given) {
            implied->found = implied->wanted;
            if (implied->found.length > 0)
                add_entry(headers, implied_names[i], implied->found, true);
        } else if (implied->wanted.length > 0 &&
                   !cce_bytes_same(implied->wanted, implied->found)) {
            return fail_header(err, "is given twice, with different values",
                               implied_names[i]);
        }
    }
    return 0;
}

/* --- in order, and which are signed --- */

/* By insertion: there are a handful. */
static int sort_entries(struct cce_sign_headers *headers, struct cce_error *err)
{
    struct cce_sign_header **sorted = headers->sorted;

    for (size_t i = 0; i < headers->count; i++) {
        struct cce_sign_header *entry = &headers->list[i];
        size_t at = i;
        int order = 1;

        while (at > 0 &&
               (order = compare_names(entry->name, sorted[at - 1]->name)) < 0) {
            sorted[at] = sorted[at - 1];
            at--;
        }
        if (order == 0)
            return fail_header(err, "is given twice", entry->name);
        sorted[at] = entry;
    }
    return 0;
}

static struct cce_sign_header *find_entry(struct cce_sign_headers *headers,
                                          struct cce_bytes name)
{
    for (size_t i = 0; i < headers->count; i++)
        if (same_name(headers->list[i].name, name))
            return &headers->list[i];
    return NULL;
}

static int mark_signed(struct cce_sign_headers *headers, struct cce_bytes name,
                       struct cce_error *err)
{
    struct cce_sign_header *entry;

    if (!all_in(name, IN_TOKEN))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "signed_headers has a name that is no header's");
    entry = find_entry(headers, name);
    if (entry == NULL)
        return fail_header(err, "is in signed_headers but is not sent", name);
    if (entry->is_signed)
        return fail_header(err, "stands twice in signed_headers", name);
    entry->is_signed = true;
    return 0;
}

static int choose_signed(struct cce_sign_headers *headers,
                         const struct cce_sign_request *request,
                         struct cce_error *err)
{
    if (request->signed_headers == NULL)
        return 0;
    for (size_t i = 0; i < headers->count; i++)
        headers->list[i].is_signed = false;
    for (size_t i = 0; i < request->signed_count; i++)
        if (mark_signed(headers, request->signed_headers[i], err) != 0)
            return -1;
    if (!find_entry(headers, implied_names[CCE_SIGN_DATE])->is_signed)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "signed_headers must name X-Sdk-Date: gateways refuse "
                        "a request whose date is not signed");
    return 0;
}

static int check_request(const struct cce_sign_request *request,
                         const struct cce_sign_headers *headers,
                         struct cce_error *err)
{
    if (!all_in(request->method, IN_TOKEN))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "method must be a word like GET");
    if (headers->implied[CCE_SIGN_HOST].found.length == 0)
        return cce_fail(err, CCE_INVALID_ARGUMENT, "the request has no host");
    if (!all_in(headers->implied[CCE_SIGN_HOST].found, IN_HOST))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "host must be a name or an address, with a port or "
                        "without, and nothing else");
    if (request->path.length > 0 && request->path.data[0] != '/')
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "path must begin with a slash");
    if (request->query_count > CCE_SIGN_QUERY_MAX)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "a query has at most %d parameters, this one has %zu",
                        CCE_SIGN_QUERY_MAX, request->query_count);
    return cce_date_check(headers->implied[CCE_SIGN_DATE].found, err);
}

int cce_sign_headers_resolve(const struct cce_signer *signer,
                             const struct cce_sign_request *request,
                             struct cce_sign_headers *headers,
                             struct cce_error *err)
{
    headers->count = 0;
    headers->content_hash = (struct cce_bytes){NULL, 0};
    headers->implied[CCE_SIGN_HOST] =
        (struct cce_sign_implied){.wanted = request->host};
    headers->implied[CCE_SIGN_DATE] =
        (struct cce_sign_implied){.wanted = request->date};
    headers->implied[CCE_SIGN_TOKEN] = (struct cce_sign_implied){
        .wanted = cce_secret_bytes(&signer->security_token)};
    if (add_given(headers, request, signer->algorithm->content_header, err) ||
        add_implied(headers, request->default_date, err) != 0 ||
        check_request(request, headers, err) != 0 ||
        sort_entries(headers, err) != 0)
        return -1;
    return choose_signed(headers, request, err);
}

/* --- written --- */

/* "name:value\n" */
static char *write_header(char *to, struct cce_sign_header *entry)
{
    const char *name = entry->name.data;

    entry->lowered = to;
    for (size_t i = 0; i < entry->name.length; i++)
        *to++ = (char)lower(name[i]);
    *to++ = ':';
    if (entry->value.length > 0)
        memcpy(to, entry->value.data, entry->value.length);
    to += entry->value.length;
    *to++ = '\n';
    return to;
}

/* "name;" */
static char *write_name(char *to, const struct cce_sign_header *entry)
{
    memcpy(to, entry->lowered, entry->name.length);
    to += entry->name.length;
    *to++ = ';';
    return to;
}

/* What append_headers writes at most. */
static size_t headers_size(const struct cce_sign_headers *headers)
{
    size_t size = 1;

    for (size_t i = 0; i < headers->count; i++)
        size += 2 * headers->list[i].name.length +
                headers->list[i].value.length + 3;
    return size;
}

/* The headers, an empty line, and their names on a line. */
void cce_sign_headers_append(struct cce_buf *out,
                             struct cce_sign_headers *headers)
{
    char *room = cce_buf_reserve(out, headers_size(headers));
    char *to = room, *names;

    if (room == NULL)
        return;
    for (size_t i = 0; i < headers->count; i++)
        if (headers->sorted[i]->is_signed)
            to = write_header(to, headers->sorted[i]);
    *to++ = '\n';
    names = to;
    for (size_t i = 0; i < headers->count; i++)
        if (headers->sorted[i]->is_signed)
            to = write_name(to, headers->sorted[i]);
    to[-1] = '\n'; /* at least X-Sdk-Date is signed, so that was a ';' */
    headers->names_start = out->length + (size_t)(names - room);
    headers->names_length = (size_t)(to - names) - 1;
    cce_buf_commit(out, (size_t)(to - room));
}
