#include "core/digest.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#include "core/openssl_compat.h"

enum { HKDF_INFO_MAX = 512 };

static const char *const names[CCE_DIGEST_KINDS] = {"SHA256", "SM3"};

/* Written once, by the first that fetched; a fetch that failed is tried again
 * by the next caller, which pthread_once would not do. */
static EVP_MD *fetched[CCE_DIGEST_KINDS];

/* Empties OpenSSL's queue; the last error in it, or a lack of memory, which
 * other errors follow, but which is the cause. */
static unsigned long take_error(void)
{
    unsigned long code, taken = 0;

    while ((code = ERR_get_error()) != 0)
        if (ERR_GET_REASON(taken) != ERR_R_MALLOC_FAILURE)
            taken = code;
    return taken;
}

/* A digest that was fetched lacks nothing but memory when it cannot start or
 * be copied, though OpenSSL may name the consequence or nothing. */
static bool lacks_memory(unsigned long code)
{
    int reason = ERR_GET_REASON(code);

    return code == 0 || reason == ERR_R_MALLOC_FAILURE ||
           reason == EVP_R_INITIALIZATION_ERROR ||
           reason == EVP_R_NOT_ABLE_TO_COPY_CTX;
}

static int fail_openssl(struct cce_error *err, const char *what)
{
    unsigned long code = take_error();

    if (lacks_memory(code))
        return cce_fail_memory(err);
    return cce_fail(err, CCE_INTERNAL, "OpenSSL failed to %s (error %lx)", what,
                    code);
}

static int fail_fetch(struct cce_error *err, const char *name)
{
    unsigned long code = take_error();

    if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
        return cce_fail_memory(err);
    return cce_fail(err, CCE_UNSUPPORTED,
                    "the OpenSSL of this machine does not offer %s "
                    "(error %lx)",
                    name, code);
}

