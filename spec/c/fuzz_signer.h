/* The signers that requests are fuzzed with. */
#ifndef CCE_SPEC_FUZZ_SIGNER_H
#define CCE_SPEC_FUZZ_SIGNER_H

#include "core/sign.h"
#include "fuzz.h"

/* which: 0 plain, 1 with a security token, 2 derived, 3 scoped. */
static inline struct cce_signer *the_signer(unsigned which)
{
    static struct cce_signer signers[4];
    static const struct cce_sign_options options[4] = {
        {.ak = CCE_BYTES("FAKEAK"), .sk = CCE_BYTES("not-a-real-key")},
        {.ak = CCE_BYTES("FAKEAK"),
         .sk = CCE_BYTES("not-a-real-key"),
         .security_token = CCE_BYTES("fake-token")},
        {.ak = CCE_BYTES("FAKEAK"),
         .sk = CCE_BYTES("not-a-real-key"),
         .algorithm = CCE_BYTES("V11-HMAC-SHA256"),
         .region = CCE_BYTES("cn-north-4"),
         .service = CCE_BYTES("cce")},
        {.ak = CCE_BYTES("FAKEAK"),
         .sk = CCE_BYTES("not-a-real-key"),
         .scheme = CCE_BYTES("scoped")},
    };
    struct cce_error err;

    if (signers[which].algorithm == NULL)
        REQUIRE(cce_sign_init(&signers[which], &options[which], &err) == 0);
    return &signers[which];
}

#endif
