/*
 * certificate_facts: what a certificate says, as text that is safe to print:
 * its maker chose the names in it.
 */
#ifndef CCE_CORE_X509_CERTIFICATE_FACTS_H
#define CCE_CORE_X509_CERTIFICATE_FACTS_H

#include <stdint.h>

#include "core/buf.h"
#include "core/x509/certificate.h"

struct X509_name_st;

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

/* Fills the zeroed *facts. */
int cce_certificate_facts_read(const struct cce_certificate *certificate,
                               struct cce_certificate_facts *facts,
                               struct cce_error *err);
void cce_certificate_facts_cleanup(struct cce_certificate_facts *facts);

/* Appends a whole name, in the form of RFC 2253. Errors of OpenSSL may stay in
 * its queue: see ssl_queue.h. */
int cce_certificate_facts_name(struct cce_buf *out,
                               const struct X509_name_st *name,
                               struct cce_error *err);

#endif
