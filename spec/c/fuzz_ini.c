/*
 * Any key file: what the check lets through gives keys that can be keys, the
 * same ones whatever ends its lines and whatever comment follows it; what is
 * refused is refused for a line, whose text is not repeated.
 */
#include "core/ini.h"
#include "fuzz.h"

#include <stdio.h>

enum { LONGEST = 4096 };

static const char section[] = "basic";

/* What `key` is; its length is 0 when there is none. */
static void read_value(struct cce_bytes text, const char *key,
                       struct cce_buf *value)
{
    bool found;

    cce_buf_reset(value);
    found = cce_ini_value(text, section, key, value);
    REQUIRE(!value->failed && found == (value->length > 0));
}

static void same_keys(struct cce_bytes text, struct cce_bytes other)
{
    static const char *const keys[] = {"ak", "sk", "security_token"};
    struct cce_error err;
    struct cce_buf value, again;

    REQUIRE(cce_ini_check(other, section, &err) == 0);
    cce_buf_init(&value, LONGEST);
    cce_buf_init(&again, LONGEST);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        read_value(text, keys[i], &value);
        read_value(other, keys[i], &again);
        REQUIRE(value.length == again.length &&
                (value.length == 0 ||
                 memcmp(value.data, again.data, value.length) == 0));
        REQUIRE(cce_key_problem((struct cce_bytes){value.data, value.length}) ==
                NULL);
    }
    cce_buf_cleanup(&value);
    cce_buf_cleanup(&again);
}

/* The number of the line that a message begins with. */
static size_t line_of(const char *message)
{
    unsigned long number = 0;

    REQUIRE(sscanf(message, "line %lu: ", &number) == 1);
    return number;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cce_bytes text = {(const char *)data, size};
    struct cce_error err;
    struct cce_buf other;
    size_t lines = 1;

    if (size > LONGEST / 2)
        return 0;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n' || data[i] == '\r';
    if (cce_ini_check(text, section, &err) != 0) {
        REQUIRE(err.code == CCE_INVALID_ARGUMENT);
        REQUIRE(line_of(err.message) >= 1 && line_of(err.message) <= lines);
        REQUIRE(fuzz_is_one_line(err.message));
        return 0;
    }
    /* Whatever is wrong with the whole is wrong with a section of it. */
    REQUIRE(cce_ini_check(text, NULL, &err) == 0);

    cce_buf_init(&other, LONGEST);
    cce_buf_append(&other, text.data, text.length);
    cce_buf_append_string(&other, "\n# a comment\n  ; and another");
    same_keys(text, (struct cce_bytes){other.data, other.length});

    cce_buf_reset(&other);
    for (size_t i = 0; i < size; i++)
        if (text.data[i] == '\n' && (i == 0 || text.data[i - 1] != '\r'))
            cce_buf_append_string(&other, "\r\n");
        else
            cce_buf_append_char(&other, text.data[i]);
    same_keys(text, (struct cce_bytes){other.data, other.length});
    cce_buf_cleanup(&other);
    return 0;
}
