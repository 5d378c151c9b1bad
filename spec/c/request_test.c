/*
 * request: what is asked for against what goes on the wire, and what must not
 * get there: signed, with a token, and with neither, by the same rules.
 */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "core/wire/request.h"

#define LITERAL(string) ((struct cce_bytes)CCE_BYTES(string))

static struct cce_signer signer, plain_signer; /* one without security token */

static void make_signers(void)
{
    struct cce_sign_options options = {
        .ak = CCE_BYTES("FAKEAK"),
        .sk = CCE_BYTES("not-a-real-key"),
        .security_token = CCE_BYTES("fake-security-token"),
    };
    struct cce_error err;

    CHECK(cce_sign_init(&signer, &options, &err) == 0);
    options.security_token = (struct cce_bytes){0};
    CHECK(cce_sign_init(&plain_signer, &options, &err) == 0);
}

static struct cce_request_spec new_spec(const char *endpoint, const char *path)
{
    struct cce_request_spec spec = {.endpoint = endpoint};

    spec.sign.method = LITERAL("GET");
    spec.sign.path = cce_bytes_of(path);
    spec.sign.default_date = LITERAL("20260102T030405Z");
    return spec;
}

/* The value of the only header of that name, or NULL. */
static const char *header(const struct cce_request_wire *wire, const char *name)
{
    const char *found = NULL;

    for (size_t i = 0; i < wire->header_count; i++) {
        if (!cce_bytes_same_letters(wire->headers[i].name, cce_bytes_of(name)))
            continue;
        CHECK(found == NULL);
        found = wire->headers[i].value.data;
    }
    return found;
}

/* Signed, with a token, and with neither. */
enum { WAYS = 3 };

static void authorize(struct cce_request_spec *spec, int way)
{
    spec->signer = way == 0 ? &signer : NULL;
    spec->token = way == 1 ? LITERAL("fake-token") : (struct cce_bytes){0};
}

