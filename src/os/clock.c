#include "os/clock.h"

#include <math.h>

static double seconds_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double cce_clock_monotonic(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

int64_t cce_clock_monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

double cce_clock_boottime(void)
{
    return seconds_of(CLOCK_BOOTTIME);
}

double cce_clock_time(void)
{
    return seconds_of(CLOCK_REALTIME);
}

struct timespec cce_clock_timespec(double seconds)
{
    struct timespec result = {0, 0};

    if (!(seconds > 0)) /* nor NaN */
        return result;
    seconds = fmin(seconds, 86400);
    result.tv_sec = (time_t)seconds;
    result.tv_nsec = (long)((seconds - (double)result.tv_sec) * 1e9);
    return result;
}

/* By the monotonic clock: the time of day may be set meanwhile. */
bool cce_clock_sleep(double seconds)
{
    double deadline = cce_clock_monotonic() + seconds;

    for (double left = seconds; left > 0;
         left = deadline - cce_clock_monotonic()) {
        struct timespec step = cce_clock_timespec(left);

        if (nanosleep(&step, NULL) != 0)
            return false;
    }
    return true;
}
