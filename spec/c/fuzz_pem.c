/*
 * Any bytes as a PEM, DER or Base64 text. What is read as PEM is the same PEM
 * when it is read once more, and its lines have no blank before them.
 */
#include <openssl/err.h>

#include "core/x509/pem.h"
#include "fuzz.h"

static int count(const struct cce_pem_block *block, void *context,
                 struct cce_error *err)
{
    (void)err;
    REQUIRE(block->length >= 0);
    *(int *)context += 1;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct cce_buf pem, again;
    struct cce_error err;
    int blocks = 0;

    for (int kind = CCE_PEM_CERTIFICATES; kind <= CCE_PEM_KEY; kind++) {
        cce_buf_init(&pem, CCE_PEM_TEXT_MAX);
        cce_buf_init(&again, CCE_PEM_TEXT_MAX);
        if (cce_pem_only(text, size, (enum cce_pem_kind)kind, &pem, &err) ==
            0) {
            REQUIRE(cce_pem_is(pem.data, pem.length));
            REQUIRE(memmem(pem.data, pem.length, "\n -----BEGIN ", 13) == NULL);
            REQUIRE(cce_pem_open(pem.data, pem.length, (enum cce_pem_kind)kind,
                                 &again, &err) == 0);
            REQUIRE(again.length == pem.length);
            REQUIRE(memcmp(again.data, pem.data, pem.length) == 0);
            cce_pem_walk(&pem, (enum cce_pem_kind)kind, count, &blocks, &err);
        } else {
            REQUIRE(fuzz_is_one_line(err.message));
        }
        cce_buf_cleanup(&pem);
        cce_buf_cleanup(&again);
        ERR_clear_error();
    }
    return 0;
}