static void check_wire(void)
{
    static const struct {
        const char *endpoint, *path, *url, *host;
    } cases[] = {
        {"https://cce.example.com", "", "https://cce.example.com/",
         "cce.example.com"},
        {"https://cce.example.com/", "/a b", "https://cce.example.com/a%20b",
         "cce.example.com"},
        {"https://cce.example.com:8443/v1/", "/x/../y",
         "https://cce.example.com:8443/v1/x/../y", "cce.example.com:8443"},
        {"https://cce.example.com/v1", "", "https://cce.example.com/v1",
         "cce.example.com"},
        {"http://localhost:4503", "/?#", "http://127.0.0.1:4503/%3F%23",
         "localhost:4503"},
        {"https://localhost", "/", "https://localhost/", "localhost"},
        {"https://[2001:db8::1]", "/", "https://[2001:db8::1]/",
         "[2001:db8::1]"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int way = 0; way < WAYS; way++) {
            struct cce_request_spec spec =
                new_spec(cases[i].endpoint, cases[i].path);
            struct cce_request_wire wire;
            struct cce_error err;

            authorize(&spec, way);
            CHECK(cce_request_build(&spec, &wire, &err) == 0);
            CHECK(strcmp(wire.url, cases[i].url) == 0);
            CHECK(strcmp(header(&wire, "Host"), cases[i].host) == 0);
            CHECK((header(&wire, "Authorization") != NULL) == (way == 0));
            CHECK((header(&wire, "X-Sdk-Date") != NULL) == (way == 0));
            CHECK((header(&wire, "X-Security-Token") != NULL) == (way == 0));
            CHECK((header(&wire, "X-Auth-Token") != NULL) == (way == 1));
            cce_request_cleanup(&wire);
        }
}

static void refuse(const struct cce_request_spec *spec, const char *why)
{
    struct cce_request_wire wire;
    struct cce_error err;

    CHECK(cce_request_build(spec, &wire, &err) != 0);
    CHECK(err.code == CCE_INVALID_ARGUMENT);
    if (strstr(err.message, why) == NULL)
        fprintf(stderr, "\"%s\" does not say \"%s\"\n", err.message, why);
    CHECK(strstr(err.message, why) != NULL);
    CHECK(strstr(err.message, "s3cret") == NULL);
    cce_request_cleanup(&wire);
}

/* What follows the endpoint's authority may not go on with its port or its
 * name, whatever the path is. */
static void check_paths(void)
{
    static const char *const paths[] = {
        "5/x", ".evil.example/x", "@evil.example/", "a", "?a", ":1/", "\\x",
        " /x",
    };

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        for (int way = 0; way < WAYS; way++) {
            struct cce_request_spec spec =
                new_spec("http://127.0.0.1:4503", paths[i]);

            authorize(&spec, way);
            refuse(&spec, "path must begin with a slash");
        }
}

static void check_headers(void)
{
    static const struct {
        struct cce_bytes name, value;
        const char *why;
    } cases[] = {
        {CCE_BYTES("X-A"), CCE_BYTES("s3cret\r\nX-Evil: 1"), "control"},
        {CCE_BYTES("X-A"), CCE_BYTES("s3cret\0"), "control"},
        {CCE_BYTES("X-A "), CCE_BYTES("s3cret"), "name"},
        {CCE_BYTES("X-A:"), CCE_BYTES("s3cret"), "name"},
        {CCE_BYTES(""), CCE_BYTES("s3cret"), "name"},
        {CCE_BYTES("hOst"), CCE_BYTES("evil.example"), "endpoint"},
        {CCE_BYTES("CONTENT-length"), CCE_BYTES("1"), "caller"},
        {CCE_BYTES("Transfer-Encoding"), CCE_BYTES("chunked"), "caller"},
        {CCE_BYTES("Connection"), CCE_BYTES("close"), "caller"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int way = 0; way < WAYS; way++) {
            struct cce_request_spec spec =
                new_spec("https://cce.example.com", "/");
            struct cce_pair given = {cases[i].name, cases[i].value};

            authorize(&spec, way);
            spec.sign.headers = &given;
            spec.sign.header_count = 1;
            refuse(&spec, cases[i].why);
        }
}

/* What is there already, or is not, is not written once more. */
static void check_own_headers(void)
{
    struct cce_request_spec spec = new_spec("https://cce.example.com", "/");
    struct cce_pair given = {CCE_BYTES("host"), CCE_BYTES("cce.example.com")};
    struct cce_request_wire wire;
    struct cce_error err;

    spec.signer = &plain_signer;
    spec.sign.headers = &given;
    spec.sign.header_count = 1;
    CHECK(cce_request_build(&spec, &wire, &err) == 0);
    CHECK(strcmp(header(&wire, "Host"), "cce.example.com") == 0);
    CHECK(header(&wire, "X-Security-Token") == NULL);
    cce_request_cleanup(&wire);
}

/* At the limits, one below and one above. */
static void check_limits(void)
{
    static struct cce_pair headers[CCE_HTTP_HEADERS_MAX + 1];
    static char names[CCE_HTTP_HEADERS_MAX + 1][8];
    static char path[CCE_REQUEST_URL_MAX + 2];

    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        snprintf(names[i], sizeof names[i], "X-%zu", i);
        headers[i].name = cce_bytes_of(names[i]);
        headers[i].value = LITERAL("v");
    }
    for (int way = 0; way < WAYS; way++) {
        struct cce_request_spec spec = new_spec("https://cce.example.com", "/");
        struct cce_request_wire wire;
        struct cce_error err;

        authorize(&spec, way);
        spec.sign.headers = headers;
        spec.sign.header_count = CCE_HTTP_HEADERS_MAX;
        CHECK(cce_request_build(&spec, &wire, &err) == 0);
        cce_request_cleanup(&wire);
        spec.sign.header_count = CCE_HTTP_HEADERS_MAX + 1;
        refuse(&spec, "at most 64 headers");
    }
    memset(path, '/', sizeof path - 1);
    for (size_t length = CCE_REQUEST_URL_MAX - 30; length < sizeof path;
         length++) {
        struct cce_request_spec spec = new_spec("https://cce.example.com", "");
        struct cce_request_wire wire;
        struct cce_error err;
        bool fits =
            length + strlen("https://cce.example.com") <= CCE_REQUEST_URL_MAX;

        spec.sign.path = (struct cce_bytes){path, length};
        CHECK((cce_request_build(&spec, &wire, &err) == 0) == fits);
        CHECK(fits || strstr(err.message, "too long") != NULL);
        cce_request_cleanup(&wire);
    }
}

/* To whom one may talk for which purpose. */
static void check_purposes(void)
{
    static const struct {
        enum cce_purpose purpose;
        const char *endpoint;
        bool allowed;
    } cases[] = {
        {CCE_PURPOSE_METADATA, "http://169.254.169.254", true},
        {CCE_PURPOSE_METADATA, "http://169.254.169.254:80", false},
        {CCE_PURPOSE_METADATA, "https://169.254.169.254", false},
        {CCE_PURPOSE_METADATA, "http://169.254.169.253", false},
        {CCE_PURPOSE_METADATA, "http://127.0.0.1:8080", true},
        {CCE_PURPOSE_METADATA, "https://127.0.0.1", false},
        {CCE_PURPOSE_METADATA, "https://cce.example.com", false},
        {CCE_PURPOSE_POD, "https://pod.example.com", true},
        {CCE_PURPOSE_POD, "http://127.0.0.1:80", true},
        {CCE_PURPOSE_POD, "http://[::1]", true},
        {CCE_PURPOSE_POD, "http://169.254.1.2:80", true},
        {CCE_PURPOSE_POD, "http://169.253.1.2", false},
        {CCE_PURPOSE_POD, "http://168.254.1.2", false},
        {CCE_PURPOSE_POD, "http://[fe80::1]", true},
        {CCE_PURPOSE_POD, "http://[fec0::1]", false},
        {CCE_PURPOSE_POD, "http://[2001:db8::1]", false},
        {CCE_PURPOSE_POD, "http://pod.example.com", false},
        {CCE_PURPOSE_POD, "http://10.0.0.1", false},
        {CCE_PURPOSE_API, "http://127.0.0.1", true},
        {CCE_PURPOSE_API, "http://169.254.169.254", false},
        {CCE_PURPOSE_API, "http://169.254.1.2", false},
        {CCE_PURPOSE_API, "http://[fe80::1]", false},
        {CCE_PURPOSE_API, "https://169.254.169.254", true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cce_request_spec spec = new_spec(cases[i].endpoint, "/");
        struct cce_request_wire wire;
        struct cce_error err;

        spec.purpose = cases[i].purpose;
        if ((cce_request_build(&spec, &wire, &err) == 0) != cases[i].allowed)
            fprintf(stderr, "purpose %d, %s\n", cases[i].purpose,
                    cases[i].endpoint);
        CHECK((wire.url != NULL) == cases[i].allowed);
        cce_request_cleanup(&wire);
    }
}

static void check_parts(void)
{
    const struct cce_request_part parts[] = {
        {CCE_BYTES("{\"password\":"), false},
        {CCE_BYTES("a\"b\\c\n"), true},
        {CCE_BYTES("}"), false},
    };
    static const char expected[] = "{\"password\":\"a\\\"b\\\\c\\u000a\"}";
    struct cce_request_spec spec = new_spec("https://iam.example.com", "/");
    struct cce_request_wire wire;
    struct cce_error err;

    spec.parts = parts;
    spec.part_count = 3;
    CHECK(cce_request_build(&spec, &wire, &err) == 0);
    CHECK(cce_bytes_same(wire.body, LITERAL(expected)));
    cce_request_cleanup(&wire);
}

static void check_authorization(void)
{
    struct cce_request_spec spec = new_spec("https://cce.example.com", "/");
    struct cce_pair given = {CCE_BYTES("authorization"), CCE_BYTES("s3cret")};
    struct cce_request_wire wire;
    struct cce_error err;

    spec.signer = &signer;
    spec.token = LITERAL("fake-token");
    refuse(&spec, "not both");
    spec.signer = NULL;
    spec.token = LITERAL("s3cret\0fake");
    refuse(&spec, "token");
    spec.token = LITERAL("");
    refuse(&spec, "token");
    spec.token = (struct cce_bytes){0};
    spec.sign.headers = &given;
    spec.sign.header_count = 1;
    CHECK(cce_request_build(&spec, &wire, &err) == 0);
    CHECK(strcmp(header(&wire, "Authorization"), "s3cret") == 0);
    cce_request_cleanup(&wire);
    spec.signer = &signer;
    refuse(&spec, "authorization");
    given.name = LITERAL("x-auth-token");
    spec.signer = NULL;
    spec.token = LITERAL("fake-token");
    refuse(&spec, "twice");
    spec.token = (struct cce_bytes){0};
    spec.sign.header_count = 0;
    spec.sign.date = LITERAL("20261345T999999Z");
    refuse(&spec, "date");
}

int main(void)
{
    make_signers();
    check_wire();
    check_paths();
    check_headers();
    check_own_headers();
    check_limits();
    check_purposes();
    check_parts();
    check_authorization();
    cce_sign_cleanup(&signer);
    cce_sign_cleanup(&plain_signer);
    return 0;
}
