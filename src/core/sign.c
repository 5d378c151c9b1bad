#include "core/sign.h"

#include <string.h>

#include "core/sign_algorithm.h"
#include "core/sign_headers.h"

enum { REQUEST_MAX = 4 * 1024 * 1024 /* bytes of a canonical request */ };

/* The fast way of cce_buf_append: a signature is some thirty of them, and the
 * buffer nearly always has the room. */
static inline void put(struct cce_buf *out, struct cce_bytes bytes)
{
    if (bytes.length >= out->capacity - out->length || out->failed) {
        cce_buf_append(out, bytes.data, bytes.length);
        return;
    }
    if (bytes.length > 0)
        memcpy(out->data + out->length, bytes.data, bytes.length);
    out->length += bytes.length;
    out->data[out->length] = '\0';
}

static inline void put_char(struct cce_buf *out, char character)
{
    put(out, (struct cce_bytes){&character, 1});
}

#define PUT_LITERAL(out, string) put(out, (struct cce_bytes)CCE_BYTES(string))

/* Visible ASCII without a comma, which ends a field of Authorization. */
static bool is_credential(struct cce_bytes bytes)
{
    for (size_t i = 0; i < bytes.length; i++)
        if (bytes.data[i] <= ' ' || bytes.data[i] > '~' || bytes.data[i] == ',')
            return false;
    return true;
}

/* --- making a signer --- */

/* Copies a part of the credential. */
static int set_credential(char *to, size_t maximum, const char *name,
                          struct cce_bytes value, struct cce_error *err)
{
    if (value.length > maximum)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "%s has at most %zu characters, this one has %zu", name,
                        maximum, value.length);
    if (!is_credential(value))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "%s must be visible ASCII without commas and spaces",
                        name);
    if (value.length > 0)
        memcpy(to, value.data, value.length);
    to[value.length] = '\0';
    return 0;
}

static int set_scope(struct cce_signer *signer,
                     const struct cce_sign_options *options,
                     struct cce_error *err)
{
    bool needed = signer->algorithm->layout == CCE_SIGN_V11;

    if (needed && (options->region.length == 0 || options->service.length == 0))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "V11-HMAC-SHA256 needs a region and a service");
    if (set_credential(signer->region, CCE_SIGN_SCOPE_MAX, "region",
                       options->region, err) != 0 ||
        set_credential(signer->service, CCE_SIGN_SCOPE_MAX, "service",
                       options->service, err) != 0)
        return -1;
    if (strchr(signer->region, '/') != NULL ||
        strchr(signer->service, '/') != NULL)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "region and service must not hold a slash");
    return 0;
}

static int set_token(struct cce_signer *signer, struct cce_bytes token,
                     struct cce_error *err)
{
    if (token.length == 0)
        return 0;
    if (!is_credential(token))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "security_token must be visible ASCII without commas "
                        "and spaces");
    return cce_secret_init(&signer->security_token, token, err);
}

/* What every Authorization of the signer begins with. */
static void write_prefix(struct cce_signer *signer)
{
    bool plain = signer->algorithm->layout == CCE_SIGN_PLAIN;
    struct cce_buf prefix;

    cce_buf_init_fixed(&prefix, signer->prefix, sizeof signer->prefix,
                       sizeof signer->prefix - 1);
    put(&prefix, signer->algorithm->name);
    cce_buf_append_string(&prefix, plain ? " Access=" : " Credential=");
    cce_buf_append_string(&prefix, signer->ak);
    cce_buf_append_string(&prefix, plain ? "" : "/");
    signer->prefix_length = prefix.length;
}

static int set_keys(struct cce_signer *signer, struct cce_bytes sk,
                    struct cce_error *err)
{
    if (sk.length == 0)
        return cce_fail(err, CCE_INVALID_ARGUMENT, "sk must not be empty");
    if (cce_digest_init(&signer->digest, signer->algorithm->digest, err) != 0)
        return -1;
    if (signer->algorithm->layout != CCE_SIGN_PLAIN)
        return cce_secret_init(&signer->sk, sk, err);
    return cce_digest_key_set(&signer->key, &signer->digest, sk, err);
}

