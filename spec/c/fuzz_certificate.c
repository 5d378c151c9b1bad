/*
 * Any bytes as a certificate, as a key and as a CA.
 */
#include "core/x509/certificate_facts.h"
#include "fuzz.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cce_certificate_key key = {0};
    const char *text = (const char *)data;
    struct cce_error err;

    cce_certificate_parse_key(text, size, &key, &err);
    try_certificate(text, size, &key);
    cce_certificate_key_cleanup(&key);
    return 0;
}
