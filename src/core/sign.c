#include "core/sign.h"

#include <string.h>

#include "core/sign_algorithm.h"
#include "core/sign_headers.h"
#include "core/wire/http.h"
#include "core/wire/operation.h"

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

/* --- making a signer ---
 *
 * All that can be refused is refused here, so that a signature fails only by
 * its request. What no request changes is written once. */

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

/* --- the stages ---
 *
 * Canonical request, string to sign, signature, Authorization: each is the
 * input of the next, and can be had alone, to be compared with the vectors and
 * with what a gateway says. */

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
                       const struct cce_digest_start *start,
                       struct cce_bytes data, struct cce_error *err)
{
    unsigned char hash[CCE_DIGEST_SIZE];
    char hex[CCE_DIGEST_HEX];

    if (cce_digest_hash_after(&signer->digest, start, data, hash, err) != 0)
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
    else if (append_hash(signer, out, NULL, request->body, err) != 0)
        return -1;
    return finish(out, &result->canonical_request, err);
}

/* `start` is of canonical_request, or NULL. */
static int build_string(struct cce_signer *signer, struct cce_bytes date,
                        const struct cce_digest_start *start,
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
    if (append_hash(signer, out, start, canonical_request, err) != 0)
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
                               struct cce_bytes names, bool token_given,
                               struct cce_sign_work *work,
                               struct cce_sign_result *result,
                               struct cce_error *err)
{
    struct cce_buf *out = &work->authorization;
    char memory[CCE_SIGN_SCOPE_SIZE];
    struct cce_bytes *answer = &result->authorization;
    size_t length;

    put(out, (struct cce_bytes){signer->prefix, signer->prefix_length});
    if (signer->algorithm->layout != CCE_SIGN_PLAIN)
        put(out, cce_sign_algorithm_scope(signer, date, memory));
    PUT_LITERAL(out, ", SignedHeaders=");
    put(out, names);
    PUT_LITERAL(out, ", Signature=");
    put(out, (struct cce_bytes){result->signature, CCE_DIGEST_HEX});
    length = out->length;
    put_char(out, '\0');
    if (!token_given)
        put(out, cce_secret_bytes(&signer->security_token));
    if (finish(out, answer, err) != 0)
        return -1;
    result->security_token = (struct cce_bytes){answer->data + length + 1,
                                                answer->length - length - 1};
    answer->length = length;
    return 0;
}

static int first_stage(struct cce_signer *signer,
                       const struct cce_sign_request *request,
                       struct cce_sign_headers *headers,
                       struct cce_sign_work *work,
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

    return first_stage(signer, request, &headers, work, result, err);
}

int cce_sign_string(struct cce_signer *signer, struct cce_bytes date,
                    struct cce_bytes canonical_request,
                    struct cce_sign_work *work, struct cce_sign_result *result,
                    struct cce_error *err)
{
    if (cce_date_check(date, err) != 0)
        return -1;
    return build_string(signer, date, NULL, canonical_request, work, result,
                        err);
}

int cce_sign_signature(struct cce_signer *signer, struct cce_bytes date,
                       struct cce_bytes string_to_sign,
                       struct cce_sign_result *result, struct cce_error *err)
{
    if (cce_date_check(date, err) != 0)
        return -1;
    return compute_signature(signer, date, string_to_sign, result, err);
}

/* The stages after the first. */
static int complete(struct cce_signer *signer, struct cce_bytes date,
                    const struct cce_digest_start *start,
                    struct cce_bytes names, bool token_given,
                    struct cce_sign_work *work, struct cce_sign_result *result,
                    struct cce_error *err)
{
    if (build_string(signer, date, start, result->canonical_request, work,
                     result, err) != 0 ||
        compute_signature(signer, date, result->string_to_sign, result, err))
        return -1;
    return build_authorization(signer, date, names, token_given, work, result,
                               err);
}

int cce_sign_request(struct cce_signer *signer,
                     const struct cce_sign_request *request,
                     struct cce_sign_work *work, struct cce_sign_result *result,
                     struct cce_error *err)
{
    struct cce_sign_headers headers;
    struct cce_bytes names;

    if (first_stage(signer, request, &headers, work, result, err) != 0)
        return -1;
    names.data = work->canonical.data + headers.names_start;
    names.length = headers.names_length;
    return complete(signer, headers.implied[CCE_SIGN_DATE].found, NULL, names,
                    headers.implied[CCE_SIGN_TOKEN].given, work, result, err);
}

