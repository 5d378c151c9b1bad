/*
 * curl_global: what is done once a process before libcurl is used, and what
 * its versions do not agree on.
 */
#ifndef CCE_NET_CURL_GLOBAL_H
#define CCE_NET_CURL_GLOBAL_H

#include <curl/curl.h>
#include <stdbool.h>

#include "core/status.h"

#if LIBCURL_VERSION_NUM < 0x074700
#error "libcurl 7.71 or later is needed, for CURLOPT_SSLCERT_BLOB"
#endif

/* CURLOPT_PREREQFUNCTION came with 7.80. Without it nothing tells that a
 * request is about to leave; see transfer.c for what is done instead. */
#ifndef CCE_HAS_PREREQ
#define CCE_HAS_PREREQ (LIBCURL_VERSION_NUM >= 0x075000)
#endif

/* Came with 7.87: an older one that was loaded knows no such option. */
#if LIBCURL_VERSION_NUM < 0x075700
#define CURLOPT_CA_CACHE_TIMEOUT ((CURLoption)321)
#endif

/* The codes for which libcurl has had names only since 7.73, 7.77 and 8.6. */
enum {
    CCE_CURLE_PROXY = 97,
    CCE_CURLE_SSL_CLIENTCERT = 98,
    CCE_CURLE_TOO_LARGE = 100
};

/* The size of libcurl's buffer for what comes. */
enum { CCE_READ_BUFFER = 8 * 1024 };

/* UNSUPPORTED when libcurl has another TLS library than ours. */
int cce_curl_init(struct cce_error *err);

/* The CAs that the system trusts, as libcurl was built to find them; NULL: none
 * in a file, or in a directory. */
const char *cce_curl_ca_file(void);
const char *cce_curl_ca_directory(void);

/* Whether a write of the libcurl that was loaded may raise SIGPIPE. */
bool cce_curl_raises_sigpipe(void);

/* Whether it calls a line of an answer that is longer than it takes a lack of
 * memory. */
bool cce_curl_confuses_length_with_memory(void);

#endif
