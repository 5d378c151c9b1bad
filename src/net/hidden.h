/*
 * hidden: memory that no core dump has, for what passes through and may be a
 * secret.
 *
 * Its pages are not locked: the quota for that is small, and is for what lives
 * longer (see core/secret.h).
 */
#ifndef CCE_NET_HIDDEN_H
#define CCE_NET_HIDDEN_H

#include <stddef.h>

/* Not zeroed; NULL without memory. */
void *cce_hidden_malloc(size_t size);

/* How much there is of these, or of whatever else came from malloc; of NULL 0.
 */
size_t cce_hidden_size(void *memory);

/* Wipes and frees the same. */
void cce_hidden_free(void *memory);

#endif
