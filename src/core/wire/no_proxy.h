/*
 * no_proxy: which servers are reached without the proxy, by a list as people
 * write it into NO_PROXY. Each version of libcurl reads such a list otherwise
 * (CIDR from 7.86 on, no "*.name", no port); this is the one reading.
 *
 * Entries stand between commas or blanks; letters are of either case:
 *
 *   *                             everything
 *   example.com  .example.com  *.example.com
 *                                 this name and all below it
 *   192.0.2.1  2001:db8::1  [2001:db8::1]
 *                                 this address, however it is written
 *   10.0.0.0/8  fd00::/8          the addresses in this block
 *   example.com:8443  [::1]:8443  the same, at this port only
 *
 * Names are not resolved: a block is for addresses in the URL. What cannot be
 * read matches nothing.
 */
#ifndef CCE_CORE_WIRE_NO_PROXY_H
#define CCE_CORE_WIRE_NO_PROXY_H

#include <stdbool.h>

/* Whether the server of an http or https URL is in the list; NULL is an empty
 * list. */
bool cce_no_proxy_matches(const char *list, const char *url);

#endif
