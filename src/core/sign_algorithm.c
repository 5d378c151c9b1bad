#include "core/sign_algorithm.h"

#include <string.h>

static const struct cce_sign_algorithm algorithms[] = {
    {CCE_BYTES("SDK-HMAC-SHA256"), CCE_BYTES(""), CCE_SIGN_PLAIN,
     CCE_DIGEST_SHA256, CCE_BYTES("x-sdk-content-sha256")},
    {CCE_BYTES("SDK-HMAC-SM3"), CCE_BYTES(""), CCE_SIGN_PLAIN, CCE_DIGEST_SM3,
     CCE_BYTES("x-sdk-content-sm3")},
    {CCE_BYTES("V11-HMAC-SHA256"), CCE_BYTES(""), CCE_SIGN_V11,
     CCE_DIGEST_SHA256, CCE_BYTES("x-sdk-content-sha256")},
    {CCE_BYTES("SDK-HMAC-SHA256"), CCE_BYTES("scoped"), CCE_SIGN_SCOPED,
     CCE_DIGEST_SHA256, CCE_BYTES("x-sdk-content-sha256")},
};

const struct cce_sign_algorithm *
cce_sign_algorithm_find(struct cce_bytes name, struct cce_bytes scheme)
{
    if (name.length == 0)
        name = algorithms[0].name;
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
        if (cce_bytes_same(name, algorithms[i].name) &&
            cce_bytes_same(scheme, algorithms[i].scheme))
            return &algorithms[i];
    return NULL;
}

/* --- the key of a day --- */

struct cce_bytes cce_sign_algorithm_scope(const struct cce_signer *signer,
                                          struct cce_bytes date, char *memory)
{
    struct cce_buf scope;

    cce_buf_init_fixed(&scope, memory, CCE_SIGN_SCOPE_SIZE,
                       CCE_SIGN_SCOPE_SIZE - 1);
    cce_buf_append(&scope, date.data, CCE_DATE_DAY);
    cce_buf_append_char(&scope, '/');
    cce_buf_append_string(&scope, signer->region);
    cce_buf_append_char(&scope, '/');
    cce_buf_append_string(&scope, signer->service);
    if (signer->algorithm->layout == CCE_SIGN_SCOPED)
        cce_buf_append_string(&scope, "/sdk_request");
    return (struct cce_bytes){memory, scope.length};
}

/* The HMAC key is the hex text of what HKDF gives, not its bytes. */
static int derive_v11(struct cce_signer *signer, struct cce_bytes date,
                      struct cce_error *err)
{
    char memory[CCE_SIGN_SCOPE_SIZE], hex[CCE_DIGEST_HEX];
    unsigned char derived[CCE_DIGEST_SIZE];
    int result = cce_digest_hkdf(&signer->digest, cce_secret_bytes(&signer->sk),
                                 cce_bytes_of(signer->ak),
                                 cce_sign_algorithm_scope(signer, date, memory),
                                 derived, err);

    if (result == 0) {
        cce_digest_hex(derived, hex);
        result = cce_digest_key_set(&signer->key, &signer->digest,
                                    (struct cce_bytes){hex, sizeof hex}, err);
    }
    cce_wipe(derived, sizeof derived);
    cce_wipe(hex, sizeof hex);
    return result;
}

/* The first key is "SDK" and the secret key; each next one is the HMAC of a
 * part by the one before. */
static int derive_scoped(struct cce_signer *signer, struct cce_bytes date,
                         struct cce_error *err)
{
    const struct cce_bytes parts[] = {
        {date.data, CCE_DATE_DAY},
        cce_bytes_of(signer->region),
        cce_bytes_of(signer->service),
        CCE_BYTES("sdk_request"),
    };
    struct cce_bytes sk = cce_secret_bytes(&signer->sk), key;
    unsigned char link[CCE_DIGEST_SIZE];
    char memory[256];
    struct cce_buf first;
    int result = 0;

    cce_buf_init_fixed(&first, memory, sizeof memory, CCE_SECRET_MAX + 3);
    cce_buf_append_string(&first, "SDK");
    cce_buf_append(&first, sk.data, sk.length);
    if (first.failed)
        result = cce_fail_memory(err);
    key = (struct cce_bytes){first.data, first.length};
    for (size_t i = 0; result == 0 && i < sizeof parts / sizeof parts[0]; i++) {
        result =
            cce_digest_hmac_once(&signer->digest, key, parts[i], link, err);
        key = (struct cce_bytes){(char *)link, sizeof link};
    }
    if (result == 0)
        result = cce_digest_key_set(&signer->key, &signer->digest, key, err);
    cce_buf_cleanup(&first);
    cce_wipe(link, sizeof link);
    return result;
}

int cce_sign_algorithm_choose_key(struct cce_signer *signer,
                                  struct cce_bytes date, struct cce_error *err)
{
    enum cce_sign_layout layout = signer->algorithm->layout;
    int result;

    if (layout == CCE_SIGN_PLAIN ||
        memcmp(signer->key_day, date.data, CCE_DATE_DAY) == 0)
        return 0;
    memset(signer->key_day, 0, CCE_DATE_DAY);
    result = layout == CCE_SIGN_V11 ? derive_v11(signer, date, err)
                                    : derive_scoped(signer, date, err);
    if (result == 0)
        memcpy(signer->key_day, date.data, CCE_DATE_DAY);
    return result;
}
