#include "core/x509/certificate_facts.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/openssl_compat.h"
#include "core/x509/pem.h"
#include "core/x509/ssl_queue.h"

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

/* Appends text that is safe to print; returns whether it is unchanged. A
 * terminal obeys what is not: C0, DEL and C1. */
static bool append_visible(struct cce_buf *out, const void *text, size_t length)
{
    const unsigned char *bytes = text;
    bool unchanged = true;

    while (length > 0) {
        size_t count = utf8_length(bytes, length);
        bool is_control = bytes[0] < 0x20 || bytes[0] == 0x7f ||
                          (count > 1 && bytes[0] == 0xc2 && bytes[1] < 0xa0);

        if (count > 0 && !is_control)
            cce_buf_append(out, bytes, count);
        else {
            unchanged = false;
            count = count == 0 ? 1 : count;
            for (size_t i = 0; i < count; i++) {
                char escape[4];

                snprintf(escape, sizeof escape, "\\%02X", bytes[i]);
                cce_buf_append_string(out, escape);
            }
        }
        bytes += count;
        length -= count;
    }
    return unchanged;
}

int cce_certificate_facts_name(struct cce_buf *out, const X509_NAME *name,
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

/* Bytes of a character in a string of ASN.1; 0: it is UTF-8, or no text. */
static size_t width_of(int type)
{
    switch (type) {
    case V_ASN1_NUMERICSTRING:
    case V_ASN1_PRINTABLESTRING:
    case V_ASN1_T61STRING: /* taken for Latin-1, as everybody does */
    case V_ASN1_IA5STRING:
    case V_ASN1_VISIBLESTRING:
        return 1;
    case V_ASN1_BMPSTRING:
        return 2;
    case V_ASN1_UNIVERSALSTRING:
        return 4;
    default:
        return 0;
    }
}

/* Appends the value of a part of a name; returns whether it is unchanged. This
 * is ASN1_STRING_to_UTF8 without its allocation: when that fails, OpenSSL does
 * not tell whether the string was wrong or memory ran out, and an empty id of
 * a user is an answer, too. */
static bool append_entry(struct cce_buf *out, const X509_NAME *name, int index)
{
    const ASN1_STRING *string =
        X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index));
    const unsigned char *bytes = ASN1_STRING_get0_data(string);
    size_t length = (size_t)ASN1_STRING_length(string);
    size_t width = width_of(ASN1_STRING_type(string));
    bool unchanged = true;

    if (width == 0 || length % width != 0)
        return append_visible(out, bytes, length) &&
               ASN1_STRING_type(string) == V_ASN1_UTF8STRING;
    for (size_t i = 0; i < length; i += width) {
        uint32_t code = 0;

        for (size_t j = 0; j < width; j++)
            code = code << 8 | bytes[i + j];
        if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
            append_visible(out, bytes + i, width);
            unchanged = false;
        } else {
            char memory[8];
            struct cce_buf utf8;

            cce_buf_init_fixed(&utf8, memory, sizeof memory, 4);
            cce_buf_append_utf8(&utf8, code);
            if (!append_visible(out, utf8.data, utf8.length))
                unchanged = false;
        }
    }
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

/* Kubernetes takes these for the user's groups. A NUL ends each of them, and no
 * name has one: it would be escaped. */
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

    /* A serial number was read with the certificate: no more than memory can
     * be missing. */
    BN_free(number);
    if (text == NULL)
        return cce_fail_memory(err);
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

static int read_facts(X509 *x509, struct cce_certificate_facts *facts,
                      struct cce_error *err)
{
    const X509_NAME *subject = X509_get_subject_name(x509);

    read_user_id(subject, &facts->user_id);
    read_organizations(subject, &facts->organizations);
    if (cce_certificate_facts_name(&facts->subject, subject, err) != 0 ||
        cce_certificate_facts_name(&facts->issuer, X509_get_issuer_name(x509),
                                   err) != 0 ||
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

int cce_certificate_facts_read(const struct cce_certificate *certificate,
                               struct cce_certificate_facts *facts,
                               struct cce_error *err)
{
    /* An escaped byte takes three, and RFC 2253 may have tripled it first. */
    size_t maximum = 16 * (size_t)CCE_PEM_TEXT_MAX;
    struct cce_ssl_queue queue;
    int result;

    cce_buf_init(&facts->user_id, maximum);
    cce_buf_init(&facts->organizations, maximum);
    cce_buf_init(&facts->subject, maximum);
    cce_buf_init(&facts->issuer, maximum);
    cce_buf_init(&facts->serial, maximum);
    cce_ssl_queue_enter(&queue);
    result = read_facts(sk_X509_value(certificate->chain, 0), facts, err);
    if (result != 0)
        cce_certificate_facts_cleanup(facts);
    return cce_ssl_queue_leave(&queue, result, err);
}

void cce_certificate_facts_cleanup(struct cce_certificate_facts *facts)
{
    cce_buf_cleanup(&facts->user_id);
    cce_buf_cleanup(&facts->organizations);
    cce_buf_cleanup(&facts->subject);
    cce_buf_cleanup(&facts->issuer);
    cce_buf_cleanup(&facts->serial);
}
