/*
 * clock: what time it is, and sleeping.
 */
#ifndef CCE_OS_CLOCK_H
#define CCE_OS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

double cce_clock_monotonic(void); /* seconds; only differences count */
int64_t cce_clock_monotonic_ms(void);
double cce_clock_boottime(void); /* the same, but it goes on while suspended */
double cce_clock_time(void);     /* unix time with its fraction */

/* For a system call that waits; a day at most: callers loop, and nothing
 * overflows. */
struct timespec cce_clock_timespec(double seconds);

/* Sleeps; false when a signal cut it short. */
bool cce_clock_sleep(double seconds);

#endif
