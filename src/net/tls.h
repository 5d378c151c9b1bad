/*
 * tls: what libcurl does not ask of OpenSSL, and does not tell of a handshake.
 *
 * libcurl passes on words, which change with every version of OpenSSL. The
 * numbers are seen here, by OpenSSL's own callbacks: the alerts of the peer
 * (RFC 8446, section 6) and why a certificate was not accepted (X509_V_ERR_…).
 */
#ifndef CCE_NET_TLS_H
#define CCE_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* What was seen of one handshake. */
struct cce_tls_handshake {
    const char *host; /* the certificate has to name it; NULL: libcurl asks */
    bool finished;
    int alert;        /* the first fatal alert that the peer sent; 0: none */
    int verify_error; /* why its chain was not accepted; 0: it was, or no
                         certificate has come */
    bool verified;    /* its chain was accepted, and names the host */
    bool alert_after; /* when the alert came, the peer had shown that the
                         certificate is its own. Still, with TLS 1.2 an alert
                         is not encrypted: any relay on the way can have put
                         it there. */
};

/* Lets an SSL_CTX trust the certificates of a PEM text, and no others. False
 * when there is none in it. */
bool cce_tls_trust(void *context, const char *pem, size_t length);

/* The authorities of a file and, named by their hashes, of a directory. They
 * are read when a connection first needs them, and when the file is another one
 * than before. libcurl would read those of the system for each connection,
 * which takes ten times as long as its handshake, and a megabyte. */
struct cce_tls_authorities {
    const char *file, *directory; /* NULL: none */
    void *store;
    struct stat seen; /* of the file */
};

/* Lets an SSL_CTX trust them, and no others. False when they cannot be read. */
bool cce_tls_trust_files(void *context,
                         struct cce_tls_authorities *authorities);
void cce_tls_forget(struct cce_tls_authorities *authorities);

/* Sets up the SSL_CTX of a connection that begins, and writes down what
 * happens on it until cce_tls_unwatch is called with what this returns. The
 * handshake belongs to the caller. */
void *cce_tls_watch(void *context, struct cce_tls_handshake *handshake);

/* NULL is fine. */
void cce_tls_unwatch(void *watched);

/* Whether the SSL has received bytes of the peer that have not been read yet.
 */
bool cce_tls_has_unread(void *ssl);

/* For people: "certificate revoked"; "unable to get local issuer
 * certificate". */
const char *cce_tls_alert_text(int alert);
const char *cce_tls_verify_text(int verify_error);

/* Whether a version that libcurl shows of its TLS library ("OpenSSL/3.0.19")
 * is the library that this file was linked with. */
bool cce_tls_is_ours(const char *version);

#endif
