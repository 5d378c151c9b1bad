/*
 * pem: from the text of a certificate or a key to its bytes.
 *
 * A text is PEM (other text around the blocks is skipped, and so are blanks
 * before its lines, as in a text copied out of YAML), DER, or Base64 of
 * either, of at most CCE_PEM_TEXT_MAX bytes. What the blocks hold is not looked
 * at. Failures: INVALID_CERTIFICATE, INVALID_KEY or NO_MEMORY, by what the text
 * is meant to be. No message repeats any part of it.
 */
#ifndef CCE_CORE_X509_PEM_H
#define CCE_CORE_X509_PEM_H

#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "core/status.h"

/* Twice what the API takes, so that Base64 with line ends fits as well. */
enum { CCE_PEM_TEXT_MAX = 2 * 1048576 };

/* What a text is meant to be; errors are worded and coded by it. */
enum cce_pem_kind {
    CCE_PEM_CERTIFICATES, /* the holder's own first */
    CCE_PEM_KEY           /* a private key */
};

struct cce_pem_block {
    char *name;   /* "CERTIFICATE" */
    char *header; /* the lines before the Base64: encryption, usually none */
    unsigned char *data;
    long length;
};

/* Whether `text` has the start of a PEM block in it. */
bool cce_pem_is(const char *text, size_t length);

/* Puts the PEM or DER of a text into the empty *bytes. */
int cce_pem_open(const char *text, size_t length, enum cce_pem_kind kind,
                 struct cce_buf *bytes, struct cce_error *err);

/* Puts the PEM that `text` is, or is the Base64 of, into the empty *pem: byte
 * for byte, unless it is indented. DER is refused. */
int cce_pem_only(const char *text, size_t length, enum cce_pem_kind kind,
                 struct cce_buf *pem, struct cce_error *err);

/* What is done with each block: 0 goes on, 1 is done, -1 is a failure. */
typedef int cce_pem_visitor(const struct cce_pem_block *block, void *context,
                            struct cce_error *err);

/* Visits the blocks of a PEM text; they live until their visit is over. Errors
 * of OpenSSL may stay in its queue: see ssl_queue.h. */
int cce_pem_walk(const struct cce_buf *pem, enum cce_pem_kind kind,
                 cce_pem_visitor *visit, void *context, struct cce_error *err);

#endif
