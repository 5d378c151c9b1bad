#include "core/bytes.h"

enum { ID_MAX = 128 };

bool cce_bytes_is_id(struct cce_bytes bytes)
{
    if (bytes.length == 0 || bytes.length > ID_MAX ||
        !cce_is_alphanumeric(bytes.data[0]))
        return false;
    for (size_t i = 1; i < bytes.length; i++) {
        char character = bytes.data[i];

        if (character == '.' && bytes.data[i - 1] == '.')
            return false;
        if (!cce_is_alphanumeric(character) && character != '.' &&
            character != '_' && character != '-')
            return false;
    }
    return true;
}

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
