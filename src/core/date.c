#include "core/date.h"

/* --- reading --- */

static unsigned two_digits(const char *text)
{
    unsigned tens = (unsigned char)text[0] - '0';
    unsigned ones = (unsigned char)text[1] - '0';

    return tens > 9 || ones > 9 ? 100 : tens * 10 + ones;
}

static bool is_date(struct cce_bytes date)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30,
                                         31, 31, 30, 31, 30, 31};
    unsigned century, year, month, day;
    bool is_leap;

    if (date.length != CCE_DATE_LENGTH || date.data[8] != 'T' ||
        date.data[15] != 'Z' || two_digits(date.data + 9) > 23 ||
        two_digits(date.data + 11) > 59 || two_digits(date.data + 13) > 59)
        return false;
    century = two_digits(date.data);
    year = two_digits(date.data + 2);
    month = two_digits(date.data + 4);
    day = two_digits(date.data + 6);
    if (century > 99 || year > 99 || month < 1 || month > 12 || day < 1)
        return false;
    /* 2000 was a leap year, 2100 will be none. */
    is_leap = year % 4 == 0 && (year != 0 || century % 4 == 0);
    return day <= days[month - 1] + (unsigned)(month == 2 && is_leap);
}

int cce_date_check(struct cce_bytes date, struct cce_error *err)
{
    if (is_date(date))
        return 0;
    return cce_fail(err, CCE_INVALID_ARGUMENT,
                    "a date must be a real one, written YYYYMMDDTHHMMSSZ");
}

/* --- writing --- */

static void write_two(char *to, unsigned number)
{
    to[0] = (char)('0' + number / 10 % 10);
    to[1] = (char)('0' + number % 10);
}

/* Years run from March, so that a leap day is the last of its year, and are
 * counted in eras of 400 years, which all have as many days. */
static void write_day(char *to, unsigned days)
{
    unsigned shifted = days + 719468; /* days from 0000-03-01 to 1970 */
    unsigned era = shifted / 146097, of_era = shifted % 146097;
    unsigned year =
        (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned march_month = (5 * of_year + 2) / 153;
    unsigned month = march_month < 10 ? march_month + 3 : march_month - 9;

    year += era * 400 + (month <= 2);
    write_two(to, year / 100);
    write_two(to + 2, year % 100);
    write_two(to + 4, month);
    write_two(to + 6, of_year - (153 * march_month + 2) / 5 + 1);
}

int cce_date_format(int64_t seconds, char date[CCE_DATE_LENGTH + 1],
                    struct cce_error *err)
{
    const int64_t end = INT64_C(253402300800); /* 10000-01-01 */
    unsigned of_day;

    if (seconds < 0 || seconds >= end)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "a date must lie in the years 1970 to 9999");
    of_day = (unsigned)(seconds % 86400);
    write_day(date, (unsigned)(seconds / 86400));
    date[8] = 'T';
    write_two(date + 9, of_day / 3600);
    write_two(date + 11, of_day / 60 % 60);
    write_two(date + 13, of_day % 60);
    date[15] = 'Z';
    date[16] = '\0';
    return 0;
}

int cce_date_text(int64_t seconds, char text[CCE_DATE_TEXT_LENGTH + 1],
                  struct cce_error *err)
{
    /* Where each character of the other form stands in this one. */
    static const unsigned char places[CCE_DATE_LENGTH - 1] = {
        0, 1, 2, 3, 5, 6, 8, 9, 10, 11, 12, 14, 15, 17, 18};
    char date[CCE_DATE_LENGTH + 1];

    if (cce_date_format(seconds, date, err) != 0)
        return -1;
    memcpy(text, "0000-00-00 00:00:00", CCE_DATE_TEXT_LENGTH + 1);
    for (size_t i = 0; i < sizeof places; i++)
        if (i != CCE_DATE_DAY) /* the "T" */
            text[places[i]] = date[i];
    return 0;
}
