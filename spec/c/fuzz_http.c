/*
 * Any bytes as the head of an answer: every header that is found has a name
 * and a value that are such, without blanks around them, and no line goes
 * beyond the head.
 */
#include "core/wire/http.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {{(const char *)data, size}};
    struct cce_bytes lines, head;
    struct cce_pair header;
    size_t length, found = 0;
    char *memory = fuzz_field(&input, false, &length);
    int status;

    head = lines = (struct cce_bytes){memory, length};
    status = cce_http_status(head);
    REQUIRE(status >= 0 && status <= 999);
    while (cce_http_next_header(&lines, &header)) {
        found++;
        REQUIRE(cce_http_is_name(header.name));
        REQUIRE(header.name.data >= memory);
        REQUIRE(header.value.data + header.value.length <= memory + length);
        REQUIRE(cce_bytes_same(cce_bytes_trim(header.value), header.value));
        REQUIRE(cce_http_is_value(header.value));
    }
    REQUIRE(lines.length == 0 && found <= length);
    free(memory);
    return 0;
}