int cce_sign_init(struct cce_signer *signer,
                  const struct cce_sign_options *options, struct cce_error *err)
{
    signer->algorithm =
        cce_sign_algorithm_find(options->algorithm, options->scheme);
    if (signer->algorithm == NULL)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "algorithm must be SDK-HMAC-SHA256, SDK-HMAC-SM3 or "
                        "V11-HMAC-SHA256, and scheme \"scoped\" goes with "
                        "SDK-HMAC-SHA256 only");
    if (options->ak.length == 0)
        return cce_fail(err, CCE_INVALID_ARGUMENT, "ak must not be empty");
    if (set_credential(signer->ak, CCE_SIGN_AK_MAX, "ak", options->ak, err) !=
            0 ||
        set_scope(signer, options, err) != 0 ||
        set_token(signer, options->security_token, err) != 0)
        return -1;
    write_prefix(signer);
    return set_keys(signer, options->sk, err);
}

void cce_sign_cleanup(struct cce_signer *signer)
{
    cce_digest_cleanup(&signer->digest);
    cce_digest_key_cleanup(&signer->key);
    cce_secret_cleanup(&signer->sk);
    cce_secret_cleanup(&signer->security_token);
    memset(signer, 0, sizeof *signer);
}

const char *cce_sign_algorithm_name(const struct cce_signer *signer)
{
    return signer->algorithm->name.data;
}

/* --- the stages --- */

void cce_sign_work_init(struct cce_sign_work *work)
{
    cce_buf_init_fixed(&work->canonical, work->canonical_memory,
                       sizeof work->canonical_memory, REQUEST_MAX);
    cce_buf_init_fixed(&work->to_sign, work->to_sign_memory,
                       sizeof work->to_sign_memory, REQUEST_MAX);
    cce_buf_init_fixed(&work->authorization, work->authorization_memory,
                       sizeof work->authorization_memory, REQUEST_MAX);
}

void cce_sign_work_cleanup(struct cce_sign_work *work)
{
    cce_buf_cleanup(&work->canonical);
    cce_buf_cleanup(&work->to_sign);
    cce_buf_cleanup(&work->authorization);
}

static int append_hash(struct cce_signer *signer, struct cce_buf *out,
                       struct cce_bytes data, struct cce_error *err)
{
    unsigned char hash[CCE_DIGEST_SIZE];
    char hex[CCE_DIGEST_HEX];

    if (cce_digest_hash(&signer->digest, data, hash, err) != 0)
        return -1;
    cce_digest_hex(hash, hex);
    put(out, (struct cce_bytes){hex, sizeof hex});
    return 0;
}

static int finish(struct cce_buf *out, struct cce_bytes *bytes,
                  struct cce_error *err)
{
    if (out->too_long || out->length > REQUEST_MAX)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "the request to sign is larger than %d bytes",
                        REQUEST_MAX);
    if (out->failed)
        return cce_fail_memory(err);
    *bytes = (struct cce_bytes){out->data, out->length};
    return 0;
}

static int build_canonical(struct cce_signer *signer,
                           const struct cce_sign_request *request,
                           struct cce_sign_headers *headers,
                           struct cce_sign_work *work,
                           struct cce_sign_result *result,
                           struct cce_error *err)
{
    struct cce_buf *out = &work->canonical;

    put(out, request->method);
    put_char(out, '\n');
    cce_uri_append_canonical_path(out, request->path);
    put_char(out, '\n');
    if (request->query_count > 0) {
        cce_uri_sort_query(request->query, request->query_count);
        cce_uri_append_query(out, request->query, request->query_count);
    }
    put_char(out, '\n');
    cce_sign_headers_append(out, headers);
    if (headers->content_hash.length > 0)
        put(out, headers->content_hash);
    else if (append_hash(signer, out, request->body, err) != 0)
        return -1;
    return finish(out, &result->canonical_request, err);
}

static int build_string(struct cce_signer *signer, struct cce_bytes date,
                        struct cce_bytes canonical_request,
                        struct cce_sign_work *work,
                        struct cce_sign_result *result, struct cce_error *err)
{
    struct cce_buf *out = &work->to_sign;
    char memory[CCE_SIGN_SCOPE_SIZE];

    put(out, signer->algorithm->name);
    put_char(out, '\n');
    put(out, date);
    put_char(out, '\n');
    if (signer->algorithm->layout != CCE_SIGN_PLAIN) {
        struct cce_bytes scope = cce_sign_algorithm_scope(signer, date, memory);

        put(out, scope);
        put_char(out, '\n');
    }
    if (append_hash(signer, out, canonical_request, err) != 0)
        return -1;
    return finish(out, &result->string_to_sign, err);
}

