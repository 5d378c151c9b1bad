/*
 * buf: growable bytes with a maximum and a sticky error.
 *
 * Append as often as needed and check `failed` once, at the end: after the
 * first failure (memory, or the maximum) every append does nothing. What the
 * buffer held is wiped when it grows, is reset to another size or is freed,
 * so that it may hold secrets. The bytes are always followed by a NUL that
 * `length` does not count.
 */
#ifndef CCE_CORE_BUF_H
#define CCE_CORE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cce_buf {
    char *data; /* NULL until the first append, unless `fixed` */
    size_t length;
    size_t capacity; /* bytes allocated, the NUL included */
    size_t maximum;  /* most bytes that may be held, the NUL excluded */
    char *fixed;     /* the caller's first memory (a stack array), or NULL */
    bool failed;     /* an append did not fit, or memory ran out */
    bool too_long;   /* it was the maximum */
};

/* An empty buffer that may hold `maximum` bytes. Allocates nothing. */
void cce_buf_init(struct cce_buf *buf, size_t maximum);

/* The same, but starts in `memory` (of `size` > 0 bytes, which must outlive
 * the buffer) and moves to the heap only when that is full. */
void cce_buf_init_fixed(struct cce_buf *buf, char *memory, size_t size,
                        size_t maximum);

void cce_buf_append(struct cce_buf *buf, const void *bytes, size_t length);
void cce_buf_append_string(struct cce_buf *buf, const char *string);
void cce_buf_append_char(struct cce_buf *buf, char character);

/* A character of Unicode (up to 0x10ffff) in UTF-8. */
void cce_buf_append_utf8(struct cce_buf *buf, uint32_t code);

/* Room for `length` more bytes, to be written by the caller and then counted
 * in with cce_buf_commit; NULL (and `failed`) when there is none. */
char *cce_buf_reserve(struct cce_buf *buf, size_t length);
void cce_buf_commit(struct cce_buf *buf, size_t length);

/* Empties the buffer and its error, keeps and wipes the memory. */
void cce_buf_reset(struct cce_buf *buf);

/* Wipes and frees. The buffer is then as after cce_buf_init. Idempotent. */
void cce_buf_cleanup(struct cce_buf *buf);

/* Overwrites memory in a way that the compiler does not drop. */
void cce_wipe(void *memory, size_t size);

#endif
