/*
 * base64: the vectors of RFC 4648, every length around a group, and what must
 * not decode.
 */
#include <string.h>

#include "check.h"
#include "core/base64.h"

static const struct {
    const char *bytes, *text;
} vectors[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xfb\xef\xff", "++//"},
};

/* Not one of them may decode, whatever stands before or after it. */
static const char *const wrong[] = {
    "Z",     "Zg",   "Zg=",   "Zg===",   "Zm8",        "Zm8==", "Zm9v=",
    "=",     "==",   "====",  "Zh==",    "Zm9=",       "Z===",  "Zg=a",
    "Zg==a", "Zm-_", "Zm9v,", "Zm9v\\n", "\xc3\xa4Zm", "Zm9v.", "Zg==Zg==",
};

static void check_vector(const char *bytes, const char *text)
{
    struct cce_buf encoded, decoded;
    struct cce_error err;
    size_t length = strlen(bytes);

    cce_buf_init(&encoded, 64);
    cce_buf_init(&decoded, 64);
    cce_base64_encode(bytes, length, &encoded);
    CHECK(!encoded.failed && encoded.length == strlen(text));
    CHECK(cce_base64_length(length) == encoded.length);
    CHECK(memcmp(encoded.data, text, encoded.length) == 0);
    CHECK(cce_base64_decode(text, strlen(text), &decoded, &err) == 0);
    CHECK(decoded.length == length);
    CHECK(memcmp(decoded.data, bytes, length) == 0);
    cce_buf_cleanup(&encoded);
    cce_buf_cleanup(&decoded);
}

static void check_wrong(const char *text, size_t length)
{
    struct cce_buf decoded;
    struct cce_error err;

    cce_buf_init(&decoded, 64);
    CHECK(cce_base64_decode(text, length, &decoded, &err) != 0);
    CHECK(err.code == CCE_INVALID_ARGUMENT);
    CHECK(decoded.length == 0 && !decoded.failed);
    cce_buf_cleanup(&decoded);
}

static void check_spaces(void)
{
    static const char text[] = " Zm9v\r\n\tYm\nF y\n";
    struct cce_buf decoded;
    struct cce_error err;

    cce_buf_init(&decoded, 64);
    CHECK(cce_base64_decode(text, strlen(text), &decoded, &err) == 0);
    CHECK(strcmp(decoded.data, "foobar") == 0);
    cce_buf_cleanup(&decoded);
}

static void check_limits(void)
{
    struct cce_buf buf;
    struct cce_error err;

    cce_buf_init(&buf, 7);
    cce_base64_encode("foobar", 6, &buf);
    CHECK(buf.failed && buf.length == 0);
    cce_buf_cleanup(&buf);
    cce_buf_init(&buf, 5);
    CHECK(cce_base64_decode("Zm9vYmFy", 8, &buf, &err) != 0);
    CHECK(err.code == CCE_INVALID_ARGUMENT && !buf.failed);
    cce_buf_cleanup(&buf);
}

int main(void)
{
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        check_vector(vectors[i].bytes, vectors[i].text);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        check_wrong(wrong[i], strlen(wrong[i]));
    check_wrong("Zm9v\0", 5);
    check_spaces();
    check_limits();
    return 0;
}
