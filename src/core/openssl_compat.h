/*
 * openssl_compat: the functions of OpenSSL 3 that we call, for OpenSSL 1.1.1.
 */
#ifndef CCE_CORE_OPENSSL_COMPAT_H
#define CCE_CORE_OPENSSL_COMPAT_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if OPENSSL_VERSION_NUMBER < 0x30000000L

/* Digests were static then: nothing to fetch or free. */
#define EVP_MD_fetch(library, name, properties) \
    ((EVP_MD *)(uintptr_t)EVP_get_digestbyname(name))
#define EVP_MD_free(digest) ((void)(digest))
#define EVP_DigestInit_ex2(context, digest, parameters) \
    EVP_DigestInit_ex(context, digest, NULL)
#define OSSL_LIB_CTX_get0_global_default() ((void *)1) /* always there */
/* What EVP_MD_CTX_copy_ex says when memory ran out. */
#define EVP_R_NOT_ABLE_TO_COPY_CTX 190
/* Asked for a name that it might change. */
#define X509_NAME_get_index_by_NID(name, nid, last) \
    X509_NAME_get_index_by_NID((X509_NAME *)(uintptr_t)(name), nid, last)
#define EVP_PKEY_get_base_id EVP_PKEY_base_id
#define EVP_PKEY_eq          EVP_PKEY_cmp

/* Whether a digest that was fetched is OpenSSL's own code, not that of another
 * provider. */
static inline bool cce_openssl_is_own_code(const EVP_MD *digest)
{
    (void)digest;
    return !FIPS_mode();
}

#else

#include <openssl/provider.h>

static inline bool cce_openssl_is_own_code(const EVP_MD *digest)
{
    const OSSL_PROVIDER *provider = EVP_MD_get0_provider(digest);

    return provider != NULL &&
           strcmp(OSSL_PROVIDER_get0_name(provider), "default") == 0;
}

#endif

#endif
