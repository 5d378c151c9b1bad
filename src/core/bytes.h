/*
 * bytes: a run of bytes that belongs to somebody else, and the few questions
 * that are asked of one. ASCII only, in any locale: isspace, tolower and
 * strcasecmp ask the host's locale, and a Turkish one has another small "I".
 */
#ifndef CCE_CORE_BYTES_H
#define CCE_CORE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* May hold zero bytes. */
struct cce_bytes {
    const char *data; /* may be NULL when length is 0 */
    size_t length;
};

/* The bytes of a string literal, to initialise them with. */
/* clang-format off */
#define CCE_BYTES(literal) {literal, sizeof literal - 1}
/* clang-format on */

static inline struct cce_bytes cce_bytes_of(const char *string)
{
    return (struct cce_bytes){string, strlen(string)};
}

static inline bool cce_bytes_same(struct cce_bytes a, struct cce_bytes b)
{
    return a.length == b.length &&
           (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool cce_is_blank(char character)
{
    return character == ' ' || character == '\t' || character == '\r' ||
           character == '\n';
}

static inline bool cce_is_digit(char character)
{
    return character >= '0' && character <= '9';
}

static inline bool cce_is_alphanumeric(char character)
{
    return cce_is_digit(character) || (character >= 'a' && character <= 'z') ||
           (character >= 'A' && character <= 'Z');
}

static inline unsigned char cce_lower(char character)
{
    unsigned char byte = (unsigned char)character;

    return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

/* The classes (bits of `table`) that all bytes share; all for no bytes. Every
 * byte that is signed goes through here, so it takes them by fours. */
static inline unsigned cce_bytes_classes(const unsigned char table[256],
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

/* Whether they are the same but for the case of ASCII's letters. */
static inline bool cce_bytes_same_letters(struct cce_bytes a,
                                          struct cce_bytes b)
{
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++)
        if (cce_lower(a.data[i]) != cce_lower(b.data[i]))
            return false;
    return true;
}

/* Whether `bytes` begins with `start`, in whatever case. */
static inline bool cce_bytes_begins(struct cce_bytes bytes,
                                    struct cce_bytes start)
{
    if (bytes.length > start.length)
        bytes.length = start.length;
    return cce_bytes_same_letters(bytes, start);
}

/* Without the blanks and line ends around. */
struct cce_bytes cce_bytes_trim(struct cce_bytes bytes);

/* Takes the next line off *text, without its line end. False at the end. */
bool cce_bytes_next_line(struct cce_bytes *text, struct cce_bytes *line);

/* A query parameter or a header. */
struct cce_pair {
    struct cce_bytes name, value;
};

#endif
