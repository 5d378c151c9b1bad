/*
 * uri: raw paths and queries in, percent-encoded text out, encoded once.
 *
 * Only A-Z a-z 0-9 - _ . ~ stay as they are; every other byte becomes %XX in
 * upper-case hex. Nothing is decoded or normalised: "//", "." and ".." stay,
 * as in every official SDK. What does not fit fails the buffer (buf.h).
 */
#ifndef CCE_CORE_URI_H
#define CCE_CORE_URI_H

#include <stddef.h>

#include "core/buf.h"
#include "core/bytes.h"

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

enum { CCE_URI_SHOWN = 121 }; /* bytes, the NUL included */

/* What a message may show of a text that was meant as an address: one line,
 * shortened, and without what may be a password or a token. That is all before
 * the last "@", whatever stands there, a port that is no number, and a query or
 * a fragment. */
void cce_uri_show(const char *text, char shown[CCE_URI_SHOWN]);

#endif
