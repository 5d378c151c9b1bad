/*
 * certificate: X.509 certificates and private keys, read and compared.
 *
 * No I/O and no clock: texts and times come from the caller. Besides digest
 * this is the only file that uses OpenSSL. It never asks for a passphrase, and
 * it leaves OpenSSL's error queue as it found it, since a host application
 * may have entries of its own there.
 *
 * A text is PEM (other text around the blocks is skipped), DER, or Base64 of
 * either, of at most CCE_CERTIFICATE_TEXT_MAX bytes.
 *
 * Failures: INVALID_CERTIFICATE, INVALID_KEY or NO_MEMORY. No message repeats
 * any part of a key.
 */
#ifndef CCE_CERTIFICATE_H
#define CCE_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "status.h"

/* Twice what the API takes, so that Base64 with line ends fits as well. */
enum { CCE_CERTIFICATE_TEXT_MAX = 2 * 1048576 };

struct stack_st_X509;
struct evp_pkey_st;

/* What a text is meant to be; errors are worded and coded by it. */
enum cce_certificate_kind {
    CCE_CERTIFICATE_CHAIN, /* certificates, the holder's own first */
    CCE_CERTIFICATE_KEY    /* a private key */
};

/* The certificates of one text. Zeroed is valid and empty. */
struct cce_certificate {
    struct stack_st_X509 *chain; /* at least one after a successful parse */
    bool has_key;                /* the text holds a private key, too */
};

/* An unencrypted private key. Zeroed is valid and empty. */
struct cce_certificate_key {
    struct evp_pkey_st *pkey;
};

/* Facts of the first certificate. Texts are valid UTF-8 without control
 * characters: such bytes, and wrong UTF-8, appear as \XX. */
struct cce_certificate_facts {
    struct cce_buf user_id;       /* the CN; empty when there is none, there
                                     are several, or it would need \XX */
    struct cce_buf organizations; /* each O, followed by a NUL */
    struct cce_buf subject;       /* RFC 2253: "CN=…,O=…" */
    struct cce_buf issuer;
    struct cce_buf serial; /* lower-case hexadecimal */
    int64_t not_before;    /* unix seconds */
    int64_t not_after;
    char sha256[65]; /* of the DER, lower-case hexadecimal */
};

/* Reads every certificate of `text` into the zeroed *certificate. */
int cce_certificate_parse(const char *text, size_t length,
                          struct cce_certificate *certificate,
                          struct cce_error *err);
void cce_certificate_cleanup(struct cce_certificate *certificate);

/* Fills the zeroed *facts. */
int cce_certificate_read_facts(const struct cce_certificate *certificate,
                               struct cce_certificate_facts *facts,
                               struct cce_error *err);
void cce_certificate_facts_cleanup(struct cce_certificate_facts *facts);

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

/* Puts the PEM that `text` is, or is the Base64 of, into the empty *pem, byte
 * for byte. DER is refused. The blocks themselves are not looked at. */
int cce_certificate_to_pem(const char *text, size_t length,
                           enum cce_certificate_kind kind, struct cce_buf *pem,
                           struct cce_error *err);

/* Whether `text` has the start of a PEM block in it. */
bool cce_certificate_is_pem(const char *text, size_t length);

#endif
