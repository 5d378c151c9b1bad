/*
 * openssl_compat: the functions of OpenSSL 3 that we call, for OpenSSL 1.1.1.
 */
#ifndef CCE_CORE_OPENSSL_COMPAT_H
#define CCE_CORE_OPENSSL_COMPAT_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdint.h>

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

#endif

#endif
