#include "certificate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "base64.h"

static const struct {
    const char *noun;
    enum cce_status code;
} kinds[] = {
    [CCE_CERTIFICATE_CHAIN] = {"certificate", CCE_INVALID_CERTIFICATE},
    [CCE_CERTIFICATE_KEY] = {"private key", CCE_INVALID_KEY},
};

/* ===== OpenSSL's error queue ===== */

struct queue {
    bool was_empty;
};

static void enter(struct queue *queue)
{
    queue->was_empty = ERR_peek_error() == 0;
    ERR_set_mark();
}

static bool is_memory_error(unsigned long code)
{
    return ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
}

/* A failed allocation is often followed by entries of the callers, so look at
 * all that are ours; when there are foreign ones below, only the last can be
 * told apart. */
static bool ran_out_of_memory(const struct queue *queue)
{
    unsigned long code;

    if (!queue->was_empty)
        return is_memory_error(ERR_peek_last_error());
    while ((code = ERR_get_error()) != 0)
        if (is_memory_error(code))
            return true;
    return false;
}

/* Drops what was queued since enter(), and passes `result` on; a failure for
 * want of memory is reported as just that. */
static int leave(struct queue *queue, int result, struct cce_error *err)
{
    if (result != 0 && ran_out_of_memory(queue))
        cce_fail_memory(err);
    ERR_pop_to_mark();
    return result;
}

/* ===== Text, PEM and DER ===== */

bool cce_certificate_is_pem(const char *text, size_t length)
{
    static const char begin[] = "-----BEGIN ";

    return length > 0 && memmem(text, length, begin, sizeof begin - 1) != NULL;
}

/* A SEQUENCE whose length has the long form, or is that of the text. */
static bool is_der(const char *text, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)text;

    return length > 2 && bytes[0] == 0x30 &&
           (bytes[1] >= 0x80 || bytes[1] == length - 2);
}

static bool is_readable(const char *text, size_t length)
{
    return cce_certificate_is_pem(text, length) || is_der(text, length);
}

static bool is_base64_of_readable(const struct cce_buf *bytes)
{
    struct cce_buf inner;
    struct cce_error ignored;
    bool result;

    cce_buf_init(&inner, CCE_CERTIFICATE_TEXT_MAX);
    result =
        cce_base64_decode(bytes->data, bytes->length, &inner, &ignored) == 0 &&
        is_readable(inner.data, inner.length);
    cce_buf_cleanup(&inner);
    return result;
}

static int unwrap(const char *text, size_t length,
                  enum cce_certificate_kind kind, struct cce_buf *bytes,
                  struct cce_error *err)
{
    const char *noun = kinds[kind].noun;
    struct cce_error cause;

    if (cce_base64_decode(text, length, bytes, &cause) != 0) {
        if (cause.code == CCE_NO_MEMORY)
            return cce_fail_memory(err);
        return cce_fail(err, kinds[kind].code,
                        "the %s is neither PEM nor Base64 (%s)", noun,
                        cause.message);
    }
    if (is_readable(bytes->data, bytes->length))
        return 0;
    if (is_base64_of_readable(bytes))
        return cce_fail(err, kinds[kind].code,
                        "the %s is in Base64 twice: decode it once", noun);
    return cce_fail(err, kinds[kind].code,
                    "the %s is Base64, but of neither PEM nor DER", noun);
}

/* Puts the PEM or DER of a text into the empty *bytes. */
static int open_text(const char *text, size_t length,
                     enum cce_certificate_kind kind, struct cce_buf *bytes,
                     struct cce_error *err)
{
    if (length == 0)
        return cce_fail(err, kinds[kind].code, "the %s is empty",
                        kinds[kind].noun);
    if (length > CCE_CERTIFICATE_TEXT_MAX)
        return cce_fail(err, kinds[kind].code,
                        "the %s is %zu bytes long; at most %d are read",
                        kinds[kind].noun, length, CCE_CERTIFICATE_TEXT_MAX);
    if (!is_readable(text, length))
        return unwrap(text, length, kind, bytes, err);
    cce_buf_append(bytes, text, length);
    return bytes->failed ? cce_fail_memory(err) : 0;
}

