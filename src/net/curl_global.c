#include "net/curl_global.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/hidden.h"
#include "net/tls.h"
#include "os/module.h"

static CURLcode result_of_init;
static const curl_version_info_data *version;

/* curl's buffers, in which it keeps what it sent until the answer has come; and
 * the one for what came, which an engine keeps from libcurl 8.6 on. Before,
 * each transfer has its own, larger by a byte, and frees it when it ends. */
static bool is_buffer(size_t size)
{
    return size >= 16 * 1024 || size == CCE_READ_BUFFER;
}

static void *hiding_malloc(size_t size)
{
    return is_buffer(size) ? cce_hidden_malloc(size) : malloc(size);
}

/* From 8.0 on curl's buffers come from here. */
static void *hiding_calloc(size_t count, size_t size)
{
    void *memory;

    if (count == 0 || size == 0 || count > SIZE_MAX / size ||
        !is_buffer(count * size))
        return calloc(count, size);
    memory = cce_hidden_malloc(count * size);
    return memory != NULL ? memset(memory, 0, count * size) : NULL;
}

/* curl frees keys and tokens as it frees everything: by cce_hidden_free. */
static void *wiping_realloc(void *memory, size_t size)
{
    size_t known = cce_hidden_size(memory);
    void *larger = hiding_malloc(size);

    if (larger == NULL)
        return NULL;
    if (memory != NULL)
        memcpy(larger, memory, known < size ? known : size);
    cce_hidden_free(memory);
    return larger;
}

/* When another part of the process has started libcurl before, it goes on to
 * free as it did. Otherwise libcurl keeps pointers to the functions above for
 * as long as the process lives, and the host may use it when Lua has long
 * closed this module. */
static void init(void)
{
    cce_module_pin();
    version = curl_version_info(CURLVERSION_NOW);
    result_of_init = curl_global_init_mem(CURL_GLOBAL_DEFAULT, hiding_malloc,
                                          cce_hidden_free, wiping_realloc,
                                          strdup, hiding_calloc);
}

int cce_curl_init(struct cce_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, init);
    if (result_of_init != CURLE_OK)
        return cce_fail(err, CCE_INTERNAL, "libcurl cannot start: %s",
                        curl_easy_strerror(result_of_init));
    if (!cce_tls_is_ours(version->ssl_version))
        return cce_fail(err, CCE_UNSUPPORTED,
                        "this libcurl (%s) was built with %s: one is needed "
                        "that was built with the OpenSSL of this module",
                        version->version,
                        version->ssl_version != NULL ? version->ssl_version
                                                     : "no TLS library");
    return 0;
}

const char *cce_curl_ca_file(void)
{
    return version->cainfo;
}

const char *cce_curl_ca_directory(void)
{
    return version->capath;
}

/* Since 7.87 TLS, too, is sent with MSG_NOSIGNAL. */
bool cce_curl_raises_sigpipe(void)
{
    return version->version_num < 0x075700;
}

/* Since 8.6 there is CURLE_TOO_LARGE. */
bool cce_curl_confuses_length_with_memory(void)
{
    return version->version_num < 0x080600;
}
