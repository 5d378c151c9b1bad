/*
 * Any text as an endpoint: what is accepted is safe to talk to, and a message
 * shows nothing that stands before an "@", after a "?" or as a port that is no
 * number.
 */
#include "core/uri.h"
#include "core/wire/endpoint.h"
#include "fuzz.h"

static void check_endpoint(const struct cce_endpoint *endpoint,
                           enum cce_purpose purpose)
{
    const char *host = endpoint->host;

    REQUIRE(strncmp(endpoint->origin, endpoint->tls ? "https://" : "http://",
                    endpoint->tls ? 8 : 7) == 0);
    REQUIRE(strpbrk(endpoint->origin, "@?#\\ \r\n\t") == NULL);
    REQUIRE(strpbrk(host, "@?#\\/ \r\n\t") == NULL && host[0] != '\0');
    REQUIRE(endpoint->path[0] == '\0' || endpoint->path[0] == '/');
    REQUIRE(strstr(endpoint->path, "..") == NULL);
    if (!endpoint->tls && purpose == CCE_PURPOSE_API)
        REQUIRE(endpoint->loopback);
}

static void check_shown(const char *text, const char *shown)
{
    const char *stars = strstr(shown, "***");

    REQUIRE(strlen(shown) < CCE_URI_SHOWN && fuzz_is_one_line(shown));
    if (strchr(text, '@') != NULL) {
        size_t scheme = strspn(shown, "abcdefghijklmnopqrstuvwxyz"
                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

        REQUIRE(stars != NULL);
        REQUIRE(stars == shown || (stars == shown + scheme + 3 &&
                                   strncmp(shown + scheme, "://***@", 7) == 0));
    }
    if (strpbrk(text, "?#") != NULL && strchr(text, '@') == NULL)
        REQUIRE(stars != NULL || strlen(shown) == CCE_URI_SHOWN - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {{(const char *)data, size}};
    char shown[CCE_URI_SHOWN];
    size_t length;
    char *text = fuzz_field(&input, true, &length);

    cce_uri_show(text, shown);
    check_shown(text, shown);
    for (int purpose = CCE_PURPOSE_API; purpose <= CCE_PURPOSE_POD; purpose++) {
        struct cce_endpoint endpoint;
        struct cce_error err;

        if (cce_endpoint_parse((enum cce_purpose)purpose, &endpoint, text,
                               &err) == 0) {
            check_endpoint(&endpoint, (enum cce_purpose)purpose);
            REQUIRE(strchr(text, '@') == NULL);
        } else {
            REQUIRE(fuzz_is_one_line(err.message));
        }
    }
    free(text);
    return 0;
}
