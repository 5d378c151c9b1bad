/*
 * ssl_queue: OpenSSL's queue of errors, left as it was found: a host
 * application may have entries of its own there.
 */
#ifndef CCE_CORE_X509_SSL_QUEUE_H
#define CCE_CORE_X509_SSL_QUEUE_H

#include <stdbool.h>

#include "core/status.h"

struct cce_ssl_queue {
    bool was_empty;
};

/* To be called before OpenSSL is. */
void cce_ssl_queue_enter(struct cce_ssl_queue *queue);

/* Drops what was queued since cce_ssl_queue_enter, and passes `result` on; a
 * failure for want of memory is reported as just that, where this OpenSSL's
 * queue tells. Whether something failed is never read from the queue: what it
 * holds differs from version to version. */
int cce_ssl_queue_leave(struct cce_ssl_queue *queue, int result,
                        struct cce_error *err);

#endif