int cce_certificate_to_pem(const char *text, size_t length,
                           enum cce_certificate_kind kind, struct cce_buf *pem,
                           struct cce_error *err)
{
    if (open_text(text, length, kind, pem, err) != 0)
        return -1;
    if (cce_certificate_is_pem(pem->data, pem->length))
        return 0;
    return cce_fail(err, kinds[kind].code,
                    "the %s is DER: convert it to PEM first", kinds[kind].noun);
}

struct block {
    char *name;   /* "CERTIFICATE" */
    char *header; /* the lines before the Base64: encryption, usually none */
    unsigned char *data;
    long length;
};

/* Reads the next PEM block: 1, 0 at the end, -1 when it is damaged. */
static int next_block(BIO *bio, struct block *block)
{
    memset(block, 0, sizeof *block);
    /* "Secure" memory is what makes OpenSSL wipe its own copies. */
    if (PEM_read_bio_ex(bio, &block->name, &block->header, &block->data,
                        &block->length,
                        PEM_FLAG_SECURE | PEM_FLAG_EAY_COMPATIBLE))
        return 1;
    return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? 0
                                                                        : -1;
}

static void free_block(struct block *block)
{
    OPENSSL_secure_free(block->name);
    OPENSSL_secure_free(block->header);
    OPENSSL_secure_clear_free(block->data, (size_t)block->length);
}

static bool is_certificate_block(const struct block *block)
{
    return strcmp(block->name, "CERTIFICATE") == 0 ||
           strcmp(block->name, "X509 CERTIFICATE") == 0;
}

static bool is_key_block(const struct block *block)
{
    static const char suffix[] = "PRIVATE KEY";
    size_t length = strlen(block->name);

    return length >= sizeof suffix - 1 &&
           strcmp(block->name + length - (sizeof suffix - 1), suffix) == 0;
}

/* What is done with each block: 0 goes on, 1 is done, -1 is a failure. */
typedef int block_visitor(const struct block *block, void *context,
                          struct cce_error *err);

static int walk_blocks(BIO *bio, enum cce_certificate_kind kind,
                       block_visitor *visit, void *context,
                       struct cce_error *err)
{
    struct block block;
    int result;

    while ((result = next_block(bio, &block)) == 1) {
        result = visit(&block, context, err);
        free_block(&block);
        if (result != 0)
            return result < 0 ? -1 : 0;
    }
    if (result == 0)
        return 0;
    return cce_fail(err, kinds[kind].code,
                    "a PEM block of the %s is damaged or cut off",
                    kinds[kind].noun);
}

static int walk_pem(const struct cce_buf *pem, enum cce_certificate_kind kind,
                    block_visitor *visit, void *context, struct cce_error *err)
{
    BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->length);
    int result;

    if (bio == NULL)
        return cce_fail_memory(err);
    result = walk_blocks(bio, kind, visit, context, err);
    BIO_free(bio);
    return result;
}

/* ===== Certificates ===== */

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

static int visit_certificate(const struct block *block, void *context,
                             struct cce_error *err)
{
    struct cce_certificate *certificate = context;

    if (is_key_block(block))
        certificate->has_key = true;
    if (!is_certificate_block(block))
        return 0;
    return add_certificate(certificate, block->data, (size_t)block->length,
                           err);
}

static int read_certificates(const struct cce_buf *bytes,
                             struct cce_certificate *certificate,
                             struct cce_error *err)
{
    if (!cce_certificate_is_pem(bytes->data, bytes->length))
        return add_certificate(certificate, (unsigned char *)bytes->data,
                               bytes->length, err);
    if (walk_pem(bytes, CCE_CERTIFICATE_CHAIN, visit_certificate, certificate,
                 err) != 0)
        return -1;
    if (sk_X509_num(certificate->chain) > 0)
        return 0;
    return cce_fail(err, CCE_INVALID_CERTIFICATE,
                    certificate->has_key
                        ? "the text is a private key, not a certificate"
                        : "the text has no certificate in it");
}

