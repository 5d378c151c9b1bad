#include "net/tls.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "core/x509/ssl_queue.h"

/* Neither ends a connection by itself; the first is how each one ends. */
enum { CLOSE_NOTIFY = 0, USER_CANCELED = 90 };

/* Where in an SSL_CTX its handshake is found. Taken once a process, and never
 * given back: OpenSSL has thousands of them. */
static int handshake_index = -1;

static void take_index(void)
{
    handshake_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static struct cce_tls_handshake *handshake_of(const SSL *ssl)
{
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), handshake_index);
}

/* ---- callbacks of OpenSSL ---- */

/* A certificate is public: a peer that shows it must still sign with its key.
 * We have checked that, and all before, when we have sent our Finished; but for
 * TLS 1.2 without an ephemeral key, where the peer signs nothing. */
static bool has_proved_itself(const SSL *ssl)
{
    SSL *asked = (SSL *)(uintptr_t)ssl; /* its macro wants it so */
    int digest;

    if (SSL_version(ssl) >= TLS1_3_VERSION)
        return SSL_is_init_finished(ssl);
    return SSL_get_state(ssl) == TLS_ST_CW_FINISHED &&
           SSL_get_peer_signature_nid(asked, &digest) == 1;
}

static void on_info(const SSL *ssl, int where, int value)
{
    struct cce_tls_handshake *handshake = handshake_of(ssl);
    int alert = value & 0xff;

    if (handshake == NULL)
        return;
    if (where & SSL_CB_HANDSHAKE_DONE)
        handshake->finished = true;
    if ((where & SSL_CB_READ_ALERT) != SSL_CB_READ_ALERT)
        return;
    /* These end a connection, and say nothing of why. */
    if (alert == CLOSE_NOTIFY || alert == USER_CANCELED)
        return;
    handshake->alert = alert;
    handshake->alert_after = has_proved_itself(ssl);
}

/* libcurl compares the name only once the handshake is over. With TLS 1.2 the
 * alert that refuses our certificate comes before. */
static bool names_host(X509 *x509, const char *host)
{
    int fits;

    if (host == NULL)
        return false;
    fits = X509_check_ip_asc(x509, host, 0);
    if (fits == -2) /* it is no address */
        fits = X509_check_host(x509, host, strlen(host), 0, NULL);
    return fits == 1;
}

/* Called for each certificate of the chain, the peer's own last, and for each
 * thing that is wrong. The judgement stays that of OpenSSL. */
static int on_verify(int accepted, X509_STORE_CTX *store)
{
    const SSL *ssl =
        X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct cce_tls_handshake *handshake = handshake_of(ssl);

    if (handshake == NULL)
        return accepted;
    /* What is not accepted ends it. */
    if (!accepted)
        handshake->verify_error = X509_STORE_CTX_get_error(store);
    else if (X509_STORE_CTX_get_error_depth(store) == 0)
        handshake->verified =
            names_host(X509_STORE_CTX_get0_cert(store), handshake->host);
    return accepted;
}

/* A store that libcurl does not share between connections. The flags are those
 * that libcurl sets. */
static X509_STORE *new_store(void)
{
    X509_STORE *store = X509_STORE_new();

    if (store != NULL)
        X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST |
                                        X509_V_FLAG_PARTIAL_CHAIN);
    return store;
}

bool cce_tls_trust(void *context, const char *pem, size_t length)
{
    X509_STORE *store = new_store();
    BIO *bio = BIO_new_mem_buf(pem, (int)length);
    struct cce_ssl_queue queue;
    struct cce_error ignored;
    X509 *x509;
    bool found = false;

    cce_ssl_queue_enter(&queue);
    while (store != NULL && bio != NULL &&
           (x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        found = X509_STORE_add_cert(store, x509) == 1 || found;
        X509_free(x509);
    }
    BIO_free(bio);
    cce_ssl_queue_leave(&queue, 0, &ignored);
    if (found)
        SSL_CTX_set1_cert_store(context, store);
    X509_STORE_free(store);
    return found;
}

static X509_STORE *read_authorities(const struct cce_tls_authorities *from)
{
    X509_STORE *store = new_store();
    struct cce_ssl_queue queue;
    struct cce_error ignored;

    cce_ssl_queue_enter(&queue);
    if (store != NULL &&
        X509_STORE_load_locations(store, from->file, from->directory) != 1) {
        X509_STORE_free(store);
        store = NULL;
    }
    cce_ssl_queue_leave(&queue, 0, &ignored);
    return store;
}

static bool is_same_file(const struct stat *one, const struct stat *other)
{
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino &&
           one->st_size == other->st_size &&
           one->st_mtim.tv_sec == other->st_mtim.tv_sec &&
           one->st_mtim.tv_nsec == other->st_mtim.tv_nsec;
}

bool cce_tls_trust_files(void *context, struct cce_tls_authorities *authorities)
{
    struct stat now;

    if (authorities->file == NULL || stat(authorities->file, &now) != 0)
        memset(&now, 0, sizeof now);
    if (!is_same_file(&authorities->seen, &now))
        cce_tls_forget(authorities);
    if (authorities->store == NULL)
        authorities->store = read_authorities(authorities);
    authorities->seen = now;
    if (authorities->store != NULL)
        SSL_CTX_set1_cert_store(context, authorities->store);
    return authorities->store != NULL;
}

void cce_tls_forget(struct cce_tls_authorities *authorities)
{
    X509_STORE_free(authorities->store);
    authorities->store = NULL;
}

void *cce_tls_watch(void *context, struct cce_tls_handshake *handshake)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    /* What was decrypted is overwritten once it was handed on. */
#ifdef SSL_OP_CLEANSE_PLAINTEXT
    SSL_CTX_set_options(context, SSL_OP_CLEANSE_PLAINTEXT);
#endif
    /* libcurl obeys SSLKEYLOGFILE: what it wrote there would open what was
     * sent and received, keys and tokens included, to all who read it. */
    SSL_CTX_set_keylog_callback(context, NULL);
    pthread_once(&once, take_index);
    if (handshake_index < 0 ||
        SSL_CTX_set_ex_data(context, handshake_index, handshake) != 1)
        return NULL;
    SSL_CTX_set_info_callback(context, on_info);
    SSL_CTX_set_verify(context, SSL_CTX_get_verify_mode(context), on_verify);
    SSL_CTX_up_ref(context);
    return context;
}

/* The connection may live on, and carry other requests. */
void cce_tls_unwatch(void *watched)
{
    if (watched == NULL)
        return;
    SSL_CTX_set_ex_data(watched, handshake_index, NULL);
    SSL_CTX_free(watched);
}

bool cce_tls_has_unread(void *ssl)
{
    return SSL_has_pending(ssl) == 1;
}

const char *cce_tls_alert_text(int alert)
{
    return SSL_alert_desc_string_long(alert);
}

const char *cce_tls_verify_text(int verify_error)
{
    return X509_verify_cert_error_string(verify_error);
}

bool cce_tls_is_ours(const char *version)
{
    static const char name[] = "OpenSSL/";

    return version != NULL && strncmp(version, name, strlen(name)) == 0 &&
           strtoul(version + strlen(name), NULL, 10) ==
               OpenSSL_version_num() >> 28;
}
