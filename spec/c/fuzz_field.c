/*
 * Any bytes as JSON or as an INI file of which one value is wanted; and any
 * bytes as a JSON string, which is read as they were.
 */
#include "core/field.h"
#include "core/ini.h"
#include "fuzz.h"

enum { MAXIMUM = 1 << 20 };

static void try_string(struct cce_bytes bytes)
{
    static const char *const path[] = {"other", "value"};
    struct cce_buf text, out;

    cce_buf_init(&text, MAXIMUM);
    cce_buf_init(&out, MAXIMUM);
    cce_buf_append_string(&text,
                          "{\"a\":[1,{\"value\":null}],\"other\":{\"value\":");
    cce_field_append_json(&text, bytes);
    cce_buf_append_string(&text, "}}");
    REQUIRE(!text.failed);
    REQUIRE(cce_field_json((struct cce_bytes){text.data, text.length}, path, 2,
                           &out));
    REQUIRE(cce_bytes_same((struct cce_bytes){out.data, out.length}, bytes));
    cce_buf_cleanup(&text);
    cce_buf_cleanup(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {{(const char *)data, size}};
    size_t lengths[2], length;
    char *names[2], *memory;
    struct cce_bytes text;
    struct cce_error err;
    struct cce_buf out;

    for (int i = 0; i < 2; i++)
        names[i] = fuzz_field(&input, true, &lengths[i]);
    memory = fuzz_field(&input, false, &length);
    text = (struct cce_bytes){memory, length};
    cce_buf_init(&out, MAXIMUM);
    for (size_t depth = 1; depth <= 2; depth++) {
        bool found =
            cce_field_json(text, (const char *const *)names, depth, &out);

        REQUIRE(found || out.length == 0);
        REQUIRE(out.length <= length);
        cce_buf_reset(&out);
    }
    if (cce_ini_check(text, names[0], &err) == 0 &&
        cce_ini_value(text, names[0], names[1], &out)) {
        struct cce_bytes value = {out.data, out.length};

        REQUIRE(value.length > 0 && value.length < length);
        REQUIRE(cce_bytes_same(cce_bytes_trim(value), value));
        REQUIRE(memchr(value.data, '\n', value.length) == NULL);
    } else {
        REQUIRE(out.length == 0);
    }
    cce_buf_cleanup(&out);
    try_string(text);
    free(memory);
    free(names[0]);
    free(names[1]);
    return 0;
}
