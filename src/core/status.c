#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *name, *text;
} statuses[] = {
#define CCE_STATUS_ROW(name, text) {#name, text},
    CCE_STATUS_MAP(CCE_STATUS_ROW)
#undef CCE_STATUS_ROW
};

const char *cce_status_name(enum cce_status status)
{
    return statuses[status].name;
}

const char *cce_status_text(enum cce_status status)
{
    return statuses[status].text;
}

int cce_fail(struct cce_error *err, enum cce_status code, const char *format,
             ...)
{
    va_list args;

    err->code = code;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    return -1;
}

int cce_fail_memory(struct cce_error *err)
{
    return cce_fail(err, CCE_NO_MEMORY, "out of memory");
}
