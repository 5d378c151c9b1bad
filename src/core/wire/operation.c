#include "core/wire/operation.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base64.h"
#include "core/date.h"
#include "core/x509/certificate.h"
#include "core/x509/pem.h"

enum {
    DAY = 86400,
    /* Five years with two leap days: the longest the API grants. */
    DAYS_MAX = 1827,
    ID_MAX = 128,
    TEXT_MAX = 64,
    PATH_MAX_LENGTH = 1024,
    SHOWN_MAX = 40
};

#define CLUSTERS     "/api/v3/projects/{project_id}/clusters"
#define AUTOPILOT    "/autopilot/v3/projects/{project_id}"
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ===== Values in messages =====
 *
 * A person has to find the value again that was refused, and a log must not
 * take it for something else: so a message shows it on one line, shortened and
 * escaped. Keys are never shown. */

/* Appends a string in quotes, escaped and shortened, so that a message stays
 * one readable line whatever was given. */
static void show_string(const struct cce_value *value, char *out, size_t size)
{
    size_t shown = value->length < SHOWN_MAX ? value->length : SHOWN_MAX;
    size_t used = 0;

    out[used++] = '"';
    for (size_t i = 0; i < shown && used + 10 < size; i++) {
        unsigned char byte = (unsigned char)value->string[i];

        if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\')
            out[used++] = (char)byte;
        else
            used += (size_t)snprintf(out + used, size - used, "\\x%02x", byte);
    }
    snprintf(out + used, size - used, "\"%s",
             shown < value->length ? "..." : "");
}

static int fail_value(const char *name, const struct cce_value *value,
                      const char *allowed, struct cce_error *err)
{
    char shown[200] = "a boolean";

    if (value->type == CCE_VALUE_STRING)
        show_string(value, shown, sizeof shown);
    else if (value->type == CCE_VALUE_NUMBER && isnan(value->number))
        snprintf(shown, sizeof shown, "not a number (NaN)"); /* no "-nan" */
    else if (value->type == CCE_VALUE_NUMBER)
        snprintf(shown, sizeof shown, "%.14g", value->number);
    return cce_fail(err, CCE_INVALID_ARGUMENT, "%s is %s; it must be %s", name,
                    shown, allowed);
}

/* Says which field an error of certificate.c is about. The caller gave a bad
 * argument, whatever is bad about it. */
static int fail_content(const char *name, struct cce_error *err)
{
    struct cce_error cause = *err;

    if (cause.code == CCE_NO_MEMORY)
        return -1;
    return cce_fail(err, CCE_INVALID_ARGUMENT, "%s: %.400s", name,
                    cause.message);
}

/* ===== Checks, one for each kind of field =====
 *
 * Each judges a value and says what is sent for it. The API has one sentence
 * for whatever it does not like about a request; here the field, its value and
 * what is allowed are named, and nothing leaves that its documents forbid. */

/* One field under check, and where the value that is sent goes. */
struct check {
    const struct cce_operation_field *field;
    const struct cce_value *value;
    int64_t now;
    struct cce_value *wire;
    struct cce_buf *text;
    struct cce_error *err;
};

static int refuse(const struct check *check)
{
    return fail_value(check->field->name, check->value, check->field->allowed,
                      check->err);
}

/* Whether a double is a whole number within a range; compared as doubles, for
 * a cast of 1e300 or NaN would be undefined. */
static bool is_whole(double number, int64_t minimum, int64_t maximum)
{
    return number >= (double)minimum && number <= (double)maximum &&
           floor(number) == number;
}

static int check_integer(const struct check *check)
{
    const struct cce_operation_field *field = check->field;
    double number = check->value->number;

    if (!is_whole(number, field->minimum, field->maximum) &&
        !is_whole(number, field->extra, field->extra))
        return refuse(check);
    *check->wire = *check->value;
    return 0;
}

static void set_text(const struct check *check)
{
    check->wire->type = CCE_VALUE_STRING;
    check->wire->string = check->text->data;
    check->wire->length = check->text->length;
}

