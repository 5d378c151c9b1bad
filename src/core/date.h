/*
 * date: the form of time that signatures have, YYYYMMDDTHHMMSSZ, checked and
 * written. Always UTC, in any locale and time zone. No clock.
 */
#ifndef CCE_CORE_DATE_H
#define CCE_CORE_DATE_H

#include <stdint.h>

#include "core/status.h"
#include "core/uri.h"

enum {
    CCE_DATE_LENGTH = 16, /* of YYYYMMDDTHHMMSSZ */
    CCE_DATE_DAY = 8      /* of its YYYYMMDD */
};

/* INVALID_ARGUMENT unless the date has that form and is a real one. */
int cce_date_check(struct cce_bytes date, struct cce_error *err);

/* Unix time to YYYYMMDDTHHMMSSZ and a NUL; INVALID_ARGUMENT outside of the
 * years 1970 to 9999. */
int cce_date_format(int64_t seconds, char date[CCE_DATE_LENGTH + 1],
                    struct cce_error *err);

#endif
