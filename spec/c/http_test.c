/*
 * http: which header lines of an answer are seen, and as what, also when the
 * answer is cut at any byte; which bytes a request may hold; and what a message
 * shows of an address.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/uri.h"
#include "core/wire/http.h"

static const char head[] = "HTTP/1.1 200 OK\r\n"
                           "X-Subject-Token :  fake\t\r\n"
                           "x-a:b:c\n"
                           "X-Empty:\r\n"
                           " folded: not-a-header\r\n"
                           ": no name\r\n"
                           "no colon\r\n"
                           "two words: none\r\n"
                           "x-cr: a\rX-Subject-Token: fake\r\n"
                           "HTTP/1.1: 404\r\n"
                           "Last: 1";

static const struct {
    const char *name, *value;
} expected[] = {
    {"X-Subject-Token", "fake"},
    {"x-a", "b:c"},
    {"X-Empty", ""},
    {"Last", "1"},
};

static void check_head(void)
{
    struct cce_bytes lines = cce_bytes_of(head);
    struct cce_pair header;
    size_t count = 0;

    while (cce_http_next_header(&lines, &header)) {
        CHECK(count < sizeof expected / sizeof expected[0]);
        CHECK(cce_bytes_same(header.name, cce_bytes_of(expected[count].name)));
        CHECK(
            cce_bytes_same(header.value, cce_bytes_of(expected[count].value)));
        count++;
    }
    CHECK(count == sizeof expected / sizeof expected[0]);
}

/* In memory of its own size, so that reading beyond it is seen. */
static void check_cuts(void)
{
    for (size_t length = 0; length < sizeof head; length++) {
        char *cut = malloc(length > 0 ? length : 1);
        struct cce_bytes lines = {cut, length};
        struct cce_pair header;
        size_t count = 0;

        CHECK(cut != NULL);
        memcpy(cut, head, length);
        CHECK(cce_http_status(lines) == (length < 12 ? 0 : 200));
        while (cce_http_next_header(&lines, &header)) {
            CHECK(header.value.data + header.value.length <= cut + length);
            count++;
        }
        CHECK(count <= sizeof expected / sizeof expected[0]);
        free(cut);
    }
}

static void check_status(void)
{
    static const struct {
        const char *line;
        int status;
    } cases[] = {
        {"HTTP/1.1 200 OK", 200},
        {"HTTP/1.1 100", 100},
        {"HTTP/2 404\r\n", 404},
        {"HTTP/1.1 20", 0},
        {"HTTP/1.1", 0},
        {"HTTP/1.1 :00", 0},
        {"HTTP/1.1 2x0", 0},
        {"HTTP/1.1 20 ", 0},
        {"http/1.1 200", 0},
        {"XHTTP/1.1 200", 0},
        {"", 0},
        {"HTTP/", 0},
        {"HTTP/ 999", 999},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK(cce_http_status(cce_bytes_of(cases[i].line)) == cases[i].status);
}

static void check_request(void)
{
    struct cce_pair headers[] = {
        {CCE_BYTES("X-A"), CCE_BYTES("\t\x80 ok")},
        {CCE_BYTES("x-b"), CCE_BYTES("")},
    };
    struct cce_http_request request = {
        .method = CCE_BYTES("M-SEARCH"),
        .path = CCE_BYTES(""),
        .headers = headers,
        .header_count = 2,
        .query_count = CCE_HTTP_QUERY_MAX,
    };
    struct cce_error err;

    CHECK(cce_http_check(&request, &err) == 0);
    request.query_count++;
    CHECK(cce_http_check(&request, &err) != 0);
    request.query_count = 0;
    for (int byte = 0; byte < 256; byte++) {
        char text[1] = {(char)byte};
        struct cce_bytes one = {text, 1};
        bool control = byte < 0x20 || byte == 0x7f;

        CHECK(cce_http_is_value(one) == (!control || byte == '\t'));
        CHECK(cce_http_is_name(one) ==
              (cce_is_alphanumeric(text[0]) ||
               (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL)));
        CHECK(cce_http_is_host(one) ==
              (cce_is_alphanumeric(text[0]) ||
               (byte != 0 && strchr("-._:[]", byte) != NULL)));
        headers[1].value = one;
        CHECK((cce_http_check(&request, &err) == 0) == cce_http_is_value(one));
    }
    CHECK(!cce_http_is_host((struct cce_bytes){NULL, 0}));
    headers[1].value = headers[0].value;
    headers[1].name = (struct cce_bytes)CCE_BYTES("x-A");
    CHECK(cce_http_check(&request, &err) != 0);
    CHECK(strstr(err.message, "x-A is given twice") != NULL);
}

static void check_shown(void)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"https://cce.example.com:8443/v1", "https://cce.example.com:8443/v1"},
        {"https://[2001:db8::1]:443/", "https://[2001:db8::1]:443/"},
        {"https://user:s3cret@host/x", "https://***@host/x"},
        {"https://user:s3/cret@host", "https://***@host"},
        {"user:s3cret@host", "***@host"},
        {"user:s3cret://x@host", "***@host"},
        {"a@b@host?q", "***@host?***"},
        {"https://host/?token=s3cret", "https://host/?***"},
        {"https://host#s3cret", "https://host#***"},
        {"https://user:s3cret", "https://user:***"},
        {"https://[::1]:s3cret", "https://[::1]:***"},
        {"a\r\n\x1b[2J", "a???[2J"},
        {"@", "***@"},
        {"", ""},
    };
    char shown[CCE_URI_SHOWN], endless[4096];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cce_uri_show(cases[i].text, shown);
        if (strcmp(shown, cases[i].shown) != 0)
            fprintf(stderr, "%s is shown as %s\n", cases[i].text, shown);
        CHECK(strcmp(shown, cases[i].shown) == 0);
    }
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    cce_uri_show(endless, shown);
    CHECK(strlen(shown) == CCE_URI_SHOWN - 1);
}

int main(void)
{
    check_head();
    check_cuts();
    check_status();
    check_request();
    check_shown();
    return 0;
}
