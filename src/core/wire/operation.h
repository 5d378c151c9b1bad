/*
 * operation: the API's calls, as one table, and the requests made from it.
 *
 * No I/O, no clock and no Lua. A call is a row of the table: method, path,
 * fields, and a rule for what concerns several fields. cce_operation_build
 * checks everything that can be checked here, so that nothing leaves that the
 * API is sure to refuse. Errors are INVALID_ARGUMENT or NO_MEMORY, and name
 * the field, its value (unless that is a key) and what is allowed.
 *
 * A new call needs a row in operation.c and nothing else.
 */
#ifndef CCE_CORE_WIRE_OPERATION_H
#define CCE_CORE_WIRE_OPERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/bytes.h"
#include "core/status.h"

enum {
    CCE_OPERATION_FIELDS_MAX = 8,
    /* The API's limit for a certificate or key, as the Base64 that is sent. */
    CCE_OPERATION_CONTENT_MAX = 1048576
};

enum cce_value_type {
    CCE_VALUE_NONE, /* not given, or not to be sent */
    CCE_VALUE_BOOLEAN,
    CCE_VALUE_NUMBER,
    CCE_VALUE_STRING
};

/* A value going in or out. A string need not end with a NUL, and belongs to
 * the maker of the value. */
struct cce_value {
    enum cce_value_type type;
    bool boolean;
    double number;
    const char *string;
    size_t length;
};

enum cce_field_place { CCE_FIELD_BODY, CCE_FIELD_QUERY };

enum cce_field_kind {
    CCE_FIELD_INTEGER,
    CCE_FIELD_TIME,        /* unix seconds; a date on the wire */
    CCE_FIELD_DAYS,        /* unix seconds; the whole days until then */
    CCE_FIELD_ID,          /* as the ids of the path */
    CCE_FIELD_CHOICE,      /* one of a list */
    CCE_FIELD_TEXT,        /* short, printable ASCII */
    CCE_FIELD_BOOLEAN,     /* "true" or "false" on the wire */
    CCE_FIELD_CERTIFICATE, /* PEM or Base64 of it; Base64 on the wire */
    CCE_FIELD_KEY          /* the same, and secret */
};

struct cce_operation_field {
    const char *name; /* the option; "group.member" for one in a sub-table */
    const char *wire; /* the same in the API's spelling */
    enum cce_field_place place;
    enum cce_field_kind kind;
    int64_t minimum, maximum;   /* INTEGER: both allowed, and so is `extra`; */
    int64_t extra;              /* TIME, DAYS: seconds after now */
    const char *const *choices; /* CHOICE: NULL at the end */
    const char *allowed;        /* ends "it must be …" */
};

/* The ids that may stand in a path. */
enum cce_operation_id {
    CCE_ID_PROJECT,
    CCE_ID_CLUSTER,
    CCE_ID_JOB,
    CCE_ID_COUNT
};

struct cce_operation {
    const char *name;
    const char *method;
    const char *path;           /* with {project_id} and so on */
    const char *action;         /* what IAM must allow */
    bool mutating;              /* sent at most once, and retried with care */
    const char *fixed_query[2]; /* name and value, or NULL */
    /* Checks what concerns several fields: values has one for each field, and
     * each is acceptable by itself. May be NULL. */
    int (*rule)(const struct cce_value *values, int64_t now,
                struct cce_error *err);
    size_t field_count;
    const struct cce_operation_field *fields;
};

/* A request. Zeroed is valid and empty. */
struct cce_operation_request {
    const struct cce_operation *operation;
    struct cce_buf path; /* raw: its ids need no encoding */
    /* What is sent for each field, NONE for nothing: a number, a boolean (in
     * the body) or a string, which may be a secret. */
    struct cce_value wire[CCE_OPERATION_FIELDS_MAX];
    struct cce_buf texts[CCE_OPERATION_FIELDS_MAX]; /* strings made for it */
};

/* Whether a text may stand as an id in a path: [A-Za-z0-9][A-Za-z0-9._-]{0,127}
 * without "..". */
bool cce_operation_is_id(struct cce_bytes text);

/* The rows, in order: NULL after the last. */
const struct cce_operation *cce_operation_at(size_t index);
const struct cce_operation *cce_operation_find(const char *name);

/* "project_id", "cluster_id", "job_id". */
const char *cce_operation_id_name(enum cce_operation_id id);
bool cce_operation_needs_id(const struct cce_operation *operation,
                            enum cce_operation_id id);

/* The type in which a field's value is given. */
enum cce_value_type
cce_operation_field_type(const struct cce_operation_field *field);

/* Makes the zeroed *request. `ids` has CCE_ID_COUNT entries, those that the
 * path does not need are ignored; `values` has one for each field; `now` is
 * the time in unix seconds, by which dates and certificates are judged. The
 * request may point into the strings of `values`. */
int cce_operation_build(const struct cce_operation *operation,
                        const struct cce_value *ids,
                        const struct cce_value *values, int64_t now,
                        struct cce_operation_request *request,
                        struct cce_error *err);

/* Wipes and frees. */
void cce_operation_request_cleanup(struct cce_operation_request *request);

#endif