static const EVP_MD *fetch(enum cce_digest_kind kind, struct cce_error *err)
{
    EVP_MD *known = __atomic_load_n(&fetched[kind], __ATOMIC_ACQUIRE);
    EVP_MD *ours;

    if (known != NULL)
        return known;
    /* Without this, OpenSSL 3.0 crashes in the fetch when memory runs out in
     * its own one-time initialisation. */
    if (!OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL) ||
        OSSL_LIB_CTX_get0_global_default() == NULL) {
        fail_fetch(err, names[kind]);
        return NULL;
    }
    ours = EVP_MD_fetch(NULL, names[kind], NULL);
    if (ours == NULL) {
        fail_fetch(err, names[kind]);
        return NULL;
    }
    if (__atomic_compare_exchange_n(&fetched[kind], &known, ours, false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return ours;
    EVP_MD_free(ours);
    return known;
}

int cce_digest_init(struct cce_digest *digest, enum cce_digest_kind kind,
                    struct cce_error *err)
{
    memset(digest, 0, sizeof *digest);
    digest->algorithm = fetch(kind, err);
    if (digest->algorithm == NULL)
        return -1;
    digest->scratch = EVP_MD_CTX_new();
    return digest->scratch != NULL ? 0 : fail_openssl(err, "make a context");
}

void cce_digest_cleanup(struct cce_digest *digest)
{
    EVP_MD_CTX_free(digest->scratch);
    memset(digest, 0, sizeof *digest);
}

int cce_digest_hash(struct cce_digest *digest, struct cce_bytes data,
                    unsigned char hash[CCE_DIGEST_SIZE], struct cce_error *err)
{
    EVP_MD_CTX *scratch = digest->scratch;

    if (EVP_DigestInit_ex2(scratch, digest->algorithm, NULL) &&
        EVP_DigestUpdate(scratch, data.data, data.length) &&
        EVP_DigestFinal_ex(scratch, hash, NULL))
        return 0;
    return fail_openssl(err, "hash");
}

/* The inner block, then the outer one. */
enum { PADS_SIZE = 2 * CCE_DIGEST_BLOCK };

/* A key that is longer than a block counts by its hash (RFC 2104). */
static int write_pads(struct cce_digest *digest, struct cce_bytes secret,
                      unsigned char pads[PADS_SIZE], struct cce_error *err)
{
    unsigned char padded[CCE_DIGEST_BLOCK] = {0};
    int result = 0;

    if (secret.length > sizeof padded)
        result = cce_digest_hash(digest, secret, padded, err);
    else if (secret.length > 0)
        memcpy(padded, secret.data, secret.length);
    for (size_t i = 0; i < sizeof padded; i++) {
        pads[i] = padded[i] ^ 0x36;
        pads[CCE_DIGEST_BLOCK + i] = padded[i] ^ 0x5c;
    }
    cce_wipe(padded, sizeof padded);
    return result;
}

int cce_digest_key_set(struct cce_digest_key *key, struct cce_digest *digest,
                       struct cce_bytes secret, struct cce_error *err)
{
    unsigned char pads[PADS_SIZE];
    int result = write_pads(digest, secret, pads, err);

    cce_secret_cleanup(&key->pads);
    if (result == 0)
        result = cce_secret_init(
            &key->pads, (struct cce_bytes){(char *)pads, sizeof pads}, err);
    cce_wipe(pads, sizeof pads);
    return result;
}

void cce_digest_key_cleanup(struct cce_digest_key *key)
{
    cce_secret_cleanup(&key->pads);
}

/* A hash that ends leaves its result in the scratch state, and no more of what
 * it read: here that is the MAC. */
static int hmac(const struct cce_digest *digest, const char *pads,
                struct cce_bytes data, unsigned char mac[CCE_DIGEST_SIZE],
                struct cce_error *err)
{
    EVP_MD_CTX *scratch = digest->scratch;
    unsigned char outer[CCE_DIGEST_BLOCK + CCE_DIGEST_SIZE];
    int done;

    memcpy(outer, pads + CCE_DIGEST_BLOCK, CCE_DIGEST_BLOCK);
    done = EVP_DigestInit_ex2(scratch, digest->algorithm, NULL) &&
           EVP_DigestUpdate(scratch, pads, CCE_DIGEST_BLOCK) &&
           EVP_DigestUpdate(scratch, data.data, data.length) &&
           EVP_DigestFinal_ex(scratch, outer + CCE_DIGEST_BLOCK, NULL) &&
           EVP_DigestInit_ex2(scratch, digest->algorithm, NULL) &&
           EVP_DigestUpdate(scratch, outer, sizeof outer) &&
           EVP_DigestFinal_ex(scratch, mac, NULL);
    cce_wipe(outer, sizeof outer);
    return done ? 0 : fail_openssl(err, "compute an HMAC");
}

int cce_digest_hmac(struct cce_digest *digest, const struct cce_digest_key *key,
                    struct cce_bytes data, unsigned char mac[CCE_DIGEST_SIZE],
                    struct cce_error *err)
{
    return hmac(digest, key->pads.data, data, mac, err);
}

int cce_digest_hmac_once(struct cce_digest *digest, struct cce_bytes secret,
                         struct cce_bytes data,
                         unsigned char mac[CCE_DIGEST_SIZE],
                         struct cce_error *err)
{
    unsigned char pads[PADS_SIZE];
    int result = write_pads(digest, secret, pads, err);

    if (result == 0)
        result = hmac(digest, (char *)pads, data, mac, err);
    cce_wipe(pads, sizeof pads);
    return result;
}

int cce_digest_hkdf(struct cce_digest *digest, struct cce_bytes secret,
                    struct cce_bytes salt, struct cce_bytes info,
                    unsigned char derived[CCE_DIGEST_SIZE],
                    struct cce_error *err)
{
    unsigned char extracted[CCE_DIGEST_SIZE];
    char block[HKDF_INFO_MAX + 1];
    struct cce_bytes extracted_key = {(char *)extracted, sizeof extracted};
    struct cce_bytes expand = {block, info.length + 1};
    int result;

    if (info.length > HKDF_INFO_MAX)
        return cce_fail(err, CCE_INVALID_ARGUMENT, "the scope is too long");
    if (info.length > 0)
        memcpy(block, info.data, info.length);
    block[info.length] = 1; /* the number of the first and only block */
    result = cce_digest_hmac_once(digest, salt, secret, extracted, err);
    if (result == 0)
        result =
            cce_digest_hmac_once(digest, extracted_key, expand, derived, err);
    cce_wipe(extracted, sizeof extracted);
    return result;
}

/* The byte's two digits. By table and in pairs: a signature writes 192. */
#define ROW(high)                                                       \
    high "0" high "1" high "2" high "3" high "4" high "5" high "6" high \
         "7" high "8" high "9" high "a" high "b" high "c" high "d" high \
         "e" high "f"

static const char digit_pairs[2 * 256 + 1] =
    ROW("0") ROW("1") ROW("2") ROW("3") ROW("4") ROW("5") ROW("6") ROW("7")
        ROW("8") ROW("9") ROW("a") ROW("b") ROW("c") ROW("d") ROW("e") ROW("f");

void cce_digest_hex(const unsigned char hash[CCE_DIGEST_SIZE],
                    char hex[CCE_DIGEST_HEX])
{
    for (size_t i = 0; i < CCE_DIGEST_SIZE; i += 4, hex += 8) {
        memcpy(hex, digit_pairs + 2 * hash[i], 2);
        memcpy(hex + 2, digit_pairs + 2 * hash[i + 1], 2);
        memcpy(hex + 4, digit_pairs + 2 * hash[i + 2], 2);
        memcpy(hex + 6, digit_pairs + 2 * hash[i + 3], 2);
    }
}