static int compute_signature(struct cce_signer *signer, struct cce_bytes date,
                             struct cce_bytes string_to_sign,
                             struct cce_sign_result *result,
                             struct cce_error *err)
{
    unsigned char mac[CCE_DIGEST_SIZE];

    if (cce_sign_algorithm_choose_key(signer, date, err) != 0 ||
        cce_digest_hmac(&signer->digest, &signer->key, string_to_sign, mac,
                        err) != 0)
        return -1;
    cce_digest_hex(mac, result->signature);
    result->signature[CCE_DIGEST_HEX] = '\0';
    return 0;
}

/* And behind it, in the same memory, the token that must be sent. A NUL follows
 * either. */
static int build_authorization(struct cce_signer *signer, struct cce_bytes date,
                               const struct cce_sign_headers *headers,
                               struct cce_sign_work *work,
                               struct cce_sign_result *result,
                               struct cce_error *err)
{
    const struct cce_sign_implied *token = &headers->implied[CCE_SIGN_TOKEN];
    struct cce_buf *out = &work->authorization;
    char memory[CCE_SIGN_SCOPE_SIZE];
    struct cce_bytes *answer = &result->authorization;
    size_t length;

    put(out, (struct cce_bytes){signer->prefix, signer->prefix_length});
    if (signer->algorithm->layout != CCE_SIGN_PLAIN)
        put(out, cce_sign_algorithm_scope(signer, date, memory));
    PUT_LITERAL(out, ", SignedHeaders=");
    put(out, (struct cce_bytes){work->canonical.data + headers->names_start,
                                headers->names_length});
    PUT_LITERAL(out, ", Signature=");
    put(out, (struct cce_bytes){result->signature, CCE_DIGEST_HEX});
    length = out->length;
    put_char(out, '\0');
    if (!token->given)
        put(out, token->found);
    if (finish(out, answer, err) != 0)
        return -1;
    result->security_token = (struct cce_bytes){answer->data + length + 1,
                                                answer->length - length - 1};
    answer->length = length;
    return 0;
}

static int prepare(struct cce_signer *signer,
                   const struct cce_sign_request *request,
                   struct cce_sign_headers *headers, struct cce_sign_work *work,
                   struct cce_sign_result *result, struct cce_error *err)
{
    if (cce_sign_headers_resolve(signer, request, headers, err) != 0)
        return -1;
    memcpy(result->date, headers->implied[CCE_SIGN_DATE].found.data,
           CCE_DATE_LENGTH);
    result->date[CCE_DATE_LENGTH] = '\0';
    result->host_given = headers->implied[CCE_SIGN_HOST].given;
    result->date_given = headers->implied[CCE_SIGN_DATE].given;
    return build_canonical(signer, request, headers, work, result, err);
}

int cce_sign_canonical(struct cce_signer *signer,
                       const struct cce_sign_request *request,
                       struct cce_sign_work *work,
                       struct cce_sign_result *result, struct cce_error *err)
{
    struct cce_sign_headers headers;

    return prepare(signer, request, &headers, work, result, err);
}

int cce_sign_string(struct cce_signer *signer, struct cce_bytes date,
                    struct cce_bytes canonical_request,
                    struct cce_sign_work *work, struct cce_sign_result *result,
                    struct cce_error *err)
{
    if (cce_date_check(date, err) != 0)
        return -1;
    return build_string(signer, date, canonical_request, work, result, err);
}

int cce_sign_signature(struct cce_signer *signer, struct cce_bytes date,
                       struct cce_bytes string_to_sign,
                       struct cce_sign_result *result, struct cce_error *err)
{
    if (cce_date_check(date, err) != 0)
        return -1;
    return compute_signature(signer, date, string_to_sign, result, err);
}

int cce_sign_request(struct cce_signer *signer,
                     const struct cce_sign_request *request,
                     struct cce_sign_work *work, struct cce_sign_result *result,
                     struct cce_error *err)
{
    struct cce_sign_headers headers;
    struct cce_bytes date;

    if (prepare(signer, request, &headers, work, result, err) != 0)
        return -1;
    date = headers.implied[CCE_SIGN_DATE].found;
    if (build_string(signer, date, result->canonical_request, work, result,
                     err) != 0 ||
        compute_signature(signer, date, result->string_to_sign, result, err))
        return -1;
    return build_authorization(signer, date, &headers, work, result, err);
}