/* The API wants a date in the form of Go's Time.String. */
static int check_time(const struct check *check)
{
    const struct cce_operation_field *field = check->field;
    int64_t minimum = check->now + field->minimum;
    int64_t maximum = check->now + field->maximum;
    char date[CCE_DATE_TEXT_LENGTH + 1], allowed[200];

    if (!is_whole(check->value->number, minimum, maximum)) {
        snprintf(allowed, sizeof allowed, "%s: now %lld to %lld",
                 field->allowed, (long long)minimum, (long long)maximum);
        return fail_value(field->name, check->value, allowed, check->err);
    }
    if (cce_date_text((int64_t)check->value->number, date, check->err) != 0)
        return refuse(check);
    cce_buf_append_string(check->text, date);
    cce_buf_append_string(check->text, " +0000 UTC");
    if (check->text->failed)
        return cce_fail_memory(check->err);
    set_text(check);
    return 0;
}

/* Autopilot takes days only. The last of them that ends in time: a certificate
 * never lives longer than was asked for. */
static int check_days(const struct check *check)
{
    const struct cce_operation_field *field = check->field;
    double ahead = check->value->number - (double)check->now;

    if (!is_whole(ahead, field->minimum, field->maximum))
        return refuse(check);
    *check->wire = *check->value;
    check->wire->number = floor(ahead / DAY);
    return 0;
}

bool cce_operation_is_id(struct cce_bytes text)
{
    enum { IN_ID = 1 };
    static const unsigned char
        in_id[256] =
            {
                ['-' ... '.'] = IN_ID, ['0' ... '9'] = IN_ID,
                ['A' ... 'Z'] = IN_ID, ['_'] = IN_ID,
                ['a' ... 'z'] = IN_ID,
            };

    if (text.length == 0 || text.length > ID_MAX ||
        !cce_is_alphanumeric(text.data[0]) ||
        (cce_bytes_classes(in_id, text) & IN_ID) == 0)
        return false;
    return memchr(text.data, '.', text.length) == NULL ||
           memmem(text.data, text.length, "..", 2) == NULL;
}

/* `name` is for the message. */
static int require_id(const char *name, const struct cce_value *id,
                      struct cce_error *err)
{
    if (id->type == CCE_VALUE_NONE)
        return cce_fail(err, CCE_INVALID_ARGUMENT, "%s is missing", name);
    if (id->type == CCE_VALUE_STRING &&
        cce_operation_is_id((struct cce_bytes){id->string, id->length}))
        return 0;
    return fail_value(name, id,
                      "an id: 1 to 128 letters, digits, \".\", \"_\" or "
                      "\"-\", a letter or digit first, no \"..\"",
                      err);
}

static int check_id(const struct check *check)
{
    *check->wire = *check->value;
    return require_id(check->field->name, check->value, check->err);
}

static bool equals(const struct cce_value *value, const char *string)
{
    return value->type == CCE_VALUE_STRING && value->length == strlen(string) &&
           memcmp(value->string, string, value->length) == 0;
}

static int check_choice(const struct check *check)
{
    *check->wire = *check->value;
    for (const char *const *choice = check->field->choices; *choice != NULL;
         choice++)
        if (equals(check->value, *choice))
            return 0;
    return refuse(check);
}

static int check_text(const struct check *check)
{
    const struct cce_value *value = check->value;

    if (value->length == 0 || value->length > TEXT_MAX)
        return refuse(check);
    for (size_t i = 0; i < value->length; i++)
        if (value->string[i] <= ' ' || value->string[i] > '~')
            return refuse(check);
    *check->wire = *value;
    return 0;
}

static int check_boolean(const struct check *check)
{
    *check->wire = *check->value;
    if (check->field->place == CCE_FIELD_QUERY) {
        check->wire->type = CCE_VALUE_STRING;
        check->wire->string = check->value->boolean ? "true" : "false";
        check->wire->length = strlen(check->wire->string);
    }
    return 0;
}

/* The bytes that a text takes on the wire, before it is decoded. */
static size_t content_length(const struct cce_value *value)
{
    size_t length = 0;

    if (cce_pem_is(value->string, value->length))
        return cce_base64_length(value->length);
    for (size_t i = 0; i < value->length; i++)
        length += !cce_is_blank(value->string[i]);
    return length;
}

