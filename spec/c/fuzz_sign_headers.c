/*
 * Any bytes as the parts of a request to sign: whatever is signed, each part
 * has its own lines in the canonical request, which nothing in it can add to.
 */
#include "core/sign.h"
#include "fuzz.h"
#include "fuzz_signer.h"

enum { MAX_FIELDS = 64, MAX_PAIRS = 12 };

static size_t occurrences(struct cce_bytes text, char wanted)
{
    size_t count = 0;

    for (size_t i = 0; i < text.length; i++)
        count += text.data[i] == wanted;
    return count;
}

/* method, path, query, the headers, an empty line, their names, the hash. */
static void check_lines(const struct cce_sign_result *result)
{
    struct cce_bytes authorization = result->authorization;
    const char *names =
        memmem(authorization.data, authorization.length, "SignedHeaders=", 14);
    const char *end;
    size_t signed_count;

    REQUIRE(names != NULL);
    names += 14;
    end = memchr(names, ',',
                 (size_t)(authorization.data + authorization.length - names));
    REQUIRE(end != NULL);
    signed_count =
        1 + occurrences((struct cce_bytes){names, (size_t)(end - names)}, ';');
    REQUIRE(occurrences(result->canonical_request, '\n') == 5 + signed_count);
    REQUIRE(occurrences(authorization, '\n') == 0);
    REQUIRE(occurrences(authorization, '\r') == 0);
    REQUIRE(strlen(authorization.data) == authorization.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {{(const char *)data + 1, size - 1}};
    struct cce_pair pairs[2][MAX_PAIRS];
    struct cce_bytes names[MAX_PAIRS], *parts[4];
    struct cce_sign_request request = {.default_date =
                                           CCE_BYTES("20260102T030405Z")};
    struct cce_sign_work work;
    struct cce_sign_result result;
    struct cce_error err;
    char *memory[MAX_FIELDS];
    size_t count = 0, taken;
    unsigned choice;

    if (size < 2)
        return 0;
    choice = data[0];
#define TAKE(to)                                        \
    (memory[count] = fuzz_field(&input, false, &taken), \
     *(to) = (struct cce_bytes){memory[count], taken}, count++)
    parts[0] = &request.method;
    parts[1] = &request.host;
    parts[2] = &request.path;
    parts[3] = &request.date;
    for (int i = 0; i < 3 + (choice >> 7 != 0); i++)
        TAKE(parts[i]);
    for (int kind = 0; kind < 2; kind++) {
        size_t *length =
            kind == 0 ? &request.header_count : &request.query_count;

        while (*length < (choice >> 2 & 7) && input.rest.length > 0) {
            TAKE(&pairs[kind][*length].name);
            TAKE(&pairs[kind][*length].value);
            ++*length;
        }
    }
    request.headers = pairs[0];
    request.query = pairs[1];
    if (choice & 32) {
        while (request.signed_count < MAX_PAIRS && input.rest.length > 0) {
            TAKE(&names[request.signed_count]);
            request.signed_count++;
        }
        request.signed_headers = names;
    }
    request.body = input.rest;
    cce_sign_work_init(&work);
    if (cce_sign_request(the_signer(choice & 3), &request, &work, &result,
                         &err) == 0)
        check_lines(&result);
    else
        REQUIRE(fuzz_is_one_line(err.message));
    cce_sign_work_cleanup(&work);
    for (size_t i = 0; i < count; i++)
        free(memory[i]);
    return 0;
}
