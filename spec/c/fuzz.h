/*
 * fuzz: what the fuzzers share. Each is a libFuzzer program: `make fuzz` builds
 * all and runs each for a while; spec/c/corpus/<name> holds its seeds.
 */
#ifndef CCE_SPEC_FUZZ_H
#define CCE_SPEC_FUZZ_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) \
    do {                   \
        if (!(condition))  \
            abort();       \
    } while (0)

/* The input is read as fields with 0xff between, a byte that no text has. */
struct fuzz_input {
    struct cce_bytes rest;
};

/* The next field, in memory of its own size, so that reading past its end is
 * seen; a NUL follows when `terminated`. The caller frees it. */
static inline char *fuzz_field(struct fuzz_input *input, bool terminated,
                               size_t *length)
{
    const char *end = input->rest.length > 0
                          ? memchr(input->rest.data, 0xff, input->rest.length)
                          : NULL;
    size_t taken =
        end != NULL ? (size_t)(end - input->rest.data) : input->rest.length;
    char *copy = malloc(taken + terminated + (taken + terminated == 0));

    REQUIRE(copy != NULL);
    if (taken > 0)
        memcpy(copy, input->rest.data, taken);
    if (terminated)
        copy[taken] = '\0';
    input->rest.data += taken + (end != NULL);
    input->rest.length -= taken + (end != NULL);
    *length = taken;
    return copy;
}

static inline bool fuzz_is_one_line(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

#endif
