/*
 * sign_algorithm: what the algorithms of sign.h differ in: the layout of what
 * is signed, the digest, the scope, and the key that signs on a day. For sign
 * and its parts only.
 */
#ifndef CCE_CORE_SIGN_ALGORITHM_H
#define CCE_CORE_SIGN_ALGORITHM_H

#include "core/sign.h"

enum cce_sign_layout { CCE_SIGN_PLAIN, CCE_SIGN_V11, CCE_SIGN_SCOPED };

struct cce_sign_algorithm {
    struct cce_bytes name, scheme;
    enum cce_sign_layout layout;
    enum cce_digest_kind digest;
    struct cce_bytes content_header; /* brings the body's hash if given */
};

/* Bytes of memory that the scope of a day needs at most. */
enum { CCE_SIGN_SCOPE_SIZE = CCE_DATE_DAY + 2 * CCE_SIGN_SCOPE_MAX + 16 };

/* By its name (the usual one when empty) and its scheme; NULL: none is so. */
const struct cce_sign_algorithm *
cce_sign_algorithm_find(struct cce_bytes name, struct cce_bytes scheme);

/* "20260102/region/service", with "/sdk_request" in the scoped layout, written
 * to `memory`, of CCE_SIGN_SCOPE_SIZE bytes. Not for the plain layout. */
struct cce_bytes cce_sign_algorithm_scope(const struct cce_signer *signer,
                                          struct cce_bytes date, char *memory);

/* Sees to it that signer->key is the one of this date. */
int cce_sign_algorithm_choose_key(struct cce_signer *signer,
                                  struct cce_bytes date, struct cce_error *err);

#endif
