#include "core/field.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

struct scanner {
    const char *at, *end;
};

/* ---- JSON ----
 *
 * A parser that builds values would leave each secret of the text in memory
 * that nobody wipes. This one walks to the one that is wanted, and checks only
 * what it needs to get there: the service's JSON may be more than that, never
 * less. */

/* The next byte that is no blank; 0 at the end. */
static char peek(struct scanner *s)
{
    while (s->at < s->end && cce_is_blank(*s->at))
        s->at++;
    return s->at < s->end ? *s->at : '\0';
}

static bool accept(struct scanner *s, char c)
{
    if (peek(s) != c)
        return false;
    s->at++;
    return true;
}

/* Four hexadecimal digits. */
static bool read_unit(struct scanner *s, uint32_t *unit)
{
    *unit = 0;
    if (s->end - s->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = *s->at++;
        bool is_letter = cce_lower(c) >= 'a' && cce_lower(c) <= 'f';

        if (!is_letter && !cce_is_digit(c))
            return false;
        *unit = *unit << 4 |
                (uint32_t)(is_letter ? cce_lower(c) - 'a' + 10 : c - '0');
    }
    return true;
}

/* What follows "\u"; a pair of surrogates is one character. */
static bool read_unicode(struct scanner *s, struct cce_buf *out)
{
    uint32_t code, low;

    if (!read_unit(s, &code))
        return false;
    if (code >= 0xD800 && code < 0xDC00) {
        if (s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
            return false;
        s->at += 2;
        if (!read_unit(s, &low) || low < 0xDC00 || low > 0xDFFF)
            return false;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code <= 0xDFFF) {
        return false;
    }
    if (out != NULL)
        cce_buf_append_utf8(out, code);
    return true;
}

static bool read_escape(struct scanner *s, struct cce_buf *out)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    const char *found;
    char c = s->at < s->end ? *s->at++ : '\0';

    if (c == 'u')
        return read_unicode(s, out);
    found = c != '\0' ? strchr(names, c) : NULL;
    if (found == NULL)
        return false;
    if (out != NULL)
        cce_buf_append_char(out, values[found - names]);
    return true;
}

/* From the quote to the quote; `out` may be NULL. */
static bool read_string(struct scanner *s, struct cce_buf *out)
{
    if (!accept(s, '"'))
        return false;
    while (s->at < s->end && *s->at != '"') {
        char c = *s->at++;

        if (c == '\\') {
            if (!read_escape(s, out))
                return false;
        } else if ((unsigned char)c < 0x20) {
            return false;
        } else if (out != NULL) {
            cce_buf_append_char(out, c);
        }
    }
    return accept(s, '"');
}

static bool skip_value(struct scanner *s, int depth);

static bool skip_list(struct scanner *s, char last, bool named, int depth)
{
    s->at++;
    if (accept(s, last))
        return true;
    do {
        if (named && !(read_string(s, NULL) && accept(s, ':')))
            return false;
        if (!skip_value(s, depth + 1))
            return false;
    } while (accept(s, ','));
    return accept(s, last);
}

static bool skip_value(struct scanner *s, int depth)
{
    char c = peek(s);
    const char *start = s->at;

    if (depth > MAX_DEPTH)
        return false;
    if (c == '{')
        return skip_list(s, '}', true, depth);
    if (c == '[')
        return skip_list(s, ']', false, depth);
    if (c == '"')
        return read_string(s, NULL);
    /* A number or a word. */
    while (s->at < s->end && !cce_is_blank(*s->at) &&
           strchr(",]}", *s->at) == NULL)
        s->at++;
    return s->at > start;
}

/* Moves to the value of a member of the object that begins here. */
static bool enter(struct scanner *s, const char *name)
{
    if (!accept(s, '{'))
        return false;
    do {
        const char *start = (peek(s), s->at);
        struct cce_bytes found;
        bool wanted;

        if (!read_string(s, NULL))
            return false;
        found.data = start + 1; /* between the quotes */
        found.length = (size_t)(s->at - start) - 2;
        wanted = cce_bytes_same(found, cce_bytes_of(name));
        if (!accept(s, ':'))
            return false;
        if (wanted)
            return true;
        if (!skip_value(s, 0))
            return false;
    } while (accept(s, ','));
    return false;
}

bool cce_field_json(struct cce_bytes text, const char *const *path,
                    size_t depth, struct cce_buf *out)
{
    struct scanner s = {text.data, text.data + text.length};

    for (size_t i = 0; i < depth; i++)
        if (!enter(&s, path[i]))
            return false;
    if (read_string(&s, out))
        return true;
    cce_buf_reset(out);
    return false;
}

void cce_field_append_json(struct cce_buf *out, struct cce_bytes bytes)
{
    char escape[8];

    cce_buf_append_char(out, '"');
    for (size_t i = 0; i < bytes.length; i++) {
        unsigned char c = (unsigned char)bytes.data[i];

        if (c < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", c);
            cce_buf_append_string(out, escape);
            continue;
        }
        if (c == '"' || c == '\\')
            cce_buf_append_char(out, '\\');
        cce_buf_append_char(out, (char)c);
    }
    cce_buf_append_char(out, '"');
}
