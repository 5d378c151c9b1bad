/*
 * Any list of hosts to reach without the proxy, and any address: blanks and
 * commas part the entries alike, the case of letters and the order of entries
 * make no difference, and "*" matches whatever can be read.
 */
#include "core/wire/no_proxy.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {{(const char *)data, size}};
    size_t length, url_length;
    char *list = fuzz_field(&input, true, &length);
    char *url = fuzz_field(&input, true, &url_length);
    char *other = malloc(length + 3);
    bool matches = cce_no_proxy_matches(list, url), all;

    REQUIRE(other != NULL);
    for (size_t i = 0; i <= length; i++)
        other[i] = list[i] == ' ' || list[i] == '\t' ? ','
                   : list[i] >= 'a' && list[i] <= 'z'
                       ? (char)(list[i] - 'a' + 'A')
                       : list[i];
    REQUIRE(cce_no_proxy_matches(other, url) == matches);
    all = cce_no_proxy_matches("*", url);
    REQUIRE(all || !matches);
    memcpy(other, list, length);
    memcpy(other + length, ",*", 3);
    if (strlen(list) == length)
        REQUIRE(cce_no_proxy_matches(other, url) == all);
    REQUIRE(!cce_no_proxy_matches(NULL, url));
    REQUIRE(!cce_no_proxy_matches("", url));
    free(other);
    free(url);
    free(list);
    return 0;
}
