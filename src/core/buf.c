#include "core/buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CCE_BUF_FIRST_CAPACITY = 256 };

void cce_wipe(void *memory, size_t size)
{
    if (memory == NULL || size == 0)
        return;
    memset(memory, 0, size);
    /* The bytes count as read here, so the memset above must happen. */
    __asm__ __volatile__("" : : "r"(memory) : "memory");
}

void cce_buf_init(struct cce_buf *buf, size_t maximum)
{
    memset(buf, 0, sizeof *buf);
    buf->maximum = maximum;
}

void cce_buf_init_fixed(struct cce_buf *buf, char *memory, size_t size,
                        size_t maximum)
{
    cce_buf_init(buf, maximum);
    buf->fixed = buf->data = memory;
    buf->capacity = size;
    memory[0] = '\0';
}

/* realloc would leave a copy of the old bytes behind, so grow by hand: doubled
 * each time, which keeps the copying in proportion to what is appended. */
static bool grow(struct cce_buf *buf, size_t needed)
{
    size_t capacity = buf->capacity;
    char *data;

    if (capacity < CCE_BUF_FIRST_CAPACITY)
        capacity = CCE_BUF_FIRST_CAPACITY;
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    data = malloc(capacity);
    if (data == NULL) {
        buf->failed = true;
        return false;
    }
    if (buf->length > 0)
        memcpy(data, buf->data, buf->length);
    cce_wipe(buf->data, buf->length);
    if (buf->data != buf->fixed)
        free(buf->data);
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

char *cce_buf_reserve(struct cce_buf *buf, size_t length)
{
    if (buf->failed)
        return NULL;
    if (length > buf->maximum - buf->length) {
        buf->failed = buf->too_long = true;
        return NULL;
    }
    if (buf->length + length + 1 > buf->capacity &&
        !grow(buf, buf->length + length + 1))
        return NULL;
    return buf->data + buf->length;
}

void cce_buf_commit(struct cce_buf *buf, size_t length)
{
    buf->length += length;
    buf->data[buf->length] = '\0';
}

void cce_buf_append(struct cce_buf *buf, const void *bytes, size_t length)
{
    char *room = cce_buf_reserve(buf, length);

    if (room == NULL)
        return;
    if (length > 0)
        memcpy(room, bytes, length);
    cce_buf_commit(buf, length);
}

void cce_buf_append_string(struct cce_buf *buf, const char *string)
{
    cce_buf_append(buf, string, strlen(string));
}

void cce_buf_append_char(struct cce_buf *buf, char character)
{
    cce_buf_append(buf, &character, 1);
}

void cce_buf_append_utf8(struct cce_buf *buf, uint32_t code)
{
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    char bytes[4];

    for (size_t i = length - 1; i > 0; i--, code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(leads[length] | code);
    cce_buf_append(buf, bytes, length);
}

void cce_buf_reset(struct cce_buf *buf)
{
    cce_wipe(buf->data, buf->length);
    buf->length = 0;
    buf->failed = buf->too_long = false;
}

void cce_buf_cleanup(struct cce_buf *buf)
{
    cce_wipe(buf->data, buf->length);
    if (buf->data != buf->fixed)
        free(buf->data);
    cce_buf_init(buf, buf->maximum);
}