static int check_content(const struct check *check)
{
    const char *name = check->field->name;
    enum cce_pem_kind kind = check->field->kind == CCE_FIELD_KEY
                                 ? CCE_PEM_KEY
                                 : CCE_PEM_CERTIFICATES;
    size_t length = content_length(check->value);
    struct cce_buf pem;
    int result;

    if (length > CCE_OPERATION_CONTENT_MAX)
        return cce_fail(check->err, CCE_INVALID_ARGUMENT,
                        "%s is %zu bytes in Base64; at most %d are allowed",
                        name, length, CCE_OPERATION_CONTENT_MAX);
    cce_buf_init(&pem, CCE_PEM_TEXT_MAX);
    result = cce_pem_only(check->value->string, check->value->length, kind,
                          &pem, check->err);
    if (result != 0)
        fail_content(name, check->err);
    else
        cce_base64_encode(pem.data, pem.length, check->text);
    cce_buf_cleanup(&pem);
    if (result == 0 && check->text->failed)
        result = cce_fail_memory(check->err);
    if (result == 0)
        set_text(check);
    return result;
}

static const struct {
    enum cce_value_type type;
    int (*check)(const struct check *check);
} kinds[] = {
    [CCE_FIELD_INTEGER] = {CCE_VALUE_NUMBER, check_integer},
    [CCE_FIELD_TIME] = {CCE_VALUE_NUMBER, check_time},
    [CCE_FIELD_DAYS] = {CCE_VALUE_NUMBER, check_days},
    [CCE_FIELD_ID] = {CCE_VALUE_STRING, check_id},
    [CCE_FIELD_CHOICE] = {CCE_VALUE_STRING, check_choice},
    [CCE_FIELD_TEXT] = {CCE_VALUE_STRING, check_text},
    [CCE_FIELD_BOOLEAN] = {CCE_VALUE_BOOLEAN, check_boolean},
    [CCE_FIELD_CERTIFICATE] = {CCE_VALUE_STRING, check_content},
    [CCE_FIELD_KEY] = {CCE_VALUE_STRING, check_content},
};

/* ===== obtain_cert =====
 *
 * A certificate without a lifetime lives for five years, and nobody notices.
 * So one is demanded. */

enum { OBTAIN_DURATION, OBTAIN_EXPIRE_AT };

#define DAYS CCE_FIELD_BODY, CCE_FIELD_INTEGER, 1, DAYS_MAX, -1, NULL

static const char days_meaning[] =
    "a whole number of days from 1 to 1827, or -1 for the longest, five years";

static const struct cce_operation_field obtain_fields[] = {
    [OBTAIN_DURATION] = {"duration", "duration", DAYS, days_meaning},
    [OBTAIN_EXPIRE_AT] = {"expire_at", "expire_at", CCE_FIELD_BODY,
                          CCE_FIELD_TIME, 15 * 60, (int64_t)DAYS_MAX *DAY, 0,
                          NULL,
                          "a unix time in whole seconds, from 15 minutes to "
                          "five years (1827 days) ahead"},
};

/* Both have one name on the wire: the later one, expire_at, wins. */
static const struct cce_operation_field obtain_autopilot_fields[] = {
    [OBTAIN_DURATION] = {"duration", "duration", DAYS, days_meaning},
    [OBTAIN_EXPIRE_AT] = {"expire_at", "duration", CCE_FIELD_BODY,
                          CCE_FIELD_DAYS, DAY, (int64_t)DAYS_MAX *DAY, 0, NULL,
                          "a unix time in whole seconds, from one day to five "
                          "years (1827 days) ahead: an Autopilot cluster takes "
                          "whole days only"},
};

static int obtain_rule(const struct cce_value *values, int64_t now,
                       struct cce_error *err)
{
    (void)now;
    if (values[OBTAIN_DURATION].type != CCE_VALUE_NONE ||
        values[OBTAIN_EXPIRE_AT].type != CCE_VALUE_NONE)
        return 0;
    return cce_fail(err, CCE_INVALID_ARGUMENT,
                    "duration or expire_at is required (there is no default "
                    "lifetime of five years): duration is %s; expire_at is %s",
                    obtain_fields[OBTAIN_DURATION].allowed,
                    obtain_fields[OBTAIN_EXPIRE_AT].allowed);
}

/* ===== revoke_cert =====
 *
 * Whom it meets is decided by one of two ids. */

enum { REVOKE_USER, REVOKE_AGENCY };

static const struct cce_operation_field revoke_fields[] = {
    [REVOKE_USER] = {"user_id", "userId", CCE_FIELD_BODY, CCE_FIELD_ID, 0, 0, 0,
                     NULL, NULL},
    [REVOKE_AGENCY] = {"agency_id", "agencyId", CCE_FIELD_BODY, CCE_FIELD_ID, 0,
                       0, 0, NULL, NULL},
};

