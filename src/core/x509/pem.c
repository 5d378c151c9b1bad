#include "core/x509/pem.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "core/base64.h"
#include "core/bytes.h"

static const struct {
    const char *noun;
    enum cce_status code;
} kinds[] = {
    [CCE_PEM_CERTIFICATES] = {"certificate", CCE_INVALID_CERTIFICATE},
    [CCE_PEM_KEY] = {"private key", CCE_INVALID_KEY},
};

/* --- texts --- */

static const char begin[] = "-----BEGIN ";

/* Not at the start alone: `openssl x509 -text` writes the facts before it. */
bool cce_pem_is(const char *text, size_t length)
{
    return length > 0 && memmem(text, length, begin, sizeof begin - 1) != NULL;
}

static struct cce_bytes without_indent(struct cce_bytes line)
{
    while (line.length > 0 && cce_is_blank(*line.data)) {
        line.data++;
        line.length--;
    }
    return line;
}

/* Whether blanks stand before a block, as in the lines of YAML: OpenSSL would
 * not see it. */
static bool is_indented(struct cce_bytes text)
{
    struct cce_bytes line;

    while (cce_bytes_next_line(&text, &line))
        if (line.length > 0 && cce_is_blank(*line.data) &&
            cce_bytes_begins(without_indent(line), cce_bytes_of(begin)))
            return true;
    return false;
}

/* In place. */
static void dedent(struct cce_buf *text)
{
    struct cce_bytes rest = {text->data, text->length}, line;
    size_t length = 0;

    while (cce_bytes_next_line(&rest, &line)) {
        line = without_indent(line);
        memmove(text->data + length, line.data, line.length);
        length += line.length;
        if (rest.data[-1] == '\n')
            text->data[length++] = '\n';
    }
    cce_wipe(text->data + length, text->length - length);
    text->length = length;
}

/* PEM; or DER: a SEQUENCE whose length has the long form, or is that of the
 * text. */
static bool is_readable(const char *text, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)text;

    return cce_pem_is(text, length) ||
           (length > 2 && bytes[0] == 0x30 &&
            (bytes[1] >= 0x80 || bytes[1] == length - 2));
}

static bool is_base64_of_readable(const struct cce_buf *bytes)
{
    struct cce_buf inner;
    struct cce_error ignored;
    bool result;

    cce_buf_init(&inner, CCE_PEM_TEXT_MAX);
    result =
        cce_base64_decode(bytes->data, bytes->length, &inner, &ignored) == 0 &&
        is_readable(inner.data, inner.length);
    cce_buf_cleanup(&inner);
    return result;
}

/* A kubeconfig holds the Base64 of PEM. Who copies that out of one may have put
 * it in Base64 once more: that has a message of its own. */
static int unwrap(const char *text, size_t length, enum cce_pem_kind kind,
                  struct cce_buf *bytes, struct cce_error *err)
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

int cce_pem_open(const char *text, size_t length, enum cce_pem_kind kind,
                 struct cce_buf *bytes, struct cce_error *err)
{
    if (length == 0)
        return cce_fail(err, kinds[kind].code, "the %s is empty",
                        kinds[kind].noun);
    if (length > CCE_PEM_TEXT_MAX)
        return cce_fail(err, kinds[kind].code,
                        "the %s is %zu bytes long; at most %d are read",
                        kinds[kind].noun, length, CCE_PEM_TEXT_MAX);
    if (is_readable(text, length))
        cce_buf_append(bytes, text, length);
    else if (unwrap(text, length, kind, bytes, err) != 0)
        return -1;
    if (bytes->failed)
        return cce_fail_memory(err);
    if (cce_pem_is(bytes->data, bytes->length) &&
        is_indented((struct cce_bytes){bytes->data, bytes->length}))
        dedent(bytes);
    return 0;
}

int cce_pem_only(const char *text, size_t length, enum cce_pem_kind kind,
                 struct cce_buf *pem, struct cce_error *err)
{
    if (cce_pem_open(text, length, kind, pem, err) != 0)
        return -1;
    if (cce_pem_is(pem->data, pem->length))
        return 0;
    return cce_fail(err, kinds[kind].code,
                    "the %s is DER: convert it to PEM first", kinds[kind].noun);
}

/* --- PEM --- */

int cce_pem_walk(const struct cce_buf *pem, enum cce_pem_kind kind,
                 cce_pem_visitor *visit, void *context, struct cce_error *err)
{
    BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->length);
    int result = 0;

    if (bio == NULL)
        return cce_fail_memory(err);
    while (result == 0) {
        struct cce_pem_block block = {0};

        /* "Secure" memory is what makes OpenSSL wipe its own copies. */
        if (!PEM_read_bio_ex(bio, &block.name, &block.header, &block.data,
                             &block.length,
                             PEM_FLAG_SECURE | PEM_FLAG_EAY_COMPATIBLE)) {
            if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
                result = cce_fail(err, kinds[kind].code,
                                  "a PEM block of the %s is damaged or cut off",
                                  kinds[kind].noun);
            break;
        }
        result = visit(&block, context, err);
        OPENSSL_secure_free(block.name);
        OPENSSL_secure_free(block.header);
        OPENSSL_secure_clear_free(block.data, (size_t)block.length);
    }
    BIO_free(bio);
    return result < 0 ? -1 : 0;
}