/* --- prepared requests ---
 *
 * The canonical request with gaps: before the path, at its places, before the
 * query, at the date and at the body's hash. A signature copies what is between
 * and fills them. */

static const struct cce_bytes any_date = CCE_BYTES("19700101T000000Z");

static bool is_place_name(struct cce_bytes name)
{
    for (size_t i = 0; i < name.length; i++)
        if (!cce_is_alphanumeric(name.data[i]) && name.data[i] != '_')
            return false;
    return name.length > 0 && name.length <= CCE_SIGN_PLACE_MAX;
}

/* The pieces between the places, one after the other. */
static int put_pieces(struct cce_buf *text, struct cce_bytes path,
                      struct cce_sign_prepared *prepared, struct cce_error *err)
{
    const char *at = path.data, *end = path.data + path.length;

    while (at < end) {
        const char *open = memchr(at, '{', (size_t)(end - at)), *close;
        struct cce_bytes piece = {at, (size_t)((open ? open : end) - at)}, name;
        size_t place = prepared->place_count;

        if (piece.length > 0)
            cce_uri_append_path(text, piece);
        if (open == NULL)
            break;
        close = memchr(open, '}', (size_t)(end - open));
        name.data = open + 1;
        name.length = close != NULL ? (size_t)(close - name.data) : 0;
        if (!is_place_name(name))
            return cce_fail(err, CCE_INVALID_ARGUMENT,
                            "path has a brace that is not of a place such as "
                            "{cluster_id}");
        if (place == CCE_SIGN_PLACES_MAX)
            return cce_fail(err, CCE_INVALID_ARGUMENT,
                            "path has more than %d places for ids",
                            CCE_SIGN_PLACES_MAX);
        memcpy(prepared->places[place].name, name.data, name.length);
        prepared->places[place].at = text->length;
        prepared->place_count++;
        at = open + name.length + 2;
    }
    return 0;
}

static int write_text(struct cce_signer *signer, struct cce_buf *text,
                      const struct cce_sign_request *request,
                      struct cce_sign_headers *headers,
                      struct cce_sign_prepared *prepared, struct cce_error *err)
{
    struct cce_bytes bytes;

    put(text, request->method);
    put_char(text, '\n');
    prepared->path_start = text->length;
    if (request->path.length > 0 &&
        put_pieces(text, request->path, prepared, err) != 0)
        return -1;
    prepared->query_start = text->length;
    if (request->query_count > 0) {
        cce_uri_sort_query(request->query, request->query_count);
        cce_uri_append_query(text, request->query, request->query_count);
    }
    prepared->tail_start = text->length;
    put_char(text, '\n');
    cce_sign_headers_append(text, headers);
    if (headers->content_hash.length > 0)
        put(text, headers->content_hash);
    else if (request->body.data != NULL &&
             append_hash(signer, text, NULL, request->body, err) != 0)
        return -1;
    if (finish(text, &bytes, err) != 0)
        return -1;
    return cce_secret_init(&prepared->text, bytes, err);
}

int cce_sign_prepare(struct cce_signer *signer,
                     const struct cce_sign_request *request,
                     struct cce_sign_prepared *prepared, struct cce_error *err)
{
    struct cce_sign_request given = *request;
    struct cce_sign_headers headers;
    struct cce_buf text;
    char memory[2048];
    int result = -1;

    given.default_date = any_date;
    cce_buf_init_fixed(&text, memory, sizeof memory, CCE_SECRET_MAX);
    if (cce_sign_headers_resolve(signer, &given, &headers, err) == 0)
        result = write_text(signer, &text, request, &headers, prepared, err);
    cce_buf_cleanup(&text);
    if (result != 0)
        return -1;
    prepared->has_path = request->path.data != NULL;
    prepared->fixed_hash = headers.content_hash.length > 0;
    prepared->has_hash = prepared->fixed_hash || request->body.data != NULL;
    prepared->host_given = headers.implied[CCE_SIGN_HOST].given;
    prepared->date_given = headers.implied[CCE_SIGN_DATE].given;
    prepared->token_given = headers.implied[CCE_SIGN_TOKEN].given;
    prepared->has_date = prepared->date_given || request->date.length > 0;
    prepared->names_start = headers.names_start;
    prepared->names_length = headers.names_length;
    prepared->date_start = headers.date_start;
    prepared->hash_start = headers.names_start + headers.names_length + 1;
    cce_digest_start(
        &signer->digest,
        (struct cce_bytes){prepared->text.data, prepared->place_count > 0
                                                    ? prepared->places[0].at
                                                    : prepared->query_start},
        &prepared->start);
    return 0;
}

