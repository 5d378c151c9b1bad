/* For SHA256_Init and its like; see "hash". */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "core/digest.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
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

/* --- hash ---
 *
 * Where OpenSSL's own code would do a SHA-256, its plain functions are called:
 * half the time of EVP's, and a state that lies where we want it instead of in
 * OpenSSL's heap. OpenSSL 3 deprecates them for passing by its providers, so
 * the provider is asked for: one for FIPS, or of a device, keeps its say. */

struct hash {
    EVP_MD_CTX *context; /* NULL: `plain` is used */
#ifdef OPENSSL_NO_DEPRECATED_3_0
    char plain;
#else
    SHA256_CTX plain;
#endif
};

#ifdef OPENSSL_NO_DEPRECATED_3_0
#define is_plain(kind, algorithm)        false
#define SHA256_Init(state)               0
#define SHA256_Update(state, data, size) 0
#define SHA256_Final(result, state)      0
#else
static bool is_plain(enum cce_digest_kind kind, const EVP_MD *algorithm)
{
    return kind == CCE_DIGEST_SHA256 && cce_openssl_is_own_code(algorithm);
}
#endif

int cce_digest_init(struct cce_digest *digest, enum cce_digest_kind kind,
                    struct cce_error *err)
{
    memset(digest, 0, sizeof *digest);
    digest->algorithm = fetch(kind, err);
    if (digest->algorithm == NULL)
        return -1;
    if (is_plain(kind, digest->algorithm))
        return 0;
    digest->scratch = EVP_MD_CTX_new();
    return digest->scratch != NULL ? 0 : fail_openssl(err, "make a context");
}

void cce_digest_cleanup(struct cce_digest *digest)
{
    EVP_MD_CTX_free(digest->scratch);
    memset(digest, 0, sizeof *digest);
}

static bool begin(struct hash *hash, const struct cce_digest *digest)
{
    hash->context = digest->scratch;
    return hash->context == NULL
               ? SHA256_Init(&hash->plain)
               : EVP_DigestInit_ex2(hash->context, digest->algorithm, NULL);
}

static bool add(struct hash *hash, const void *data, size_t length)
{
    return hash->context == NULL
               ? SHA256_Update(&hash->plain, data, length)
               : EVP_DigestUpdate(hash->context, data, length);
}

static bool end(struct hash *hash, unsigned char result[CCE_DIGEST_SIZE])
{
    return hash->context == NULL
               ? SHA256_Final(result, &hash->plain)
               : EVP_DigestFinal_ex(hash->context, result, NULL);
}

int cce_digest_hash(struct cce_digest *digest, struct cce_bytes data,
                    unsigned char result[CCE_DIGEST_SIZE],
                    struct cce_error *err)
{
    return cce_digest_hash_after(digest, NULL, data, result, err);
}

void cce_digest_start(const struct cce_digest *digest, struct cce_bytes bytes,
                      struct cce_digest_start *start)
{
    struct hash hash;
    size_t whole = bytes.length / CCE_DIGEST_BLOCK * CCE_DIGEST_BLOCK;

    start->length = 0;
    if (digest->scratch == NULL && sizeof hash <= sizeof start->hash &&
        begin(&hash, digest) && add(&hash, bytes.data, whole)) {
        memcpy(start->hash, &hash, sizeof hash);
        start->length = whole;
    }
}

int cce_digest_hash_after(struct cce_digest *digest,
                          const struct cce_digest_start *start,
                          struct cce_bytes data,
                          unsigned char result[CCE_DIGEST_SIZE],
                          struct cce_error *err)
{
    struct hash hash;
    bool done = true;

    if (start != NULL && start->length > 0) {
        memcpy(&hash, start->hash, sizeof hash);
        data.data += start->length;
        data.length -= start->length;
    } else {
        done = begin(&hash, digest);
    }
    done = done && add(&hash, data.data, data.length) && end(&hash, result);
    cce_wipe(&hash, sizeof hash);
    return done ? 0 : fail_openssl(err, "hash");
}

