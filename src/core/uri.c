#include "core/uri.h"

#include <stdlib.h>
#include <string.h>

/* What stays as it is in a name, value or segment, and in a whole path. */
enum { IN_PART = 1, IN_PATH = 2, PLAIN = IN_PART | IN_PATH };

static const unsigned char classes[256] = {
    ['A' ... 'Z'] = PLAIN, ['a' ... 'z'] = PLAIN, ['0' ... '9'] = PLAIN,
    ['-'] = PLAIN,         ['_'] = PLAIN,         ['.'] = PLAIN,
    ['~'] = PLAIN,         ['/'] = IN_PATH,
};

/* Nothing is written beyond the maximum, which is compared before the sum that
 * could overflow. */
static void append_escaped(struct cce_buf *out, struct cce_bytes raw,
                           unsigned kept)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t escapes = 0;
    char *room = NULL, *to;

    for (size_t i = 0; i < raw.length; i++)
        escapes += (classes[(unsigned char)raw.data[i]] & kept) == 0;
    if (raw.length <= out->maximum && escapes <= out->maximum)
        room = cce_buf_reserve(out, raw.length + 2 * escapes);
    else
        out->failed = out->too_long = true;
    if (room == NULL)
        return;
    to = room;
    for (size_t i = 0; i < raw.length; i++) {
        unsigned char byte = (unsigned char)raw.data[i];

        if (classes[byte] & kept) {
            *to++ = (char)byte;
            continue;
        }
        *to++ = '%';
        *to++ = digits[byte >> 4];
        *to++ = digits[byte & 15];
    }
    cce_buf_commit(out, raw.length + 2 * escapes);
}

static void append_kept(struct cce_buf *out, struct cce_bytes raw,
                        unsigned kept)
{
    if (cce_bytes_classes(classes, raw) & kept)
        cce_buf_append(out, raw.data, raw.length);
    else
        append_escaped(out, raw, kept);
}

void cce_uri_append_path(struct cce_buf *out, struct cce_bytes raw)
{
    if (raw.length == 0)
        cce_buf_append_char(out, '/');
    else
        append_kept(out, raw, IN_PATH);
}

void cce_uri_append_canonical_path(struct cce_buf *out, struct cce_bytes raw)
{
    cce_uri_append_path(out, raw);
    if (raw.length > 0 && raw.data[raw.length - 1] != '/')
        cce_buf_append_char(out, '/');
}

void cce_uri_append_query(struct cce_buf *out, const struct cce_pair *query,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            cce_buf_append_char(out, '&');
        append_kept(out, query[i].name, IN_PART);
        cce_buf_append_char(out, '=');
        append_kept(out, query[i].value, IN_PART);
    }
}

static int compare_bytes(struct cce_bytes a, struct cce_bytes b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);

    if (order != 0)
        return order;
    return (a.length > b.length) - (a.length < b.length);
}

static int compare_pairs(const void *left, const void *right)
{
    const struct cce_pair *a = left, *b = right;
    int order = compare_bytes(a->name, b->name);

    return order != 0 ? order : compare_bytes(a->value, b->value);
}

void cce_uri_sort_query(struct cce_pair *query, size_t count)
{
    if (count > 1)
        qsort(query, count, sizeof *query, compare_pairs);
}

/* Appends what fits, with "?" for what a terminal would obey. */
static void show(struct cce_buf *out, const char *from, size_t length)
{
    for (size_t i = 0; i < length && out->length < out->maximum; i++)
        cce_buf_append_char(out,
                            from[i] >= ' ' && from[i] <= '~' ? from[i] : '?');
}

/* Where a port stands that is no number: what may be a password whose "@" is
 * lost, as in a list that was split at its comma. Else the end. */
static size_t find_bad_port(const char *text)
{
    size_t end = strcspn(text, "/?#"), host, port;

    host = text[0] == '[' ? strcspn(text, "]/") : 0;
    port = host + strcspn(text + host, ":");
    if (port >= end || port + 1 + strspn(text + port + 1, "0123456789") == end)
        return strlen(text);
    return port + 1;
}

void cce_uri_show(const char *text, char shown[CCE_URI_SHOWN])
{
    /* The last one: a password may have an "@" itself. */
    const char *at = strrchr(text, '@'), *scheme = strstr(text, "://");
    const char *rest = at != NULL ? at + 1 : text;
    size_t plain;
    struct cce_buf out;

    cce_buf_init_fixed(&out, shown, CCE_URI_SHOWN, CCE_URI_SHOWN - 1);
    shown[0] = '\0';
    if (scheme != NULL && (at == NULL || scheme < at)) {
        size_t length = (size_t)(scheme - text), letters = 0;

        while (cce_lower(text[letters]) >= 'a' &&
               cce_lower(text[letters]) <= 'z')
            letters++;
        if (letters == length && length <= 8) { /* else "user:s3cret://" */
            show(&out, text, length + 3);
            rest = at != NULL ? rest : scheme + 3;
        }
    }
    if (at != NULL)
        show(&out, "***@", 4);
    plain = strcspn(rest, "?#");
    if (find_bad_port(rest) < plain)
        plain = find_bad_port(rest);
    show(&out, rest, plain);
    if (rest[plain] == '?' || rest[plain] == '#')
        show(&out, &rest[plain], 1);
    if (rest[plain] != '\0')
        show(&out, "***", 3);
}
