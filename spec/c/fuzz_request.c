/*
 * Any bytes as an endpoint, a method, a path, a token, a date, a query and
 * headers: what is built goes to the endpoint's host and nowhere else, and
 * holds no byte that begins another header or another request.
 */
#include "core/wire/request.h"
#include "fuzz.h"

enum { MAX_FIELDS = 40 };

struct fields {
    char *memory[MAX_FIELDS];
    struct cce_bytes bytes[MAX_FIELDS];
    size_t count;
};

static struct cce_bytes take(struct fields *fields, struct fuzz_input *input)
{
    size_t length, at = fields->count++;

    fields->memory[at] = fuzz_field(input, true, &length);
    fields->bytes[at] = (struct cce_bytes){fields->memory[at], length};
    return fields->bytes[at];
}

static struct cce_signer *the_signer(void)
{
    static struct cce_signer signer;
    const struct cce_sign_options options = {
        .ak = CCE_BYTES("FAKEAK"),
        .sk = CCE_BYTES("not-a-real-key"),
    };
    struct cce_error err;

    if (signer.algorithm == NULL)
        REQUIRE(cce_sign_init(&signer, &options, &err) == 0);
    return &signer;
}

static void check_wire(const struct cce_request_wire *wire)
{
    size_t origin = strlen(wire->endpoint.origin);
    const struct cce_pair *host;

    REQUIRE(strncmp(wire->url, wire->endpoint.origin, origin) == 0);
    REQUIRE(wire->url[origin] == '/');
    for (const char *at = wire->url; *at != '\0'; at++)
        REQUIRE(*at > ' ' && *at <= '~' && *at != '#');
    for (size_t i = 0; i < wire->header_count; i++) {
        const struct cce_pair *header = &wire->headers[i];

        REQUIRE(strlen(header->name.data) == header->name.length);
        REQUIRE(strlen(header->value.data) == header->value.length);
        REQUIRE(strpbrk(header->name.data, "\r\n: ") == NULL);
        REQUIRE(strpbrk(header->value.data, "\r\n") == NULL);
        REQUIRE(cce_http_find(wire->headers, i, header->name) == NULL);
    }
    host = cce_http_find(wire->headers, wire->header_count,
                         (struct cce_bytes)CCE_BYTES("host"));
    REQUIRE(host != NULL);
    REQUIRE(cce_bytes_same(cce_bytes_trim(host->value),
                           cce_bytes_of(wire->endpoint.host)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {{(const char *)data + 1, size - 1}};
    struct fields fields = {.count = 0};
    struct cce_request_spec spec = {.endpoint = NULL};
    struct cce_pair pairs[2][8];
    struct cce_request_wire wire;
    struct cce_error err;
    unsigned choice;

    if (size < 2)
        return 0;
    choice = data[0];
    spec.purpose = (enum cce_purpose)(choice % 3);
    spec.endpoint = take(&fields, &input).data;
    spec.sign.method = take(&fields, &input);
    spec.sign.path = take(&fields, &input);
    spec.sign.default_date = (struct cce_bytes)CCE_BYTES("20260102T030405Z");
    if (choice & 4)
        spec.sign.date = take(&fields, &input);
    if (choice & 8)
        spec.token = take(&fields, &input);
    if (choice & 16)
        spec.signer = the_signer();
    for (int kind = 0; kind < 2; kind++) {
        size_t count = 0;

        while (count < (choice >> 5) && input.rest.length > 0) {
            pairs[kind][count].name = take(&fields, &input);
            pairs[kind][count++].value = take(&fields, &input);
        }
        if (kind == 0) {
            spec.sign.headers = pairs[0];
            spec.sign.header_count = count;
        } else {
            spec.sign.query = pairs[1];
            spec.sign.query_count = count;
        }
    }
    spec.sign.body = input.rest;
    if (cce_request_build(&spec, &wire, &err) == 0)
        check_wire(&wire);
    else
        REQUIRE(fuzz_is_one_line(err.message));
    cce_request_cleanup(&wire);
    for (size_t i = 0; i < fields.count; i++)
        free(fields.memory[i]);
    return 0;
}