/* The API leaves open what none or both would do. */
static int revoke_rule(const struct cce_value *values, int64_t now,
                       struct cce_error *err)
{
    bool user = values[REVOKE_USER].type != CCE_VALUE_NONE;
    bool agency = values[REVOKE_AGENCY].type != CCE_VALUE_NONE;

    (void)now;
    if (user != agency)
        return 0;
    return cce_fail(err, CCE_INVALID_ARGUMENT,
                    "exactly one of user_id and agency_id is required, and %s "
                    "given",
                    user ? "both are" : "neither is");
}

/* ===== rotate_credentials =====
 *
 * It cannot be taken back. With a CA of the caller's own, what does not belong
 * together is found here, not when the cluster no longer answers. */

enum { ROTATE_COMPONENT, ROTATE_RETENTION, ROTATE_CA, ROTATE_CERT, ROTATE_KEY };

static const char *const components[] = {"all", "service-account-controller",
                                         "custom", NULL};

static const struct cce_operation_field rotate_fields[] = {
    [ROTATE_COMPONENT] = {"component", "component", CCE_FIELD_BODY,
                          CCE_FIELD_CHOICE, 0, 0, 0, components,
                          "all, service-account-controller or custom"},
    /* 0 is a value like others: the old certificate is not kept at all. */
    [ROTATE_RETENTION] = {"certificate_expiration_time",
                          "certificateExpirationTime", CCE_FIELD_BODY,
                          CCE_FIELD_INTEGER, 0, 8784, 0, NULL,
                          "a whole number of hours from 0 to 8784"},
    [ROTATE_CA] = {"cert_content.ca", "certContent.ca", CCE_FIELD_BODY,
                   CCE_FIELD_CERTIFICATE, 0, 0, 0, NULL, NULL},
    [ROTATE_CERT] = {"cert_content.cert", "certContent.cert", CCE_FIELD_BODY,
                     CCE_FIELD_CERTIFICATE, 0, 0, 0, NULL, NULL},
    [ROTATE_KEY] = {"cert_content.private_key", "certContent.privateKey",
                    CCE_FIELD_BODY, CCE_FIELD_KEY, 0, 0, 0, NULL, NULL},
};

struct content {
    struct cce_certificate ca, cert;
    struct cce_certificate_key key;
};

static int parse_certificate(const struct cce_value *values, int index,
                             struct cce_certificate *certificate,
                             struct cce_error *err)
{
    const char *name = rotate_fields[index].name;

    if (cce_certificate_parse(values[index].string, values[index].length,
                              certificate, err) != 0)
        return fail_content(name, err);
    if (!certificate->has_key)
        return 0;
    return cce_fail(err, CCE_INVALID_ARGUMENT,
                    "%s: the text holds a private key, which does not belong "
                    "there",
                    name);
}

/* The three must belong together, or the cluster would be without a CA that
 * works once they are in place. */
static int check_agreement(const struct cce_value *values, int64_t now,
                           struct content *content, struct cce_error *err)
{
    const char *cert_name = rotate_fields[ROTATE_CERT].name;
    const char *key_name = rotate_fields[ROTATE_KEY].name;
    const struct cce_value *key = &values[ROTATE_KEY];
    bool matches;

    if (parse_certificate(values, ROTATE_CA, &content->ca, err) != 0 ||
        parse_certificate(values, ROTATE_CERT, &content->cert, err) != 0)
        return -1;
    if (cce_certificate_parse_key(key->string, key->length, &content->key,
                                  err) != 0)
        return fail_content(key_name, err);
    if (cce_certificate_key_matches(&content->cert, &content->key, &matches,
                                    err) != 0)
        return fail_content(cert_name, err);
    if (!matches)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "%s: the private key does not belong to %s", key_name,
                        cert_name);
    if (cce_certificate_check_issuer(&content->cert, &content->ca, now, err) !=
        0)
        return fail_content(cert_name, err);
    return 0;
}

static int check_custom(const struct cce_value *values, int64_t now,
                        struct cce_error *err)
{
    struct content content;
    int result;

