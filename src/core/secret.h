/*
 * secret: bytes that must not leak: a secret key, a token, a password.
 *
 * They lie in pages of their own, which are locked into memory and left out
 * of core dumps where the system allows it, and are wiped before the pages
 * are given back. A NUL, which `length` does not count, follows them.
 */
#ifndef CCE_CORE_SECRET_H
#define CCE_CORE_SECRET_H

#include <stddef.h>

#include "core/status.h"
#include "core/uri.h"

enum { CCE_SECRET_MAX = 64 * 1024 }; /* bytes */

struct cce_secret {
    char *data; /* NULL when there is none */
    size_t length;
};

/* All fill a zeroed struct, or fail and leave it zeroed. An empty
 * secret, or one beyond CCE_SECRET_MAX, is INVALID_ARGUMENT. No message ever
 * holds a byte of the secret. */
int cce_secret_init(struct cce_secret *secret, struct cce_bytes bytes,
                    struct cce_error *err);

/* What follows a byte order mark: some editors and shells write one before a
 * text, and a service would take it for a part of the secret. */
struct cce_bytes cce_secret_without_mark(struct cce_bytes bytes);

/* Without a byte order mark. NO_CREDENTIALS when the variable is not set or
 * empty. */
int cce_secret_from_env(struct cce_secret *secret, const char *name,
                        struct cce_error *err);

/* Pages for so many bytes, zeroed, for who fills them itself. */
int cce_secret_allocate(struct cce_secret *secret, size_t length,
                        struct cce_error *err);

void cce_secret_cleanup(struct cce_secret *secret);

struct cce_bytes cce_secret_bytes(const struct cce_secret *secret);

#endif
