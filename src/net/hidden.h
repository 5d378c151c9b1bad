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

/* Whole pages, not zeroed; NULL without memory. */
void *cce_hidden_malloc(size_t size);

/* Wipes and frees these, and whatever else came from malloc; NULL, too. */
void cce_hidden_free(void *memory);

#endif
