/*
 * Any bytes there and back through Base64; and what decodes is the only
 * encoding of its bytes, blanks aside.
 */
#include "core/base64.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct cce_buf encoded, decoded, again;
    struct cce_error err;

    cce_buf_init(&encoded, 4 * size + 16);
    cce_buf_init(&decoded, 4 * size + 16);
    cce_buf_init(&again, 4 * size + 16);
    cce_base64_encode(text, size, &encoded);
    REQUIRE(encoded.length == cce_base64_length(size));
    if (size > 0) {
        REQUIRE(cce_base64_decode(encoded.data, encoded.length, &decoded,
                                  &err) == 0);
        REQUIRE(decoded.length == size);
        REQUIRE(memcmp(decoded.data, text, size) == 0);
    }
    cce_buf_reset(&decoded);
    if (cce_base64_decode(text, size, &decoded, &err) == 0) {
        size_t at = 0;

        cce_base64_encode(decoded.data, decoded.length, &again);
        for (size_t i = 0; i < size; i++)
            REQUIRE(cce_is_blank(text[i]) || text[i] == again.data[at++]);
        REQUIRE(at == again.length);
    } else {
        REQUIRE(decoded.length == 0 && fuzz_is_one_line(err.message));
    }
    cce_buf_cleanup(&encoded);
    cce_buf_cleanup(&decoded);
    cce_buf_cleanup(&again);
    return 0;
}
