#include "core/x509/certificate.h"

#include <stdio.h>
#include <time.h>

#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "core/x509/certificate_facts.h"
#include "core/x509/pem.h"
#include "core/x509/ssl_queue.h"

static void format_time(const ASN1_TIME *time, char *text, size_t size)
{
    struct tm fields;

    if (ASN1_TIME_to_tm(time, &fields) != 1 ||
        strftime(text, size, "%Y-%m-%d %H:%M:%S UTC", &fields) == 0)
        snprintf(text, size, "an unreadable date");
}

/* "the certificate", or which one of those above it. */
static void describe_certificate(X509_STORE_CTX *context, char *text,
                                 size_t size)
{
    X509 *x509 = X509_STORE_CTX_get_current_cert(context);
    struct cce_buf name;
    struct cce_error ignored;
    size_t length;

    if (X509_STORE_CTX_get_error_depth(context) == 0 || x509 == NULL) {
        snprintf(text, size, "the certificate");
        return;
    }
    cce_buf_init(&name, CCE_PEM_TEXT_MAX);
    cce_certificate_facts_name(&name, X509_get_subject_name(x509), &ignored);
    /* At most 100 bytes of it, and no half character at the end. */
    length = name.length < 100 ? name.length : 100;
    while (length < name.length && (name.data[length] & 0xc0) == 0x80)
        length--;
    snprintf(text, size, "the issuing certificate \"%.*s\"", (int)length,
             name.length > 0 ? name.data : "");
    cce_buf_cleanup(&name);
}

static int fail_verification(X509_STORE_CTX *context, struct cce_error *err)
{
    int code = X509_STORE_CTX_get_error(context);
    X509 *x509 = X509_STORE_CTX_get_current_cert(context);
    char which[160], date[64];

    if (code == X509_V_ERR_OUT_OF_MEM)
        return cce_fail_memory(err);
    describe_certificate(context, which, sizeof which);
    if (code == X509_V_ERR_CERT_HAS_EXPIRED && x509 != NULL) {
        format_time(X509_get0_notAfter(x509), date, sizeof date);
        return cce_fail(err, CCE_INVALID_CERTIFICATE, "%s expired on %s", which,
                        date);
    }
    if (code == X509_V_ERR_CERT_NOT_YET_VALID && x509 != NULL) {
        format_time(X509_get0_notBefore(x509), date, sizeof date);
        return cce_fail(err, CCE_INVALID_CERTIFICATE,
                        "%s is not valid before %s", which, date);
    }
    return cce_fail(err, CCE_INVALID_CERTIFICATE,
                    "the certificate was not issued by this CA (%s)",
                    X509_verify_cert_error_string(code));
}

static int verify(X509_STORE_CTX *context, X509 *x509, int64_t now,
                  struct cce_error *err)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);

    /* A certificate authority need not be self-signed to end the chain, as in
     * Kubernetes. */
    X509_VERIFY_PARAM_set_time(param, (time_t)now);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
    if (X509_verify_cert(context) != 1)
        return fail_verification(context, err);
    /* The certificate itself counts as trusted when the CA's text has it, but
     * it is not its own issuer. */
    if (sk_X509_num(X509_STORE_CTX_get0_chain(context)) == 1 &&
        X509_NAME_cmp(X509_get_subject_name(x509),
                      X509_get_issuer_name(x509)) != 0)
        return cce_fail(err, CCE_INVALID_CERTIFICATE,
                        "the CA's text is the certificate itself, not the CA "
                        "that issued it");
    return 0;
}

/* Verifies against the trusted certificates, and sets *code to OpenSSL's
 * reason. */
static int verify_against(const struct cce_certificate *certificate,
                          STACK_OF(X509) * trusted, int64_t now, int *code,
                          struct cce_error *err)
{
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509 *x509 = sk_X509_value(certificate->chain, 0);
    int result;

    if (context == NULL ||
        X509_STORE_CTX_init(context, NULL, x509, certificate->chain) != 1)
        result = cce_fail_memory(err);
    else {
        X509_STORE_CTX_set0_trusted_stack(context, trusted);
        result = verify(context, x509, now, err);
        *code = X509_STORE_CTX_get_error(context);
    }
    X509_STORE_CTX_free(context);
    return result;
}

/* Tries the CAs one by one, as Kubernetes does: OpenSSL settles for the first
 * of the right name, though an authority that changed its key may be in the
 * bundle with both. A wrong date tells more than a wrong issuer. */
static int verify_in_turn(const struct cce_certificate *certificate,
                          const struct cce_certificate *ca,
                          STACK_OF(X509) * trusted, int64_t now,
                          struct cce_error *err)
{
    struct cce_error current;

    for (int i = 0; i < sk_X509_num(ca->chain); i++) {
        int code = X509_V_OK;

        sk_X509_set(trusted, 0, sk_X509_value(ca->chain, i));
        if (verify_against(certificate, trusted, now, &code, &current) == 0)
            return 0;
        if (i == 0 || current.code == CCE_NO_MEMORY ||
            code == X509_V_ERR_CERT_HAS_EXPIRED ||
            code == X509_V_ERR_CERT_NOT_YET_VALID)
            *err = current;
        if (current.code == CCE_NO_MEMORY)
            return -1;
    }
    return -1;
}

int cce_certificate_check_issuer(const struct cce_certificate *certificate,
                                 const struct cce_certificate *ca, int64_t now,
                                 struct cce_error *err)
{
    STACK_OF(X509) * trusted;
    struct cce_ssl_queue queue;
    int result;

    cce_ssl_queue_enter(&queue);
    trusted = sk_X509_new_null();
    if (trusted == NULL ||
        sk_X509_push(trusted, sk_X509_value(ca->chain, 0)) == 0)
        result = cce_fail_memory(err);
    else
        result = verify_in_turn(certificate, ca, trusted, now, err);
    sk_X509_free(trusted); /* the certificates are the caller's */
    return cce_ssl_queue_leave(&queue, result, err);
}