static int parse_certificates(const char *text, size_t length,
                              struct cce_certificate *certificate,
                              struct cce_error *err)
{
    struct cce_buf bytes;
    int result;

    certificate->chain = sk_X509_new_null();
    if (certificate->chain == NULL)
        return cce_fail_memory(err);
    cce_buf_init(&bytes, CCE_CERTIFICATE_TEXT_MAX);
    result = open_text(text, length, CCE_CERTIFICATE_CHAIN, &bytes, err);
    if (result == 0)
        result = read_certificates(&bytes, certificate, err);
    cce_buf_cleanup(&bytes);
    return result;
}

int cce_certificate_parse(const char *text, size_t length,
                          struct cce_certificate *certificate,
                          struct cce_error *err)
{
    struct queue queue;
    int result;

    enter(&queue);
    result = parse_certificates(text, length, certificate, err);
    if (result != 0)
        cce_certificate_cleanup(certificate);
    return leave(&queue, result, err);
}

void cce_certificate_cleanup(struct cce_certificate *certificate)
{
    sk_X509_pop_free(certificate->chain, X509_free);
    memset(certificate, 0, sizeof *certificate);
}

static X509 *first(const struct cce_certificate *certificate)
{
    return sk_X509_value(certificate->chain, 0);
}

/* ===== Facts ===== */

