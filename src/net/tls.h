/*
 * tls: what libcurl does not ask of OpenSSL by itself. Does nothing when
 * libcurl has another TLS library.
 */
#ifndef CCE_NET_TLS_H
#define CCE_NET_TLS_H

/* What OpenSSL decrypted is overwritten in its own buffer once it was handed
 * on. `context` is the SSL_CTX of a handle of libcurl. */
void cce_tls_wipe_plaintext(void *context);

#endif
