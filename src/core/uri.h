/*
 * uri: raw paths and queries in, percent-encoded text out, encoded once.
 *
 * Only A-Z a-z 0-9 - _ . ~ stay as they are; every other byte becomes %XX in
 * upper-case hex. Nothing is decoded or normalised: "//", "." and ".." stay,
 * as in every official SDK. What does not fit fails the buffer (buf.h).
 */
#ifndef CCE_CORE_URI_H
#define CCE_CORE_URI_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "core/buf.h"

/* Bytes of somebody else; may hold zero bytes. */
struct cce_bytes {
    const char *data; /* may be NULL when length is 0 */
    size_t length;
};

/* The bytes of a string literal, to initialise them with. */
#define CCE_BYTES(literal)          \
    {                               \
        literal, sizeof literal - 1 \
    }

static inline bool cce_bytes_same(struct cce_bytes a, struct cce_bytes b)
{
    return a.length == b.length &&
           (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* A query parameter or a header. */
struct cce_pair {
    struct cce_bytes name, value;
};

/* The classes (bits of `table`) that all bytes share; all for no bytes. Every
 * byte that is signed goes through here, so it takes them by fours. */
static inline unsigned cce_uri_classes(const unsigned char table[256],
                                       struct cce_bytes bytes)
{
    const unsigned char *byte = (const unsigned char *)bytes.data;
    unsigned common = 0xff;
    size_t left = bytes.length;

    for (; left >= 4; left -= 4, byte += 4)
        common &=
            table[byte[0]] & table[byte[1]] & table[byte[2]] & table[byte[3]];
    for (; left > 0; left--)
        common &= table[*byte++];
    return common;
}

/* A path as it goes on the wire: its slashes stay; "/" when it is empty. */
void cce_uri_append_path(struct cce_buf *out, struct cce_bytes raw);

/* The same with the final slash that only the signature has. */
void cce_uri_append_canonical_path(struct cce_buf *out, struct cce_bytes raw);

/* "name=value&name=value" in the order given, without a question mark. The
 * "=" stands after a name without a value, too. */
void cce_uri_append_query(struct cce_buf *out, const struct cce_pair *query,
                          size_t count);

/* Sorts by the bytes of the raw name, then of the raw value: what the
 * signature wants, and an order as good as any on the wire. */
void cce_uri_sort_query(struct cce_pair *query, size_t count);

#endif