/* The bytes of the UTF-8 character at the start, 0 when it is not one. */
static size_t utf8_length(const unsigned char *bytes, size_t length)
{
    static const unsigned char least[] = {0, 0, 0, 0xa0, 0x90};
    size_t count = bytes[0] < 0x80   ? 1
                   : bytes[0] < 0xc2 ? 0
                   : bytes[0] < 0xe0 ? 2
                   : bytes[0] < 0xf0 ? 3
                   : bytes[0] < 0xf5 ? 4
                                     : 0;

    if (count == 0 || count > length)
        return 0;
    for (size_t i = 1; i < count; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    if ((bytes[0] == 0xe0 || bytes[0] == 0xf0) && bytes[1] < least[count])
        return 0; /* longer than need be */
    if ((bytes[0] == 0xed && bytes[1] > 0x9f) ||
        (bytes[0] == 0xf4 && bytes[1] > 0x8f))
        return 0; /* a surrogate; beyond Unicode */
    return count;
}

/* C0, DEL and C1: a terminal obeys all of them. */
static bool is_control(const unsigned char *bytes)
{
    return bytes[0] < 0x20 || bytes[0] == 0x7f ||
           (bytes[0] == 0xc2 && bytes[1] < 0xa0);
}

static void append_hex_byte(struct cce_buf *out, unsigned char byte)
{
    char escape[4];

    snprintf(escape, sizeof escape, "\\%02X", byte);
    cce_buf_append_string(out, escape);
}

/* Appends text that is safe to print; returns whether it is unchanged. */
static bool append_visible(struct cce_buf *out, const void *text, size_t length)
{
    const unsigned char *bytes = text;
    bool unchanged = true;

    while (length > 0) {
        size_t count = utf8_length(bytes, length);

        if (count > 0 && !is_control(bytes))
            cce_buf_append(out, bytes, count);
        else {
            unchanged = false;
            count = count == 0 ? 1 : count;
            for (size_t i = 0; i < count; i++)
                append_hex_byte(out, bytes[i]);
        }
        bytes += count;
        length -= count;
    }
    return unchanged;
}

static int append_name(struct cce_buf *out, const X509_NAME *name,
                       struct cce_error *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    int result = -1;
    long length;

    if (bio == NULL)
        return cce_fail_memory(err);
    /* UTF-8 stays readable; append_visible sees to the rest. */
    if (X509_NAME_print_ex(bio, name, 0,
                           XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0)
        cce_fail(err, CCE_INVALID_CERTIFICATE,
                 "a name in the certificate cannot be read");
    else {
        length = BIO_get_mem_data(bio, &text);
        append_visible(out, text, length > 0 ? (size_t)length : 0);
        result = 0;
    }
    BIO_free(bio);
    return result;
}

/* Appends the value of a part of a name; returns whether it is unchanged. */
static bool append_entry(struct cce_buf *out, const X509_NAME *name, int index)
{
    X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, index);
    ASN1_STRING *string = X509_NAME_ENTRY_get_data(entry);
    unsigned char *utf8 = NULL;
    int length = ASN1_STRING_to_UTF8(&utf8, string);
    bool unchanged;

    if (length < 0) {
        append_visible(out, ASN1_STRING_get0_data(string),
                       (size_t)ASN1_STRING_length(string));
        out->failed |= is_memory_error(ERR_peek_last_error());
        return false;
    }
    unchanged = append_visible(out, utf8, (size_t)length);
    OPENSSL_free(utf8);
    return unchanged;
}

/* Kubernetes takes the last of several CNs; which one the issuer meant cannot
 * be known, and revoking the wrong user is worse than asking. */
static void read_user_id(const X509_NAME *subject, struct cce_buf *user_id)
{
    int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

    if (index < 0 ||
        X509_NAME_get_index_by_NID(subject, NID_commonName, index) >= 0)
        return;
    if (!append_entry(user_id, subject, index) && !user_id->failed)
        cce_buf_reset(user_id);
}

static void read_organizations(const X509_NAME *subject, struct cce_buf *out)
{
    int index = -1;

    while ((index = X509_NAME_get_index_by_NID(subject, NID_organizationName,
                                               index)) >= 0) {
        append_entry(out, subject, index);
        cce_buf_append_char(out, '\0');
    }
}

static int read_serial(X509 *x509, struct cce_buf *out, struct cce_error *err)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), NULL);
    char *text = number != NULL ? BN_bn2hex(number) : NULL;

    BN_free(number);
    if (text == NULL)
        return cce_fail(err, CCE_INVALID_CERTIFICATE,
                        "the certificate's serial number cannot be read");
    for (const char *digit = text; *digit != '\0'; digit++)
        cce_buf_append_char(
            out, *digit >= 'A' && *digit <= 'F' ? (char)(*digit + 32) : *digit);
    OPENSSL_free(text);
    return 0;
}

static int read_time(const ASN1_TIME *time, int64_t *seconds,
                     struct cce_error *err)
{
    struct tm fields;

    if (time == NULL || ASN1_TIME_to_tm(time, &fields) != 1)
        return cce_fail(err, CCE_INVALID_CERTIFICATE,
                        "the certificate's validity cannot be read");
    *seconds = timegm(&fields);
    return 0;
}

static int read_fingerprint(X509 *x509, char *hex, struct cce_error *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;

    if (X509_digest(x509, EVP_sha256(), digest, &length) != 1 || length != 32)
        return cce_fail(err, CCE_INTERNAL,
                        "OpenSSL cannot compute a SHA-256 digest");
    for (unsigned int i = 0; i < length; i++)
        snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
    return 0;
}

static void init_facts(struct cce_certificate_facts *facts)
{
    /* An escaped byte takes three, and RFC 2253 may have tripled it first. */
    size_t maximum = 16 * (size_t)CCE_CERTIFICATE_TEXT_MAX;

    cce_buf_init(&facts->user_id, maximum);
    cce_buf_init(&facts->organizations, maximum);
    cce_buf_init(&facts->subject, maximum);
    cce_buf_init(&facts->issuer, maximum);
    cce_buf_init(&facts->serial, maximum);
}

static int read_facts(X509 *x509, struct cce_certificate_facts *facts,
                      struct cce_error *err)
{
    const X509_NAME *subject = X509_get_subject_name(x509);

