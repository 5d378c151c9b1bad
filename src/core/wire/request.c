#include "core/wire/request.h"

#include <string.h>

#include "core/field.h"

static const struct cce_bytes host_name = CCE_BYTES("Host");
static const struct cce_bytes token_name = CCE_BYTES("X-Auth-Token");

/* Headers that say where a request ends are libcurl's: with others, a part of
 * the body would be read as the next request. */
static const struct cce_bytes framing[] = {
    CCE_BYTES("content-length"),
    CCE_BYTES("transfer-encoding"),
    CCE_BYTES("connection"),
};

static void add_header(struct cce_request_wire *wire, struct cce_bytes name,
                       struct cce_bytes value)
{
    wire->headers[wire->header_count++] = (struct cce_pair){name, value};
}

/* Parts become one body; they lie in memory that is wiped. */
static int join_body(const struct cce_request_spec *spec,
                     struct cce_request_wire *wire, struct cce_error *err)
{
    struct cce_buf *joined = &wire->joined;

    wire->body = spec->sign.body;
    for (size_t i = 0; i < spec->part_count; i++) {
        const struct cce_request_part *part = &spec->parts[i];

        if (part->is_secret)
            cce_field_append_json(joined, part->bytes);
        else
            cce_buf_append(joined, part->bytes.data, part->bytes.length);
    }
    if (joined->too_long || wire->body.length > CCE_REQUEST_BODY_MAX)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "the body is longer than %d bytes",
                        CCE_REQUEST_BODY_MAX);
    if (joined->failed)
        return cce_fail_memory(err);
    if (spec->part_count > 0)
        wire->body = (struct cce_bytes){joined->data, joined->length};
    return 0;
}

/* Checks what is given before any of it is joined with another part. */
static int check(const struct cce_request_spec *spec,
                 const struct cce_request_wire *wire, struct cce_error *err)
{
    const struct cce_sign_request *sign = &spec->sign;
    const struct cce_http_request http = {
        .method = sign->method,
        .path = sign->path,
        .query = sign->query,
        .query_count = sign->query_count,
        .headers = sign->headers,
        .header_count = sign->header_count,
    };
    const struct cce_pair *host;

    if (cce_http_check(&http, err) != 0)
        return -1;
    if (sign->method.length > CCE_REQUEST_METHOD_MAX)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "method has at most %d characters",
                        CCE_REQUEST_METHOD_MAX);
    if (sign->date.data != NULL && cce_date_check(sign->date, err) != 0)
        return -1;
    for (size_t i = 0; i < sizeof framing / sizeof framing[0]; i++)
        if (cce_http_find(sign->headers, sign->header_count, framing[i]))
            return cce_http_fail_header(err, "is not for the caller to give",
                                        framing[i]);
    host = cce_http_find(sign->headers, sign->header_count, host_name);
    if (host != NULL && !cce_bytes_same(cce_bytes_trim(host->value),
                                        cce_bytes_of(wire->endpoint.host)))
        return cce_http_fail_header(err, "is another than the endpoint's",
                                    host_name);
    if (spec->token.data == NULL)
        return 0;
    if (spec->signer != NULL)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "a request has a signer or a token, not both");
    if (spec->token.length == 0 || !cce_http_is_value(spec->token))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "the token is empty or has a control character");
    if (cce_http_find(sign->headers, sign->header_count, token_name) != NULL)
        return cce_http_fail_header(err, "is given twice", token_name);
    return 0;
}

/* The endpoint's own path precedes the request's, signed and sent alike. */
static int write_address(const struct cce_request_spec *spec,
                         struct cce_request_wire *wire, struct cce_error *err)
{
    const struct cce_sign_request *sign = &spec->sign;
    struct cce_buf *path = &wire->path, *url = &wire->address;

    cce_buf_append_string(path, wire->endpoint.path);
    cce_buf_append(path, sign->path.data, sign->path.length);
    cce_buf_append_string(url, wire->endpoint.origin);
    cce_uri_append_path(url, (struct cce_bytes){path->data, path->length});
    if (sign->query_count > 0) {
        cce_buf_append_char(url, '?');
        cce_uri_sort_query(sign->query, sign->query_count);
        cce_uri_append_query(url, sign->query, sign->query_count);
    }
    if (path->too_long || url->too_long)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "the address is too long: more than %d bytes",
                        CCE_REQUEST_URL_MAX);
    /* What was cut short is another address. */
    if (path->failed || url->failed)
        return cce_fail_memory(err);
    wire->url = url->data;
    return 0;
}

static int sign(const struct cce_request_spec *spec,
                struct cce_request_wire *wire, struct cce_error *err)
{
    struct cce_sign_request request = spec->sign;
    struct cce_sign_result *result = &wire->signature;

    /* What is signed is what is sent: the endpoint's host, the whole path, the
     * body in one piece. */
    request.host = cce_bytes_of(wire->endpoint.host);
    request.path = (struct cce_bytes){wire->path.data, wire->path.length};
    request.body = wire->body;
    if (cce_sign_request(spec->signer, &request, &wire->signing, result, err) !=
        0)
        return -1;
    if (!result->date_given)
        add_header(wire, (struct cce_bytes)CCE_BYTES("X-Sdk-Date"),
                   cce_bytes_of(result->date));
    if (result->security_token.length > 0)
        add_header(wire, (struct cce_bytes)CCE_BYTES("X-Security-Token"),
                   result->security_token);
    add_header(wire, (struct cce_bytes)CCE_BYTES("Authorization"),
               result->authorization);
    return 0;
}

int cce_request_build(const struct cce_request_spec *spec,
                      struct cce_request_wire *wire, struct cce_error *err)
{
    const struct cce_sign_request *given = &spec->sign;

    /* All of it first, so that cce_request_cleanup is right however this
     * ends. */
    wire->url = NULL;
    wire->header_count = 0;
    wire->body = (struct cce_bytes){NULL, 0};
    cce_buf_init_fixed(&wire->path, wire->path_memory, sizeof wire->path_memory,
                       CCE_REQUEST_URL_MAX);
    cce_buf_init_fixed(&wire->address, wire->address_memory,
                       sizeof wire->address_memory, CCE_REQUEST_URL_MAX);
    cce_buf_init(&wire->joined, CCE_REQUEST_BODY_MAX);
    cce_sign_work_init(&wire->signing);
    if (cce_endpoint_parse(spec->purpose, &wire->endpoint, spec->endpoint,
                           err) != 0 ||
        check(spec, wire, err) != 0 || join_body(spec, wire, err) != 0 ||
        write_address(spec, wire, err) != 0)
        return -1;
    for (size_t i = 0; i < given->header_count; i++)
        add_header(wire, given->headers[i].name, given->headers[i].value);
    if (cce_http_find(given->headers, given->header_count, host_name) == NULL)
        add_header(wire, host_name, cce_bytes_of(wire->endpoint.host));
    if (spec->token.data != NULL)
        add_header(wire, token_name, spec->token);
    return spec->signer != NULL ? sign(spec, wire, err) : 0;
}

void cce_request_cleanup(struct cce_request_wire *wire)
{
    cce_sign_work_cleanup(&wire->signing);
    cce_buf_cleanup(&wire->path);
    cce_buf_cleanup(&wire->address);
    cce_buf_cleanup(&wire->joined);
}
