#include "core/x509/certificate.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/openssl_compat.h"
#include "core/x509/pem.h"
#include "core/x509/ssl_queue.h"

/* --- certificates --- */

/* OpenSSL hides why it could not decode a public key, which is fine for one of
 * an unknown kind, but not when memory was short: so it gets a second try. */
static X509 *decode_certificate(const unsigned char **bytes, size_t length)
{
    const unsigned char *start = *bytes;
    X509 *x509 = d2i_X509(NULL, bytes, (long)length);

    if (x509 == NULL || X509_get0_pubkey(x509) != NULL)
        return x509;
    X509_free(x509);
    *bytes = start;
    return d2i_X509(NULL, bytes, (long)length);
}

static int add_certificate(struct cce_certificate *certificate,
                           const unsigned char *der, size_t length,
                           struct cce_error *err)
{
    const unsigned char *end = der;
    X509 *x509 = decode_certificate(&end, length);

    if (x509 == NULL)
        return cce_fail(err, CCE_INVALID_CERTIFICATE,
                        "the certificate is not valid X.509");
    if (end != der + length) {
        X509_free(x509);
        return cce_fail(err, CCE_INVALID_CERTIFICATE,
                        "bytes follow the end of the certificate");
    }
    if (sk_X509_push(certificate->chain, x509) == 0) {
        X509_free(x509);
        return cce_fail_memory(err);
    }
    return 0;
}

/* The names of PKCS#8 and of the older forms all end so. */
static bool is_key_block(const struct cce_pem_block *block)
{
    static const char suffix[] = "PRIVATE KEY";
    size_t length = strlen(block->name);

    return length >= sizeof suffix - 1 &&
           strcmp(block->name + length - (sizeof suffix - 1), suffix) == 0;
}

/* A key beside the certificate is no mistake; it is noted for the message about
 * a text that is nothing but a key. */
static int visit_certificate(const struct cce_pem_block *block, void *context,
                             struct cce_error *err)
{
    struct cce_certificate *certificate = context;

    if (is_key_block(block))
        certificate->has_key = true;
    if (strcmp(block->name, "CERTIFICATE") != 0 &&
        strcmp(block->name, "X509 CERTIFICATE") != 0)
        return 0;
    return add_certificate(certificate, block->data, (size_t)block->length,
                           err);
}

static int read_certificates(const struct cce_buf *bytes,
                             struct cce_certificate *certificate,
                             struct cce_error *err)
{
    if (!cce_pem_is(bytes->data, bytes->length))
        return add_certificate(certificate, (unsigned char *)bytes->data,
                               bytes->length, err);
    if (cce_pem_walk(bytes, CCE_PEM_CERTIFICATES, visit_certificate,
                     certificate, err) != 0)
        return -1;
    if (sk_X509_num(certificate->chain) > 0)
        return 0;
    return cce_fail(err, CCE_INVALID_CERTIFICATE,
                    certificate->has_key
                        ? "the text is a private key, not a certificate"
                        : "the text has no certificate in it");
}

int cce_certificate_parse(const char *text, size_t length,
                          struct cce_certificate *certificate,
                          struct cce_error *err)
{
    struct cce_ssl_queue queue;
    struct cce_buf bytes;
    int result;

    cce_ssl_queue_enter(&queue);
    cce_buf_init(&bytes, CCE_PEM_TEXT_MAX);
    certificate->chain = sk_X509_new_null();
    if (certificate->chain == NULL)
        result = cce_fail_memory(err);
    else
        result = cce_pem_open(text, length, CCE_PEM_CERTIFICATES, &bytes, err);
    if (result == 0)
        result = read_certificates(&bytes, certificate, err);
    cce_buf_cleanup(&bytes);
    if (result != 0)
        cce_certificate_cleanup(certificate);
    return cce_ssl_queue_leave(&queue, result, err);
}

void cce_certificate_cleanup(struct cce_certificate *certificate)
{
    sk_X509_pop_free(certificate->chain, X509_free);
    memset(certificate, 0, sizeof *certificate);
}

/* --- private keys --- */

static int fail_encrypted(struct cce_error *err)
{
    return cce_fail(err, CCE_INVALID_KEY,
                    "the private key is encrypted: decrypt it first "
                    "(openssl pkey -in KEY -out PLAIN)");
}

