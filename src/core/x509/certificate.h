/*
 * certificate: X.509 certificates and private keys, read and compared.
 *
 * No I/O and no clock: texts (see pem.h) and times come from the caller. It
 * never asks for a passphrase, and it leaves OpenSSL's error queue as it found
 * it.
 *
 * Failures: INVALID_CERTIFICATE, INVALID_KEY or NO_MEMORY. No message repeats
 * any part of a key.
 */
#ifndef CCE_CORE_X509_CERTIFICATE_H
#define CCE_CORE_X509_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

struct stack_st_X509;
struct evp_pkey_st;

/* The certificates of one text. Zeroed is valid and empty. */
struct cce_certificate {
    struct stack_st_X509 *chain; /* at least one after a successful parse */
    bool has_key;                /* the text holds a private key, too */
};

/* An unencrypted private key. Zeroed is valid and empty. */
struct cce_certificate_key {
    struct evp_pkey_st *pkey;
};

/* Reads every certificate of `text` into the zeroed *certificate. */
int cce_certificate_parse(const char *text, size_t length,
                          struct cce_certificate *certificate,
                          struct cce_error *err);
void cce_certificate_cleanup(struct cce_certificate *certificate);

/* Reads the first private key of `text` (RSA, EC, Ed25519…; PKCS#8 or the
 * older forms) into the zeroed *key. An encrypted one is INVALID_KEY. */
int cce_certificate_parse_key(const char *text, size_t length,
                              struct cce_certificate_key *key,
                              struct cce_error *err);
void cce_certificate_key_cleanup(struct cce_certificate_key *key);

/* Whether the key belongs to the first certificate. */
int cce_certificate_key_matches(const struct cce_certificate *certificate,
                                const struct cce_certificate_key *key,
                                bool *matches, struct cce_error *err);

/* Succeeds when the first certificate was issued, by way of the others, by one
 * of those in `ca`, and all of them are valid at `now` (unix seconds). A
 * certificate of `ca` need not be self-signed, as in Kubernetes. */
int cce_certificate_check_issuer(const struct cce_certificate *certificate,
                                 const struct cce_certificate *ca, int64_t now,
                                 struct cce_error *err);

#endif