    read_user_id(subject, &facts->user_id);
    read_organizations(subject, &facts->organizations);
    if (append_name(&facts->subject, subject, err) != 0 ||
        append_name(&facts->issuer, X509_get_issuer_name(x509), err) != 0 ||
        read_serial(x509, &facts->serial, err) != 0 ||
        read_time(X509_get0_notBefore(x509), &facts->not_before, err) != 0 ||
        read_time(X509_get0_notAfter(x509), &facts->not_after, err) != 0 ||
        read_fingerprint(x509, facts->sha256, err) != 0)
        return -1;
    if (facts->user_id.failed || facts->organizations.failed ||
        facts->subject.failed || facts->issuer.failed || facts->serial.failed)
        return cce_fail_memory(err);
    return 0;
}

int cce_certificate_read_facts(const struct cce_certificate *certificate,
                               struct cce_certificate_facts *facts,
                               struct cce_error *err)
{
    struct queue queue;
    int result;

    enter(&queue);
    init_facts(facts);
    result = read_facts(first(certificate), facts, err);
    if (result != 0)
        cce_certificate_facts_cleanup(facts);
    return leave(&queue, result, err);
}

void cce_certificate_facts_cleanup(struct cce_certificate_facts *facts)
{
    cce_buf_cleanup(&facts->user_id);
    cce_buf_cleanup(&facts->organizations);
    cce_buf_cleanup(&facts->subject);
    cce_buf_cleanup(&facts->issuer);
    cce_buf_cleanup(&facts->serial);
}

/* ===== Private keys ===== */

static int fail_encrypted(struct cce_error *err)
{
    return cce_fail(err, CCE_INVALID_KEY,
                    "the private key is encrypted: decrypt it first "
                    "(openssl pkey -in KEY -out PLAIN)");
}

/* PKCS#8's encrypted form has nothing in common with the plain ones. */
static bool is_encrypted_der(const unsigned char *der, size_t length)
{
    X509_SIG *encrypted = d2i_X509_SIG(NULL, &der, (long)length);

    X509_SIG_free(encrypted);
    return encrypted != NULL;
}

static int read_key_der(const unsigned char *der, size_t length,
                        struct cce_certificate_key *key, struct cce_error *err)
{
    const unsigned char *start = der;

    if (is_encrypted_der(der, length))
        return fail_encrypted(err);
    key->pkey = d2i_AutoPrivateKey(NULL, &start, (long)length);
    if (key->pkey == NULL)
        return cce_fail(err, CCE_INVALID_KEY,
                        "the private key cannot be read: it is damaged, or "
                        "of an unknown kind");
    return 0;
}

static bool is_encrypted_block(const struct block *block)
{
    return strcmp(block->name, "ENCRYPTED PRIVATE KEY") == 0 ||
           strstr(block->header, "ENCRYPTED") != NULL;
}

static int visit_key(const struct block *block, void *context,
                     struct cce_error *err)
{
    struct cce_certificate_key *key = context;

    if (!is_key_block(block))
        return 0;
    if (is_encrypted_block(block))
        return fail_encrypted(err);
    if (read_key_der(block->data, (size_t)block->length, key, err) != 0)
        return -1;
    return 1;
}

static int read_key(const struct cce_buf *bytes,
                    struct cce_certificate_key *key, struct cce_error *err)
{
    if (!cce_certificate_is_pem(bytes->data, bytes->length))
        return read_key_der((unsigned char *)bytes->data, bytes->length, key,
                            err);
    if (walk_pem(bytes, CCE_CERTIFICATE_KEY, visit_key, key, err) != 0)
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
    struct queue queue;
    struct cce_buf bytes;
    int result;

    enter(&queue);
    cce_buf_init(&bytes, CCE_CERTIFICATE_TEXT_MAX);
    result = open_text(text, length, CCE_CERTIFICATE_KEY, &bytes, err);
    if (result == 0)
        result = read_key(&bytes, key, err);
    cce_buf_cleanup(&bytes);
    return leave(&queue, result, err);
}

