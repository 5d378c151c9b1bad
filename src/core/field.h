/*
 * field: one value out of a JSON text that may hold secrets.
 *
 * Nothing but the value that was asked for is copied, and that into a buffer
 * which is wiped. Nothing here touches Lua or the system.
 */
#ifndef CCE_CORE_FIELD_H
#define CCE_CORE_FIELD_H

#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "core/bytes.h"

/* Appends the string at path[0], path[1], … of a JSON object, its escapes
 * resolved. False, with nothing appended, when there is none: no such member,
 * a value that is no string, or a text that is no JSON so far. A member whose
 * own name has escapes is not found. The first of two equal names counts. */
bool cce_field_json(struct cce_bytes text, const char *const *path,
                    size_t depth, struct cce_buf *out);

/* Appends a JSON string, with its quotes, that stands for these bytes. */
void cce_field_append_json(struct cce_buf *out, struct cce_bytes bytes);

#endif
