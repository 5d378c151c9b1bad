/*
 * base64: the Base64 of RFC 4648, section 4, strictly.
 *
 * Both ways append to a cce_buf, so keys may pass through here: what a buffer
 * held is wiped, and no message repeats a byte of the input.
 */
#ifndef CCE_CORE_BASE64_H
#define CCE_CORE_BASE64_H

#include "core/buf.h"
#include "core/status.h"

/* The length of the encoding of `length` bytes, padding included. */
size_t cce_base64_length(size_t length);

/* Appends the encoding, on one line. Check out->failed afterwards. */
void cce_base64_encode(const void *bytes, size_t length, struct cce_buf *out);

/* Appends the bytes that `text` stands for. Spaces, tabs and line ends may
 * stand anywhere. Anything else is INVALID_ARGUMENT: a foreign character,
 * missing or surplus padding, an incomplete group, or a last character with
 * bits that no byte uses (a sign of a cut text). After a failure `out` is
 * empty. `out` needs a maximum of 3/4 of `length`, rounded up to 3. */
int cce_base64_decode(const char *text, size_t length, struct cce_buf *out,
                      struct cce_error *err);

#endif