    for (int i = ROTATE_CA; i <= ROTATE_KEY; i++)
        if (values[i].type == CCE_VALUE_NONE)
            return cce_fail(err, CCE_INVALID_ARGUMENT,
                            "%s is required with component \"custom\": PEM, "
                            "or Base64 of it",
                            rotate_fields[i].name);
    memset(&content, 0, sizeof content);
    result = check_agreement(values, now, &content, err);
    cce_certificate_cleanup(&content.ca);
    cce_certificate_cleanup(&content.cert);
    cce_certificate_key_cleanup(&content.key);
    return result;
}

static int rotate_rule(const struct cce_value *values, int64_t now,
                       struct cce_error *err)
{
    const struct cce_value *component = &values[ROTATE_COMPONENT];

    if (component->type == CCE_VALUE_NONE)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "component is required: it must be %s",
                        rotate_fields[ROTATE_COMPONENT].allowed);
    if (equals(component, "custom"))
        return check_custom(values, now, err);
    for (int i = ROTATE_CA; i <= ROTATE_KEY; i++)
        if (values[i].type != CCE_VALUE_NONE)
            return cce_fail(err, CCE_INVALID_ARGUMENT,
                            "%s is only for component \"custom\", and "
                            "component is \"%.*s\"",
                            rotate_fields[i].name, (int)component->length,
                            component->string);
    return 0;
}

/* ===== list_clusters ===== */

static const char *const cluster_types[] = {"VirtualMachine", "ARM64", NULL};

static const struct cce_operation_field list_fields[] = {
    {"detail", "detail", CCE_FIELD_QUERY, CCE_FIELD_BOOLEAN, 0, 0, 0, NULL,
     "true or false"},
    {"status", "status", CCE_FIELD_QUERY, CCE_FIELD_TEXT, 0, 0, 0, NULL,
     "a phase such as Available: 1 to 64 characters without spaces"},
    {"type", "type", CCE_FIELD_QUERY, CCE_FIELD_CHOICE, 0, 0, 0, cluster_types,
     "VirtualMachine or ARM64"},
    {"version", "version", CCE_FIELD_QUERY, CCE_FIELD_TEXT, 0, 0, 0, NULL,
     "a version such as v1.28: 1 to 64 characters without spaces"},
};

/* ===== The table =====
 *
 * A row says all that a call is; nothing else in the tree names its path. */

static const struct cce_operation operations[] = {
    {"obtain_cert",
     "POST",
     CLUSTERS "/{cluster_id}/clustercert",
     "cce:cluster:generateClientCredential",
     true,
     {NULL, NULL},
     obtain_rule,
     COUNT(obtain_fields),
     obtain_fields},
    {"revoke_cert",
     "POST",
     CLUSTERS "/{cluster_id}/clustercertrevoke",
     "cce:cluster:revokeClientCredential",
     true,
     {NULL, NULL},
     revoke_rule,
     COUNT(revoke_fields),
     revoke_fields},
    {"rotate_credentials",
     "POST",
     CLUSTERS "/{cluster_id}/rotatecredentials",
     "cce:cluster:rotateCredentials",
     true,
     {NULL, NULL},
     rotate_rule,
     COUNT(rotate_fields),
     rotate_fields},
    {"show_job",
     "GET",
     "/api/v3/projects/{project_id}/jobs/{job_id}",
     "cce:job:get",
     false,
     {NULL, NULL},
     NULL,
     0,
     NULL},
    {"list_clusters",
     "GET",
     CLUSTERS,
     "cce:cluster:list",
     false,
     {NULL, NULL},
     NULL,
     COUNT(list_fields),
     list_fields},
    {"show_cluster",
     "GET",
     CLUSTERS "/{cluster_id}",
     "cce:cluster:get",
     false,
     {"detail", "true"},
     NULL,
     0,
     NULL},
    /* CCE Autopilot: there is no other call for certificates. */
    {"obtain_autopilot_cert",
     "POST",
     AUTOPILOT "/clusters/{cluster_id}/clustercert",
     "cce:cluster:generateClientCredential",
     true,
     {NULL, NULL},
     obtain_rule,
     COUNT(obtain_autopilot_fields),
     obtain_autopilot_fields},
    {"show_autopilot_job",
     "GET",
     AUTOPILOT "/jobs/{job_id}",
     "cce:job:get",
     false,
     {NULL, NULL},
     NULL,
     0,
     NULL},
    {"list_autopilot_clusters",
     "GET",
     AUTOPILOT "/clusters",
     "cce:cluster:list",
     false,
     {NULL, NULL},
     NULL,
     COUNT(list_fields),
     list_fields},
    {"show_autopilot_cluster",
     "GET",
     AUTOPILOT "/clusters/{cluster_id}",
     "cce:cluster:get",
     false,
     {"detail", "true"},
     NULL,
     0,
     NULL},
};

