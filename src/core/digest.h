/*
 * digest: hashes, HMAC and HKDF on OpenSSL; with certificate, the only file
 * that includes it.
 *
 * An algorithm is fetched from OpenSSL's providers once a process and then
 * shared by all threads; a fetch costs more than hashing a request. It is
 * never freed: a host may hash until its very end. A struct cce_digest is for
 * one thread at a time. What a hash left in its scratch context is overwritten
 * or wiped by the next one, and by the cleanup.
 *
 * Errors: UNSUPPORTED when OpenSSL does not offer the algorithm (SM3 under
 * FIPS), NO_MEMORY, INTERNAL. OpenSSL's error queue is left empty then.
 */
#ifndef CCE_CORE_DIGEST_H
#define CCE_CORE_DIGEST_H

#include <stddef.h>

#include "core/secret.h"
#include "core/status.h"
#include "core/uri.h"

enum cce_digest_kind { CCE_DIGEST_SHA256, CCE_DIGEST_SM3, CCE_DIGEST_KINDS };

enum {
    CCE_DIGEST_SIZE = 32,    /* bytes; both algorithms */
    CCE_DIGEST_HEX = 2 * 32, /* characters, without a NUL */
    CCE_DIGEST_BLOCK = 64    /* bytes; what an HMAC key is padded to */
};

struct cce_digest {
    const struct evp_md_st *algorithm; /* shared, not ours to free */
    struct evp_md_ctx_st *scratch;     /* NULL: it works without one */
};

/* What an HMAC's hashes begin with, in pages of a secret: it would do as well
 * as the key for a reader of it, and is never in the ordinary heap. */
struct cce_digest_key {
    struct cce_secret pads;
};

/* A zeroed struct may be cleaned up; so may one whose init failed. */
int cce_digest_init(struct cce_digest *digest, enum cce_digest_kind kind,
                    struct cce_error *err);
void cce_digest_cleanup(struct cce_digest *digest);

int cce_digest_hash(struct cce_digest *digest, struct cce_bytes data,
                    unsigned char hash[CCE_DIGEST_SIZE], struct cce_error *err);

/* How far the hash of data that always begins alike can be made beforehand: by
 * whole blocks of that beginning, or not at all where EVP hashes. */
struct cce_digest_start {
    size_t length; /* bytes that are hashed */
    unsigned char hash[128];
};

void cce_digest_start(const struct cce_digest *digest, struct cce_bytes bytes,
                      struct cce_digest_start *start);

/* As cce_digest_hash, for data that begins so; NULL: it does not. */
int cce_digest_hash_after(struct cce_digest *digest,
                          const struct cce_digest_start *start,
                          struct cce_bytes data,
                          unsigned char hash[CCE_DIGEST_SIZE],
                          struct cce_error *err);

/* Fills a zeroed key, or fills one anew: what it held is wiped. */
int cce_digest_key_set(struct cce_digest_key *key, struct cce_digest *digest,
                       struct cce_bytes secret, struct cce_error *err);
void cce_digest_key_cleanup(struct cce_digest_key *key);

int cce_digest_hmac(struct cce_digest *digest, const struct cce_digest_key *key,
                    struct cce_bytes data, unsigned char mac[CCE_DIGEST_SIZE],
                    struct cce_error *err);

/* HMAC with a key that is used once. */
int cce_digest_hmac_once(struct cce_digest *digest, struct cce_bytes secret,
                         struct cce_bytes data,
                         unsigned char mac[CCE_DIGEST_SIZE],
                         struct cce_error *err);

/* HKDF (RFC 5869) for one block of output. `info` has at most 512 bytes, else
 * INVALID_ARGUMENT. */
int cce_digest_hkdf(struct cce_digest *digest, struct cce_bytes secret,
                    struct cce_bytes salt, struct cce_bytes info,
                    unsigned char derived[CCE_DIGEST_SIZE],
                    struct cce_error *err);

/* Lower-case hex; writes CCE_DIGEST_HEX characters, no NUL. */
void cce_digest_hex(const unsigned char hash[CCE_DIGEST_SIZE],
                    char hex[CCE_DIGEST_HEX]);

#endif
