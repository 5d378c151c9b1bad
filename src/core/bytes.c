#include "core/bytes.h"

struct cce_bytes cce_bytes_trim(struct cce_bytes bytes)
{
    while (bytes.length > 0 && cce_is_blank(bytes.data[0])) {
        bytes.data++;
        bytes.length--;
    }
    while (bytes.length > 0 && cce_is_blank(bytes.data[bytes.length - 1]))
        bytes.length--;
    return bytes;
}

bool cce_bytes_next_line(struct cce_bytes *text, struct cce_bytes *line)
{
    const char *end;

    if (text->length == 0)
        return false;
    end = memchr(text->data, '\n', text->length);
    line->data = text->data;
    line->length = end != NULL ? (size_t)(end - text->data) : text->length;
    text->data += line->length + (end != NULL);
    text->length -= line->length + (end != NULL);
    if (line->length > 0 && line->data[line->length - 1] == '\r')
        line->length--;
    return true;
}
