/*
 * no_proxy: a table of lists and servers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/wire/no_proxy.h"

static const struct {
    const char *list, *url;
    bool matches;
} cases[] = {
    {NULL, "https://a.example/", false},
    {"", "https://a.example/", false},
    {" , ,", "https://a.example/", false},
    {"*", "https://a.example/", true},
    {"b, * ", "https://192.0.2.1:8443/x", true},
    {"*a.example", "https://a.example/", false},
    /* names */
    {"a.example", "https://a.example/", true},
    {"A.Example", "https://a.eXample/", true},
    {"a.example", "https://x.a.example/", true},
    {"a.example", "https://xa.example/", false},
    {"a.example", "https://x.b.example/", false},
    {"x/8", "https://a.example/", false},
    {"x/0", "https://a.example/", false},
    {"a.example:65536", "https://a.example:65535/", false},
    {"a.example", "https://a.example.invalid/", false},
    {".a.example", "https://x.y.a.example", true},
    {".a.example", "https://a.example", true},
    {"*.a.example", "https://x.a.example/path", true},
    {"*.a.example", "https://a.example/", true},
    {"*.a.example", "https://xa.example/", false},
    {"..a.example", "https://x.a.example/", false},
    {"a.example.", "https://a.example/", true},
    {"a.example", "https://a.example./", true},
    {"example", "https://a.example/", true},
    {".", "https://a.example/", false},
    {"*.", "https://a.example/", false},
    /* separators */
    {"b.example,a.example", "https://a.example/", true},
    {"b.example a.example", "https://a.example/", true},
    {"b.example,\ta.example\n", "https://a.example/", true},
    {"b.example ,  , a.example", "https://a.example/", true},
    {"a.example;b.example", "https://a.example/", false},
    /* ports */
    {"a.example:443", "https://a.example/", true},
    {"a.example:443", "https://a.example:443/", true},
    {"a.example:443", "https://a.example:8443/", false},
    {"a.example:8443", "https://a.example:8443/", true},
    {"a.example:80", "http://a.example/", true},
    {"*.a.example:8443", "https://x.a.example:8443/", true},
    {"a.example:", "https://a.example/", false},
    {"a.example:0x50", "http://a.example/", false},
    {"a.example:65536", "https://a.example/", false},
    {"a.example:-1", "https://a.example/", false},
    {":443", "https://a.example/", false},
    /* addresses */
    {"192.0.2.1", "https://192.0.2.1/", true},
    {"192.0.2.1", "https://192.0.2.10/", false},
    {"2.1", "https://192.0.2.1/", false},
    {"192.0.2.1:8443", "https://192.0.2.1:8443/", true},
    {"192.0.2.1:8443", "https://192.0.2.1/", false},
    {"2001:db8::1", "https://[2001:db8::1]/", true},
    {"2001:DB8:0::1", "https://[2001:db8::1]:8443/", true},
    {"[2001:db8::1]", "https://[2001:db8:0:0::1]/", true},
    {"[2001:db8::1]:8443", "https://[2001:db8::1]:8443/", true},
    {"[2001:db8::1]:8443", "https://[2001:db8::1]/", false},
    {"[2001:db8::1", "https://[2001:db8::1]/", false},
    {"[2001:db8::1]x", "https://[2001:db8::1]/", false},
    {"192.0.2.1", "https://[::ffff:192.0.2.1]/", true},
    /* blocks */
    {"10.0.0.0/8", "https://10.255.0.1/", true},
    {"10.0.0.0/8", "https://11.0.0.1/", false},
    {"10.1.2.3/8", "https://10.9.9.9/", true},
    {"192.0.2.128/25", "https://192.0.2.200/", true},
    {"192.0.2.128/25", "https://192.0.2.127/", false},
    {"192.0.2.7/31", "https://192.0.2.6/", true},
    {"192.0.2.7/31", "https://192.0.2.8/", false},
    {"192.0.2.7/32", "https://192.0.2.7/", true},
    {"192.0.2.7/32", "https://192.0.2.6/", false},
    {"0.0.0.0/0", "https://203.0.113.9/", true},
    {"0.0.0.0/0", "https://[2001:db8::1]/", false},
    {"0.0.0.0/0", "https://a.example/", false},
    {"10.0.0.0/33", "https://10.0.0.0/", false},
    {"10.0.0.0/", "https://10.0.0.0/", false},
    {"10.0.0.0/x", "https://10.0.0.0/", false},
    {"10.0.0.0/-1", "https://10.0.0.0/", false},
    {"10/8", "https://10.0.0.1/", false},
    {"fd00::/8", "https://[fd12::1]/", true},
    {"fd00::/8", "https://[fe80::1]/", false},
    {"2001:db8::/33", "https://[2001:db8:7fff::1]/", true},
    {"2001:db8::/33", "https://[2001:db8:8000::1]/", false},
    {"::/0", "https://[2001:db8::1]/", true},
    /* no server at all */
    {"*", "a.example", false},
    {"*", "https://", false},
};

int main(void)
{
    char longest[600];
    int failed = 0;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cce_no_proxy_matches(cases[i].list, cases[i].url) ==
            cases[i].matches)
            continue;
        fprintf(stderr, "%s, %s: expected %d\n",
                cases[i].list ? cases[i].list : "NULL", cases[i].url,
                cases[i].matches);
        failed = 1;
    }
    /* Longer than any host, with and without a slash. */
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    for (int slash = 0; slash < 2; slash++) {
        if (slash)
            longest[300] = '/';
        failed |= cce_no_proxy_matches(longest, "https://a.example/");
    }
    return failed;
}
