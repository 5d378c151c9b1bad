/*
 * date: the form of time that signatures have, YYYYMMDDTHHMMSSZ, checked and
 * written, and the one that people read. Always UTC, in any locale and time
 * zone. No clock.
 */
#ifndef CCE_CORE_DATE_H
#define CCE_CORE_DATE_H

#include <stdint.h>

#include "core/bytes.h"
#include "core/status.h"

enum {
    CCE_DATE_LENGTH = 16,     /* of YYYYMMDDTHHMMSSZ */
    CCE_DATE_DAY = 8,         /* of its YYYYMMDD */
    CCE_DATE_TEXT_LENGTH = 19 /* of YYYY-MM-DD HH:MM:SS */
};

/* INVALID_ARGUMENT unless the date has that form and is a real one. */
int cce_date_check(struct cce_bytes date, struct cce_error *err);

/* Unix time to YYYYMMDDTHHMMSSZ and a NUL; INVALID_ARGUMENT outside of the
 * years 1970 to 9999. */
int cce_date_format(int64_t seconds, char date[CCE_DATE_LENGTH + 1],
                    struct cce_error *err);

/* The same as YYYY-MM-DD HH:MM:SS. */
int cce_date_text(int64_t seconds, char text[CCE_DATE_TEXT_LENGTH + 1],
                  struct cce_error *err);

#endif
