#include "core/sign_headers.h"

#include <string.h>

#include "core/date.h"
#include "core/sign_algorithm.h"
#include "core/wire/http.h"

static const struct cce_bytes implied_names[CCE_SIGN_IMPLIED] = {
    CCE_BYTES("host"),
    CCE_BYTES("x-sdk-date"),
    CCE_BYTES("x-security-token"),
};

static const struct cce_bytes authorization = CCE_BYTES("authorization");
static const struct cce_bytes user_agent = CCE_BYTES("user-agent");

static int compare_names(struct cce_bytes a, struct cce_bytes b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;

    for (size_t i = 0; i < shorter; i++)
        if (cce_lower(a.data[i]) != cce_lower(b.data[i]))
            return cce_lower(a.data[i]) - cce_lower(b.data[i]);
    return (a.length > b.length) - (a.length < b.length);
}

/* --- which there are ---
 *
 * Those given, and host, date and token unless they stand among them. */

static void note_header(struct cce_sign_headers *headers, struct cce_bytes name,
                        struct cce_bytes value, struct cce_bytes content_header)
{
    for (size_t i = 0; i < CCE_SIGN_IMPLIED; i++) {
        if (!cce_bytes_same_letters(name, implied_names[i]))
            continue;
        headers->implied[i].given = true;
        headers->implied[i].found = value;
    }
    if (cce_bytes_same_letters(name, content_header))
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
    for (size_t i = 0; i < request->header_count; i++) {
        struct cce_bytes name = request->headers[i].name;
        struct cce_bytes value = cce_bytes_trim(request->headers[i].value);

        if (cce_bytes_same_letters(name, authorization))
            return cce_http_fail_header(
                err, "is what signing makes: do not give it", name);
        note_header(headers, name, value, content_header);
        add_entry(headers, name, value,
                  !cce_bytes_same_letters(name, user_agent));
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
            return cce_http_fail_header(
                err, "is given twice, with different values", implied_names[i]);
        }
    }
    return 0;
}

/* --- in order, and which are signed --- */

/* By insertion: there are a handful. */
static void sort_entries(struct cce_sign_headers *headers)
{
    struct cce_sign_header **sorted = headers->sorted;

    for (size_t i = 0; i < headers->count; i++) {
        struct cce_sign_header *entry = &headers->list[i];
        size_t at = i;

        while (at > 0 && compare_names(entry->name, sorted[at - 1]->name) < 0) {
            sorted[at] = sorted[at - 1];
            at--;
        }
        sorted[at] = entry;
    }
}

static struct cce_sign_header *find_entry(struct cce_sign_headers *headers,
                                          struct cce_bytes name)
{
    for (size_t i = 0; i < headers->count; i++)
        if (cce_bytes_same_letters(headers->list[i].name, name))
            return &headers->list[i];
    return NULL;
}

static int mark_signed(struct cce_sign_headers *headers, struct cce_bytes name,
                       struct cce_error *err)
{
    struct cce_sign_header *entry;

    if (!cce_http_is_name(name))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "signed_headers has a name that is no header's");
    entry = find_entry(headers, name);
    if (entry == NULL)
        return cce_http_fail_header(err, "is in signed_headers but is not sent",
                                    name);
    if (entry->is_signed)
        return cce_http_fail_header(err, "stands twice in signed_headers",
                                    name);
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

/* What a signed request needs besides the rules of every one (http.h). */
static int check_request(const struct cce_sign_headers *headers,
                         struct cce_error *err)
{
    struct cce_bytes host = headers->implied[CCE_SIGN_HOST].found;

    if (host.length == 0)
        return cce_fail(err, CCE_INVALID_ARGUMENT, "the request has no host");
    if (!cce_http_is_host(host))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "host must be a name or an address, with a port or "
                        "without, and nothing else");
    return cce_date_check(headers->implied[CCE_SIGN_DATE].found, err);
}

int cce_sign_headers_resolve(const struct cce_signer *signer,
                             const struct cce_sign_request *request,
                             struct cce_sign_headers *headers,
                             struct cce_error *err)
{
    const struct cce_http_request http = {
        .method = request->method,
        .path = request->path,
        .query = request->query,
        .query_count = request->query_count,
        .headers = request->headers,
        .header_count = request->header_count,
    };

    if (cce_http_check(&http, err) != 0)
        return -1;
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
        check_request(headers, err) != 0)
        return -1;
    sort_entries(headers);
    return choose_signed(headers, request, err);
}

/* --- written --- */

/* "name:value\n" */
static char *write_header(char *to, struct cce_sign_header *entry)
{
    const char *name = entry->name.data;

    entry->lowered = to;
    for (size_t i = 0; i < entry->name.length; i++)
        *to++ = (char)cce_lower(name[i]);
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
    for (size_t i = 0; i < headers->count; i++) {
        struct cce_sign_header *entry = headers->sorted[i];

        if (!entry->is_signed)
            continue;
        to = write_header(to, entry);
        if (entry->value.data == headers->implied[CCE_SIGN_DATE].found.data)
            headers->date_start =
                out->length + (size_t)(to - room) - entry->value.length - 1;
    }
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