const struct cce_operation *cce_operation_at(size_t index)
{
    return index < COUNT(operations) ? &operations[index] : NULL;
}

const struct cce_operation *cce_operation_find(const char *name)
{
    for (size_t i = 0; i < COUNT(operations); i++)
        if (strcmp(operations[i].name, name) == 0)
            return &operations[i];
    return NULL;
}

enum cce_value_type
cce_operation_field_type(const struct cce_operation_field *field)
{
    return kinds[field->kind].type;
}

/* ===== Paths =====
 *
 * The ids are all that comes from outside. An id needs no encoding, and cannot
 * leave its segment: that is the rule's reason. */

static const char *const id_names[] = {
    [CCE_ID_PROJECT] = "project_id",
    [CCE_ID_CLUSTER] = "cluster_id",
    [CCE_ID_JOB] = "job_id",
};

const char *cce_operation_id_name(enum cce_operation_id id)
{
    return id_names[id];
}

/* The id whose placeholder "{name}" starts here, or CCE_ID_COUNT. */
static enum cce_operation_id placeholder(const char *path)
{
    int id = 0;

    if (path[0] != '{')
        return CCE_ID_COUNT;
    for (; id < CCE_ID_COUNT; id++) {
        size_t length = strlen(id_names[id]);

        if (strncmp(path + 1, id_names[id], length) == 0 &&
            path[1 + length] == '}')
            break;
    }
    return (enum cce_operation_id)id;
}

bool cce_operation_needs_id(const struct cce_operation *operation,
                            enum cce_operation_id id)
{
    const char *path = operation->path;

    while ((path = strchr(path, '{')) != NULL) {
        if (placeholder(path) == id)
            return true;
        path++;
    }
    return false;
}

static int build_path(const char *path, const struct cce_value *ids,
                      struct cce_buf *out, struct cce_error *err)
{
    cce_buf_init(out, PATH_MAX_LENGTH);
    while (*path != '\0') {
        size_t plain = strcspn(path + 1, "{") + 1;
        enum cce_operation_id id = placeholder(path);

        if (id == CCE_ID_COUNT) {
            cce_buf_append(out, path, plain);
            path += plain;
            continue;
        }
        if (require_id(id_names[id], &ids[id], err) != 0)
            return -1;
        cce_buf_append(out, ids[id].string, ids[id].length);
        path += strlen(id_names[id]) + 2;
    }
    return out->failed ? cce_fail_memory(err) : 0;
}

/* ===== Requests ===== */

static int build_request(const struct cce_operation *operation,
                         const struct cce_value *ids,
                         const struct cce_value *values, int64_t now,
                         struct cce_operation_request *request,
                         struct cce_error *err)
{
    if (build_path(operation->path, ids, &request->path, err) != 0)
        return -1;
    for (size_t i = 0; i < operation->field_count; i++) {
        const struct cce_operation_field *field = &operation->fields[i];
        const struct check check = {
            field, &values[i], now, &request->wire[i], &request->texts[i], err};

        cce_buf_init(&request->texts[i], CCE_OPERATION_CONTENT_MAX);
        if (values[i].type == CCE_VALUE_NONE)
            continue;
        if (values[i].type != kinds[field->kind].type)
            return cce_fail(err, CCE_INVALID_ARGUMENT, "%s has the wrong type",
                            field->name);
        if (kinds[field->kind].check(&check) != 0)
            return -1;
    }
    return operation->rule != NULL ? operation->rule(values, now, err) : 0;
}

int cce_operation_build(const struct cce_operation *operation,
                        const struct cce_value *ids,
                        const struct cce_value *values, int64_t now,
                        struct cce_operation_request *request,
                        struct cce_error *err)
{
    int result;

    request->operation = operation;
    result = build_request(operation, ids, values, now, request, err);
    if (result != 0)
        cce_operation_request_cleanup(request);
    return result;
}

void cce_operation_request_cleanup(struct cce_operation_request *request)
{
    cce_buf_cleanup(&request->path);
    for (size_t i = 0; i < CCE_OPERATION_FIELDS_MAX; i++)
        cce_buf_cleanup(&request->texts[i]);
    memset(request, 0, sizeof *request);
}