void cce_certificate_key_cleanup(struct cce_certificate_key *key)
{
    EVP_PKEY_free(key->pkey);
    key->pkey = NULL;
}

static int compare_key(X509 *x509, EVP_PKEY *pkey, bool *matches,
                       struct cce_error *err)
{
    EVP_PKEY *public_key = X509_get0_pubkey(x509);
    unsigned long last = ERR_peek_last_error();

    if (public_key == NULL)
        return cce_fail(err, CCE_INVALID_CERTIFICATE,
                        "the certificate's public key cannot be read");
    if (EVP_PKEY_get_base_id(public_key) != EVP_PKEY_get_base_id(pkey))
        return 0;
    *matches = EVP_PKEY_eq(public_key, pkey) == 1;
    /* OpenSSL answers a failure, of memory say, as it does a difference. Only
     * the failure leaves an error in the queue. */
    if (!*matches && ERR_peek_last_error() != last)
        return cce_fail(err, CCE_INVALID_KEY,
                        "the private key cannot be compared with the "
                        "certificate");
    return 0;
}

int cce_certificate_key_matches(const struct cce_certificate *certificate,
                                const struct cce_certificate_key *key,
                                bool *matches, struct cce_error *err)
{
    struct queue queue;
    int result;

    *matches = false;
    enter(&queue);
    result = compare_key(first(certificate), key->pkey, matches, err);
    return leave(&queue, result, err);
}

/* ===== Issuers ===== */

static void format_time(const ASN1_TIME *time, char *text, size_t size)
{
    struct tm fields;

    if (ASN1_TIME_to_tm(time, &fields) != 1 ||
        strftime(text, size, "%Y-%m-%d %H:%M:%S UTC", &fields) == 0)
        snprintf(text, size, "an unreadable date");
}

/* At most 100 bytes of a name, and no half character at the end. */
static int shown_length(const struct cce_buf *name)
{
    size_t length = name->length;

    if (length > 100)
        for (length = 100; (name->data[length] & 0xc0) == 0x80;)
            length--;
    return (int)length;
}

/* "the certificate", or which one of those above it. */
static void describe_certificate(X509_STORE_CTX *context, char *text,
                                 size_t size)
{
    X509 *x509 = X509_STORE_CTX_get_current_cert(context);
    struct cce_buf name;
    struct cce_error ignored;

    if (X509_STORE_CTX_get_error_depth(context) == 0 || x509 == NULL) {
        snprintf(text, size, "the certificate");
        return;
    }
    cce_buf_init(&name, CCE_CERTIFICATE_TEXT_MAX);
    append_name(&name, X509_get_subject_name(x509), &ignored);
    snprintf(text, size, "the issuing certificate \"%.*s\"",
             shown_length(&name), name.length > 0 ? name.data : "");
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

/* The certificate itself counts as trusted when the CA's text has it, but it
 * is not its own issuer. */
static bool stands_alone(X509_STORE_CTX *context, X509 *x509)
{
    return sk_X509_num(X509_STORE_CTX_get0_chain(context)) == 1 &&
           X509_NAME_cmp(X509_get_subject_name(x509),
                         X509_get_issuer_name(x509)) != 0;
}

static int verify(X509_STORE_CTX *context, X509 *x509, int64_t now,
                  struct cce_error *err)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);

    X509_VERIFY_PARAM_set_time(param, (time_t)now);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
    if (X509_verify_cert(context) != 1)
        return fail_verification(context, err);
    if (stands_alone(context, x509))
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
    X509 *x509 = first(certificate);
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
    struct queue queue;
    int result;

    enter(&queue);
    trusted = sk_X509_new_null();
    if (trusted == NULL || sk_X509_push(trusted, first(ca)) == 0)
        result = cce_fail_memory(err);
    else
        result = verify_in_turn(certificate, ca, trusted, now, err);
    sk_X509_free(trusted); /* the certificates are the caller's */
    return leave(&queue, result, err);
}
