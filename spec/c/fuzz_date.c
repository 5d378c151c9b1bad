/*
 * Any bytes as a date, judged by the C library: a date is accepted exactly when
 * timegm leaves it as it is. And any number of seconds as a date.
 */
#include <stdio.h>
#include <time.h>

#include "core/date.h"
#include "fuzz.h"

static bool is_real(const char *text, size_t length)
{
    char copy[CCE_DATE_LENGTH + 1], again[CCE_DATE_LENGTH + 1];
    struct tm fields = {0};
    time_t seconds;

    if (length != CCE_DATE_LENGTH)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    for (size_t i = 0; i < length; i++)
        if (i == 8    ? copy[i] != 'T'
            : i == 15 ? copy[i] != 'Z'
                      : !cce_is_digit(copy[i]))
            return false;
    if (sscanf(copy, "%4d%2d%2dT%2d%2d%2dZ", &fields.tm_year, &fields.tm_mon,
               &fields.tm_mday, &fields.tm_hour, &fields.tm_min,
               &fields.tm_sec) != 6)
        return false;
    fields.tm_year -= 1900;
    fields.tm_mon -= 1;
    seconds = timegm(&fields);
    return gmtime_r(&seconds, &fields) != NULL &&
           snprintf(again, sizeof again, "%04d%02d%02dT%02d%02d%02dZ",
                    fields.tm_year + 1900, fields.tm_mon + 1, fields.tm_mday,
                    fields.tm_hour, fields.tm_min,
                    fields.tm_sec) == CCE_DATE_LENGTH &&
           strcmp(copy, again) == 0;
}

static void try_seconds(int64_t seconds)
{
    char date[CCE_DATE_LENGTH + 1], text[CCE_DATE_TEXT_LENGTH + 1], form[64];
    struct cce_error err;
    struct tm fields;
    time_t moment = (time_t)seconds;

    if (cce_date_format(seconds, date, &err) != 0) {
        REQUIRE(seconds < 0 || seconds > 253402300799);
        return;
    }
    REQUIRE(cce_date_check(cce_bytes_of(date), &err) == 0);
    REQUIRE(gmtime_r(&moment, &fields) != NULL);
    strftime(form, sizeof form, "%Y%m%dT%H%M%SZ", &fields);
    REQUIRE(strcmp(date, form) == 0);
    REQUIRE(cce_date_text(seconds, text, &err) == 0);
    strftime(form, sizeof form, "%Y-%m-%d %H:%M:%S", &fields);
    REQUIRE(strcmp(text, form) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {{(const char *)data, size}};
    struct cce_error err;
    size_t length;
    char *text = fuzz_field(&input, false, &length);
    struct cce_bytes date = {text, length};
    int64_t seconds = 0;

    REQUIRE((cce_date_check(date, &err) == 0) == is_real(text, length));
    memcpy(&seconds, data, size < sizeof seconds ? size : sizeof seconds);
    try_seconds(seconds);
    try_seconds(seconds & 0x3fffffffff);
    free(text);
    return 0;
}