static int read_key_der(const unsigned char *der, size_t length,
                        struct cce_certificate_key *key, struct cce_error *err)
{
    const unsigned char *start = der;
    X509_SIG *encrypted = d2i_X509_SIG(NULL, &start, (long)length);

    /* PKCS#8's encrypted form has nothing in common with the plain ones. */
    X509_SIG_free(encrypted);
    if (encrypted != NULL)
        return fail_encrypted(err);
    start = der;
    key->pkey = d2i_AutoPrivateKey(NULL, &start, (long)length);
    if (key->pkey == NULL)
        return cce_fail(err, CCE_INVALID_KEY,
                        "the private key cannot be read: it is damaged, or "
                        "of an unknown kind");
    return 0;
}

static int visit_key(const struct cce_pem_block *block, void *context,
                     struct cce_error *err)
{
    struct cce_certificate_key *key = context;

    if (!is_key_block(block))
        return 0;
    if (strcmp(block->name, "ENCRYPTED PRIVATE KEY") == 0 ||
        strstr(block->header, "ENCRYPTED") != NULL)
        return fail_encrypted(err);
    if (read_key_der(block->data, (size_t)block->length, key, err) != 0)
        return -1;
    return 1;
}

static int read_key(const struct cce_buf *bytes,
                    struct cce_certificate_key *key, struct cce_error *err)
{
    if (!cce_pem_is(bytes->data, bytes->length))
        return read_key_der((unsigned char *)bytes->data, bytes->length, key,
                            err);
    if (cce_pem_walk(bytes, CCE_PEM_KEY, visit_key, key, err) != 0)
        return -1;
    if (key->pkey == NULL)
        return cce_fail(err, CCE_INVALID_KEY,
                        "the text has no private key in it");
    return 0;
}

int cce_certificate_parse_key(const char *text, size_t length,
                              struct cce_certificate_key *key,
                              struct cce_error *err)
{
    struct cce_ssl_queue queue;
    struct cce_buf bytes;
    int result;

    cce_ssl_queue_enter(&queue);
    cce_buf_init(&bytes, CCE_PEM_TEXT_MAX);
    result = cce_pem_open(text, length, CCE_PEM_KEY, &bytes, err);
    if (result == 0)
        result = read_key(&bytes, key, err);
    cce_buf_cleanup(&bytes);
    return cce_ssl_queue_leave(&queue, result, err);
}

void cce_certificate_key_cleanup(struct cce_certificate_key *key)
{
    EVP_PKEY_free(key->pkey);
    key->pkey = NULL;
}

/* Whether the encodings differ: false also when memory ran out for one. */
static bool differ(EVP_PKEY *a, EVP_PKEY *b)
{
    unsigned char *first = NULL, *second = NULL;
    int first_length = i2d_PUBKEY(a, &first);
    int second_length = i2d_PUBKEY(b, &second);
    bool result = first_length > 0 && second_length > 0 &&
                  (first_length != second_length ||
                   memcmp(first, second, (size_t)first_length) != 0);

    OPENSSL_free(first);
    OPENSSL_free(second);
    return result;
}

static int compare_key(X509 *x509, EVP_PKEY *pkey, bool *matches,
                       struct cce_error *err)
{
    EVP_PKEY *public_key = X509_get0_pubkey(x509);

    if (public_key == NULL)
        return cce_fail(err, CCE_INVALID_CERTIFICATE,
                        "the certificate's public key cannot be read");
    if (EVP_PKEY_get_base_id(public_key) != EVP_PKEY_get_base_id(pkey))
        return 0;
    *matches = EVP_PKEY_eq(public_key, pkey) == 1;
    /* OpenSSL answers a failure, of memory say, as it does a difference. */
    if (!*matches && !differ(public_key, pkey))
        return cce_fail_memory(err);
    return 0;
}

int cce_certificate_key_matches(const struct cce_certificate *certificate,
                                const struct cce_certificate_key *key,
                                bool *matches, struct cce_error *err)
{
    struct cce_ssl_queue queue;
    int result;

    *matches = false;
    cce_ssl_queue_enter(&queue);
    result = compare_key(sk_X509_value(certificate->chain, 0), key->pkey,
                         matches, err);
    return cce_ssl_queue_leave(&queue, result, err);
}
