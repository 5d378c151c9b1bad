/*
 * ini: the key files of the official SDKs, which hold secrets.
 *
 * They are read as Python's configparser reads them, in its default mode: "="
 * or ":" between a name and its value, names in any case, "#" and ";" at the
 * beginning of a line, and what stands in [DEFAULT] holds for each section
 * that does not say otherwise. What that would refuse, or would read as another
 * value than its writer meant, is an error with the number of its line: a wrong
 * value is never sent, since five of them lock an access key. Lines may end
 * with LF, CRLF or CR, and a byte order mark may stand before them.
 *
 * Nothing but the value that was asked for is copied, and no message repeats a
 * piece of the text. Nothing here touches Lua or the system.
 */
#ifndef CCE_CORE_INI_H
#define CCE_CORE_INI_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/bytes.h"
#include "core/status.h"

/* INVALID_ARGUMENT, "line 3: ...", for the first line that is wrong. Values are
 * looked at in `section` and what it inherits alone; NULL: in none. */
int cce_ini_check(struct cce_bytes text, const char *section,
                  struct cce_error *err);

/* Why `key` cannot be an access key, its secret or a name beside them: NULL, or
 * a text that does not repeat it. The rule for every source of keys. */
const char *cce_key_problem(struct cce_bytes key);

/* Appends the value of `key` that [section] has or inherits. False when there
 * is no such section, no value, or an empty one. The text was checked. */
bool cce_ini_value(struct cce_bytes text, const char *section, const char *key,
                   struct cce_buf *out);

#endif
