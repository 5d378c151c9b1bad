/*
 * libFuzzer: any bytes as a certificate, as a key and as a CA. Base64 must
 * come back as it was.
 *
 *   clang -g -O1 -D_GNU_SOURCE -Isrc -fsanitize=fuzzer,address,undefined \
 *       spec/c/fuzz_certificate.c src/core/x509/certificate.c src/core/base64.c
 * src/core/buf.c \ src/core/status.c -lcrypto -o fuzz_certificate
 */
#include <stdlib.h>
#include <string.h>

#include "core/base64.h"
#include "core/x509/certificate_facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Text is for terminals: a control character in it is a failure. */
static void check_text(const struct cce_buf *text)
{
    for (size_t i = 0; i < text->length; i++)
        if ((unsigned char)text->data[i] < 0x20 || text->data[i] == 0x7f)
            abort();
}

static void try_certificate(const char *text, size_t size,
                            const struct cce_certificate_key *key)
{
    struct cce_certificate certificate = {0};
    struct cce_certificate_facts facts = {0};
    struct cce_error err;
    bool matches;

    if (cce_certificate_parse(text, size, &certificate, &err) != 0)
        return;
    if (cce_certificate_facts_read(&certificate, &facts, &err) == 0) {
        check_text(&facts.user_id);
        check_text(&facts.subject);
        check_text(&facts.issuer);
        cce_certificate_facts_cleanup(&facts);
    }
    if (key->pkey != NULL)
        cce_certificate_key_matches(&certificate, key, &matches, &err);
    cce_certificate_check_issuer(&certificate, &certificate, 1893456000, &err);
    cce_certificate_cleanup(&certificate);
}

static void try_base64(const char *text, size_t size)
{
    struct cce_buf encoded, decoded, again;
    struct cce_error err;

    cce_buf_init(&encoded, 4 * size + 16);
    cce_buf_init(&decoded, 4 * size + 16);
    cce_buf_init(&again, 4 * size + 16);
    cce_base64_encode(text, size, &encoded);
    if (encoded.length != cce_base64_length(size) ||
        (size > 0 && cce_base64_decode(encoded.data, encoded.length, &decoded,
                                       &err) != 0) ||
        decoded.length != size ||
        (size > 0 && memcmp(decoded.data, text, size) != 0))
        abort();
    /* What decodes is the only encoding of its bytes, spaces aside. */
    cce_buf_reset(&decoded);
    if (cce_base64_decode(text, size, &decoded, &err) == 0) {
        cce_base64_encode(decoded.data, decoded.length, &again);
        for (size_t i = 0, j = 0; i < size; i++)
            if (strchr(" \t\r\n", text[i]) == NULL &&
                text[i] != again.data[j++])
                abort();
    }
    cce_buf_cleanup(&encoded);
    cce_buf_cleanup(&decoded);
    cce_buf_cleanup(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cce_certificate_key key = {0};
    const char *text = (const char *)data;
    struct cce_error err;

    try_base64(text, size);
    cce_certificate_parse_key(text, size, &key, &err);
    try_certificate(text, size, &key);
    cce_certificate_key_cleanup(&key);
    return 0;
}