void cce_sign_prepared_cleanup(struct cce_sign_prepared *prepared)
{
    cce_secret_cleanup(&prepared->text);
}

static void put_part(struct cce_buf *out,
                     const struct cce_sign_prepared *prepared, size_t from,
                     size_t to)
{
    put(out, (struct cce_bytes){prepared->text.data + from, to - from});
}

static int put_path(struct cce_buf *out,
                    const struct cce_sign_prepared *prepared,
                    const struct cce_bytes *ids, struct cce_error *err)
{
    size_t from = prepared->path_start;

    for (size_t i = 0; i < prepared->place_count; i++) {
        if (!cce_operation_is_id(ids[i]))
            return cce_fail(err, CCE_INVALID_ARGUMENT,
                            "%s must be an id: letters, digits, \".\", \"_\" "
                            "and \"-\", at most 128, without \"..\"",
                            prepared->places[i].name);
        put_part(out, prepared, from, prepared->places[i].at);
        put(out, ids[i]);
        from = prepared->places[i].at;
    }
    put_part(out, prepared, from, prepared->query_start);
    if (out->failed || out->data[out->length - 1] != '/')
        put_char(out, '/');
    return 0;
}

static int check_changes(const struct cce_sign_prepared *prepared,
                         const struct cce_sign_request *changes,
                         struct cce_error *err)
{
    const struct cce_http_request http = {
        .method = {prepared->text.data, prepared->path_start - 1},
        .path = changes->path,
        .query = changes->query,
        .query_count = changes->query_count,
    };

    if (prepared->has_date && changes->date.length > 0)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "the date was prepared already");
    if (changes->date.length > 0 && cce_date_check(changes->date, err) != 0)
        return -1;
    return cce_http_check(&http, err);
}

int cce_sign_prepared(struct cce_signer *signer,
                      const struct cce_sign_prepared *prepared,
                      const struct cce_sign_request *changes,
                      const struct cce_bytes *ids, struct cce_sign_work *work,
                      struct cce_sign_result *result, struct cce_error *err)
{
    const char *text = prepared->text.data;
    struct cce_buf *out = &work->canonical;
    struct cce_bytes date =
        changes->date.length > 0 ? changes->date : changes->default_date;
    bool new_hash = !prepared->has_hash ||
                    (changes->body.data != NULL && !prepared->fixed_hash);
    bool new_path = changes->path.data != NULL || !prepared->has_path;
    size_t tail;

    if (check_changes(prepared, changes, err) != 0)
        return -1;
    put_part(out, prepared, 0, prepared->path_start);
    if (new_path)
        cce_uri_append_canonical_path(out, changes->path);
    else if (put_path(out, prepared, ids, err) != 0)
        return -1;
    put_char(out, '\n');
    if (changes->query_count > 0) {
        cce_uri_sort_query(changes->query, changes->query_count);
        cce_uri_append_query(out, changes->query, changes->query_count);
    } else {
        put_part(out, prepared, prepared->query_start, prepared->tail_start);
    }

    tail = out->length - prepared->tail_start;
    put_part(out, prepared, prepared->tail_start,
             new_hash ? prepared->hash_start : prepared->text.length);
    if (prepared->has_date)
        date = (struct cce_bytes){text + prepared->date_start, CCE_DATE_LENGTH};
    else if (!out->failed)
        memcpy(out->data + tail + prepared->date_start, date.data,
               CCE_DATE_LENGTH);
    if (new_hash && append_hash(signer, out, NULL, changes->body, err) != 0)
        return -1;
    if (finish(out, &result->canonical_request, err) != 0)
        return -1;
    memcpy(result->date, date.data, CCE_DATE_LENGTH);
    result->date[CCE_DATE_LENGTH] = '\0';
    result->host_given = prepared->host_given;
    result->date_given = prepared->date_given;
    return complete(signer, date, new_path ? NULL : &prepared->start,
                    (struct cce_bytes){text + prepared->names_start,
                                       prepared->names_length},
                    prepared->token_given, work, result, err);
}