/* --- HMAC --- */

enum { INNER, OUTER, SIDES };

/* What the two hashes of an HMAC begin with: a block, and the hash after it,
 * which EVP would copy to its heap: there it is made anew each time, for it
 * signs as well as the key. */
struct pads {
    unsigned char blocks[SIDES][CCE_DIGEST_BLOCK];
    struct hash after[SIDES];
};

/* A key that is longer than a block counts by its hash (RFC 2104). */
static int write_pads(struct cce_digest *digest, struct cce_bytes secret,
                      struct pads *pads, struct cce_error *err)
{
    static const unsigned char masks[SIDES] = {0x36, 0x5c};
    unsigned char padded[CCE_DIGEST_BLOCK] = {0};
    int result = 0;

    if (secret.length > sizeof padded)
        result = cce_digest_hash(digest, secret, padded, err);
    else if (secret.length > 0)
        memcpy(padded, secret.data, secret.length);
    for (int side = 0; side < SIDES; side++) {
        for (size_t i = 0; i < sizeof padded; i++)
            pads->blocks[side][i] = padded[i] ^ masks[side];
        if (digest->scratch == NULL &&
            (!begin(&pads->after[side], digest) ||
             !add(&pads->after[side], pads->blocks[side], sizeof padded)))
            result = fail_openssl(err, "hash a key");
    }
    cce_wipe(padded, sizeof padded);
    return result;
}

int cce_digest_key_set(struct cce_digest_key *key, struct cce_digest *digest,
                       struct cce_bytes secret, struct cce_error *err)
{
    struct cce_secret pads = {0};
    int result = cce_secret_allocate(&pads, sizeof(struct pads), err);

    if (result == 0)
        result = write_pads(digest, secret, (struct pads *)pads.data, err);
    cce_secret_cleanup(&key->pads);
    if (result == 0)
        key->pads = pads;
    else
        cce_secret_cleanup(&pads);
    return result;
}

void cce_digest_key_cleanup(struct cce_digest_key *key)
{
    cce_secret_cleanup(&key->pads);
}

static bool begin_after(struct hash *hash, const struct cce_digest *digest,
                        const struct pads *pads, int side)
{
    if (digest->scratch == NULL) {
        *hash = pads->after[side];
        return true;
    }
    return begin(hash, digest) &&
           add(hash, pads->blocks[side], CCE_DIGEST_BLOCK);
}

/* A hash that ends leaves its result in the scratch context, and no more of
 * what it read: here that is the MAC. */
static int hmac(const struct cce_digest *digest, const struct pads *pads,
                struct cce_bytes data, unsigned char mac[CCE_DIGEST_SIZE],
                struct cce_error *err)
{
    unsigned char inner[CCE_DIGEST_SIZE];
    struct hash hash;
    bool done = begin_after(&hash, digest, pads, INNER) &&
                add(&hash, data.data, data.length) && end(&hash, inner) &&
                begin_after(&hash, digest, pads, OUTER) &&
                add(&hash, inner, sizeof inner) && end(&hash, mac);

    cce_wipe(&hash, sizeof hash);
    cce_wipe(inner, sizeof inner);
    return done ? 0 : fail_openssl(err, "compute an HMAC");
}

int cce_digest_hmac(struct cce_digest *digest, const struct cce_digest_key *key,
                    struct cce_bytes data, unsigned char mac[CCE_DIGEST_SIZE],
                    struct cce_error *err)
{
    return hmac(digest, (const struct pads *)key->pads.data, data, mac, err);
}

int cce_digest_hmac_once(struct cce_digest *digest, struct cce_bytes secret,
                         struct cce_bytes data,
                         unsigned char mac[CCE_DIGEST_SIZE],
                         struct cce_error *err)
{
    struct pads pads;
    int result = write_pads(digest, secret, &pads, err);

    if (result == 0)
        result = hmac(digest, &pads, data, mac, err);
    cce_wipe(&pads, sizeof pads);
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
