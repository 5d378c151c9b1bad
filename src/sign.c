#include "sign.h"

#include <string.h>

enum {
    REQUEST_MAX = 4 * 1024 * 1024, /* bytes of a canonical request */
    KEPT_MAX = 64 * 1024,          /* larger buffers are given back */
    ENTRIES_MAX = CCE_SIGN_HEADERS_MAX + 3,
    DAY_LENGTH = 8, /* of the date's YYYYMMDD */
    SCOPE_MAX = DAY_LENGTH + 2 * CCE_SIGN_SCOPE_MAX + 16
};

enum layout { PLAIN, V11, SCOPED };

/* A string literal with its length. */
#define LITERAL(string)           \
    {                             \
        string, sizeof string - 1 \
    }

struct cce_sign_algorithm {
    struct cce_bytes name, scheme;
    enum layout layout;
    enum cce_digest_kind digest;
    struct cce_bytes content_header; /* brings the body's hash if given */
};

static const struct cce_sign_algorithm algorithms[] = {
    {LITERAL("SDK-HMAC-SHA256"), LITERAL(""), PLAIN, CCE_DIGEST_SHA256,
     LITERAL("x-sdk-content-sha256")},
    {LITERAL("SDK-HMAC-SM3"), LITERAL(""), PLAIN, CCE_DIGEST_SM3,
     LITERAL("x-sdk-content-sm3")},
    {LITERAL("V11-HMAC-SHA256"), LITERAL(""), V11, CCE_DIGEST_SHA256,
     LITERAL("x-sdk-content-sha256")},
    {LITERAL("SDK-HMAC-SHA256"), LITERAL("scoped"), SCOPED, CCE_DIGEST_SHA256,
     LITERAL("x-sdk-content-sha256")},
};

/* One header of the request that is being signed. */
struct entry {
    struct cce_bytes name, value;
    const char *lowered; /* its name in the canonical request */
    bool is_signed;
};

/* The headers that the signer adds unless the caller gave them. */
enum { HOST, DATE, TOKEN, IMPLIED };

static const struct cce_bytes implied_names[IMPLIED] = {
    LITERAL("host"),
    LITERAL("x-sdk-date"),
    LITERAL("x-security-token"),
};

struct implied {
    struct cce_bytes wanted; /* from outside of the headers */
    struct cce_bytes found;  /* the value in the end */
    bool given;              /* it stands among the headers */
};

struct headers {
    struct entry list[ENTRIES_MAX];
    struct entry *sorted[ENTRIES_MAX]; /* by lower-case name */
    size_t count;
    struct implied implied[IMPLIED];
    struct cce_bytes content_hash;
    size_t names_start, names_length; /* in the canonical request */
};

/* Characters of HTTP's tokens (RFC 9110: methods, names of headers), of its
 * headers' values, and of a host with its port. */
enum {
    IN_TOKEN = 1,
    IN_VALUE = 2,
    IN_HOST = 4,
    IS_UPPER = 0x20 /* the bit that a lower-case letter has and this lacks */
};

static const unsigned char classes[256] = {
    ['\t'] = IN_VALUE,
    [' '] = IN_VALUE,
    ['!'] = IN_TOKEN | IN_VALUE,
    ['"'] = IN_VALUE,
    ['#' ... '\''] = IN_TOKEN | IN_VALUE,
    ['(' ... ')'] = IN_VALUE,
    ['*' ... '+'] = IN_TOKEN | IN_VALUE,
    [','] = IN_VALUE,
    ['-' ... '.'] = IN_TOKEN | IN_VALUE | IN_HOST,
    ['/'] = IN_VALUE,
    ['0' ... '9'] = IN_TOKEN | IN_VALUE | IN_HOST,
    [':'] = IN_VALUE | IN_HOST,
    [';' ... '@'] = IN_VALUE,
    ['A' ... 'Z'] = IN_TOKEN | IN_VALUE | IN_HOST | IS_UPPER,
    ['['] = IN_VALUE | IN_HOST,
    ['\\'] = IN_VALUE,
    [']'] = IN_VALUE | IN_HOST,
    ['^'] = IN_TOKEN | IN_VALUE,
    ['_'] = IN_TOKEN | IN_VALUE | IN_HOST,
    ['`'] = IN_TOKEN | IN_VALUE,
    ['a' ... 'z'] = IN_TOKEN | IN_VALUE | IN_HOST,
    ['{'] = IN_VALUE,
    ['|'] = IN_TOKEN | IN_VALUE,
    ['}'] = IN_VALUE,
    ['~'] = IN_TOKEN | IN_VALUE,
    [0x80 ... 0xff] = IN_VALUE,
};

static struct cce_bytes bytes_of(const char *string)
{
    return (struct cce_bytes){string, strlen(string)};
}

static bool same_bytes(struct cce_bytes a, struct cce_bytes b)
{
    return a.length == b.length &&
           (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* ASCII only, in any locale. */
static inline unsigned char lower(char character)
{
    unsigned char byte = (unsigned char)character;

    return byte | (classes[byte] & IS_UPPER);
}

static int compare_names(struct cce_bytes a, struct cce_bytes b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;

    for (size_t i = 0; i < shorter; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return lower(a.data[i]) - lower(b.data[i]);
    return (a.length > b.length) - (a.length < b.length);
}

static inline bool same_name(struct cce_bytes a, struct cce_bytes b)
{
    return a.length == b.length && compare_names(a, b) == 0;
}

/* The fast way of cce_buf_append: a signature is some thirty of them, and the
 * buffer nearly always has the room since the last request. */
static inline void put(struct cce_buf *out, struct cce_bytes bytes)
{
    if (bytes.length >= out->capacity - out->length || out->failed) {
        cce_buf_append(out, bytes.data, bytes.length);
        return;
    }
    if (bytes.length > 0)
        memcpy(out->data + out->length, bytes.data, bytes.length);
    out->length += bytes.length;
    out->data[out->length] = '\0';
}

static inline void put_char(struct cce_buf *out, char character)
{
    put(out, (struct cce_bytes){&character, 1});
}

#define PUT_LITERAL(out, string) put(out, (struct cce_bytes)LITERAL(string))

/* --- what may stand where --- */

static bool all_in(struct cce_bytes bytes, unsigned class)
{
    return bytes.length > 0 && (cce_uri_classes(classes, bytes) & class) != 0;
}

/* No control character but the tab: a CR or LF would begin another header. */
static bool is_value(struct cce_bytes bytes)
{
    return (cce_uri_classes(classes, bytes) & IN_VALUE) != 0;
}

/* Visible ASCII without a comma, which ends a field of Authorization. */
static bool is_credential(struct cce_bytes bytes)
{
    for (size_t i = 0; i < bytes.length; i++)
        if (bytes.data[i] <= ' ' || bytes.data[i] > '~' || bytes.data[i] == ',')
            return false;
    return true;
}

static unsigned two_digits(const char *text)
{
    unsigned tens = (unsigned char)text[0] - '0';
    unsigned ones = (unsigned char)text[1] - '0';

    return tens > 9 || ones > 9 ? 100 : tens * 10 + ones;
}

static unsigned days_of_month(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30,
                                         31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

static bool is_day(const char *text)
{
    unsigned century = two_digits(text), year = two_digits(text + 2);
    unsigned month = two_digits(text + 4), day = two_digits(text + 6);

    if (century > 99 || year > 99 || month < 1 || month > 12)
        return false;
    return day >= 1 && day <= days_of_month(century * 100 + year, month);
}

static bool is_date(struct cce_bytes date)
{
    return date.length == CCE_SIGN_DATE_LENGTH && date.data[8] == 'T' &&
           date.data[15] == 'Z' && is_day(date.data) &&
           two_digits(date.data + 9) < 24 && two_digits(date.data + 11) < 60 &&
           two_digits(date.data + 13) < 60;
}

static int check_date(struct cce_bytes date, struct cce_error *err)
{
    if (is_date(date))
        return 0;
    return cce_fail(err, CCE_INVALID_ARGUMENT,
                    "a date must be a real one, written YYYYMMDDTHHMMSSZ");
}

/* --- making a signer --- */

static const struct cce_sign_algorithm *find_algorithm(struct cce_bytes name,
                                                       struct cce_bytes scheme)
{
    if (name.length == 0)
        name = algorithms[0].name;
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
        if (same_bytes(name, algorithms[i].name) &&
            same_bytes(scheme, algorithms[i].scheme))
            return &algorithms[i];
    return NULL;
}

/* Copies a part of the credential. */
static int set_credential(char *to, size_t maximum, const char *name,
                          struct cce_bytes value, struct cce_error *err)
{
    if (value.length > maximum)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "%s has at most %zu characters, this one has %zu", name,
                        maximum, value.length);
    if (!is_credential(value))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "%s must be visible ASCII without commas and spaces",
                        name);
    if (value.length > 0)
        memcpy(to, value.data, value.length);
    to[value.length] = '\0';
    return 0;
}

static int set_scope(struct cce_signer *signer,
                     const struct cce_sign_options *options,
                     struct cce_error *err)
{
    bool needed = signer->algorithm->layout == V11;

    if (needed && (options->region.length == 0 || options->service.length == 0))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "V11-HMAC-SHA256 needs a region and a service");
    if (set_credential(signer->region, CCE_SIGN_SCOPE_MAX, "region",
                       options->region, err) != 0 ||
        set_credential(signer->service, CCE_SIGN_SCOPE_MAX, "service",
                       options->service, err) != 0)
        return -1;
    if (strchr(signer->region, '/') != NULL ||
        strchr(signer->service, '/') != NULL)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "region and service must not hold a slash");
    return 0;
}

static int set_token(struct cce_signer *signer, struct cce_bytes token,
                     struct cce_error *err)
{
    if (token.length == 0)
        return 0;
    if (!is_credential(token))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "security_token must be visible ASCII without commas "
                        "and spaces");
    return cce_secret_init(&signer->security_token, token, err);
}

/* What every Authorization of the signer begins with. */
static void write_prefix(struct cce_signer *signer)
{
    bool plain = signer->algorithm->layout == PLAIN;
    struct cce_buf prefix;

    cce_buf_init_fixed(&prefix, signer->prefix, sizeof signer->prefix,
                       sizeof signer->prefix - 1);
    put(&prefix, signer->algorithm->name);
    cce_buf_append_string(&prefix, plain ? " Access=" : " Credential=");
    cce_buf_append_string(&prefix, signer->ak);
    cce_buf_append_string(&prefix, plain ? "" : "/");
    signer->prefix_length = prefix.length;
}

static int set_keys(struct cce_signer *signer, struct cce_bytes sk,
                    struct cce_error *err)
{
    if (sk.length == 0)
        return cce_fail(err, CCE_INVALID_ARGUMENT, "sk must not be empty");
    if (cce_digest_init(&signer->digest, signer->algorithm->digest, err) != 0)
        return -1;
    if (signer->algorithm->layout != PLAIN)
        return cce_secret_init(&signer->sk, sk, err);
    return cce_digest_key_set(&signer->key, &signer->digest, sk, err);
}

int cce_sign_init(struct cce_signer *signer,
                  const struct cce_sign_options *options, struct cce_error *err)
{
    signer->algorithm = find_algorithm(options->algorithm, options->scheme);
    if (signer->algorithm == NULL)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "algorithm must be SDK-HMAC-SHA256, SDK-HMAC-SM3 or "
                        "V11-HMAC-SHA256, and scheme \"scoped\" goes with "
                        "SDK-HMAC-SHA256 only");
    cce_buf_init(&signer->canonical, REQUEST_MAX);
    cce_buf_init(&signer->to_sign, REQUEST_MAX);
    cce_buf_init(&signer->authorization, REQUEST_MAX);
    if (options->ak.length == 0)
        return cce_fail(err, CCE_INVALID_ARGUMENT, "ak must not be empty");
    if (set_credential(signer->ak, CCE_SIGN_AK_MAX, "ak", options->ak, err) !=
            0 ||
        set_scope(signer, options, err) != 0 ||
        set_token(signer, options->security_token, err) != 0)
        return -1;
    write_prefix(signer);
    return set_keys(signer, options->sk, err);
}

void cce_sign_cleanup(struct cce_signer *signer)
{
    cce_digest_cleanup(&signer->digest);
    cce_digest_key_cleanup(&signer->key);
    cce_secret_cleanup(&signer->sk);
    cce_secret_cleanup(&signer->security_token);
    cce_buf_cleanup(&signer->canonical);
    cce_buf_cleanup(&signer->to_sign);
    cce_buf_cleanup(&signer->authorization);
    memset(signer, 0, sizeof *signer);
}

const char *cce_sign_algorithm_name(const struct cce_signer *signer)
{
    return signer->algorithm->name.data;
}

static void forget(struct cce_buf *buf)
{
    if (buf->capacity > KEPT_MAX)
        cce_buf_cleanup(buf);
    else if (buf->length > 0 || buf->failed)
        cce_buf_reset(buf);
}

void cce_sign_forget(struct cce_signer *signer)
{
    forget(&signer->canonical);
    forget(&signer->to_sign);
    forget(&signer->authorization);
}

/* --- derived keys --- */

/* "20260102/region/service", with "/sdk_request" in the scoped layout. */
static struct cce_bytes write_scope(const struct cce_signer *signer,
                                    struct cce_bytes date, char *memory)
{
    struct cce_buf scope;

    cce_buf_init_fixed(&scope, memory, SCOPE_MAX, SCOPE_MAX - 1);
    cce_buf_append(&scope, date.data, DAY_LENGTH);
    cce_buf_append_char(&scope, '/');
    cce_buf_append_string(&scope, signer->region);
    cce_buf_append_char(&scope, '/');
    cce_buf_append_string(&scope, signer->service);
    if (signer->algorithm->layout == SCOPED)
        cce_buf_append_string(&scope, "/sdk_request");
    return (struct cce_bytes){memory, scope.length};
}

/* The HMAC key is the hex text of what HKDF gives, not its bytes. */
static int derive_v11(struct cce_signer *signer, struct cce_bytes date,
                      struct cce_error *err)
{
    char memory[SCOPE_MAX], hex[CCE_DIGEST_HEX];
    unsigned char derived[CCE_DIGEST_SIZE];
    int result = cce_digest_hkdf(
        &signer->digest, cce_secret_bytes(&signer->sk), bytes_of(signer->ak),
        write_scope(signer, date, memory), derived, err);

    if (result == 0) {
        cce_digest_hex(derived, hex);
        result = cce_digest_key_set(&signer->key, &signer->digest,
                                    (struct cce_bytes){hex, sizeof hex}, err);
    }
    cce_wipe(derived, sizeof derived);
    cce_wipe(hex, sizeof hex);
    return result;
}

/* link = HMAC(link, part) for every part. */
static int follow_chain(struct cce_signer *signer, struct cce_bytes date,
                        struct cce_bytes first,
                        unsigned char link[CCE_DIGEST_SIZE],
                        struct cce_error *err)
{
    const struct cce_bytes parts[] = {
        {date.data, DAY_LENGTH},
        bytes_of(signer->region),
        bytes_of(signer->service),
        bytes_of("sdk_request"),
    };
    struct cce_bytes key = first;

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (cce_digest_hmac_once(&signer->digest, key, parts[i], link, err))
            return -1;
        key = (struct cce_bytes){(char *)link, CCE_DIGEST_SIZE};
    }
    return 0;
}

static int derive_scoped(struct cce_signer *signer, struct cce_bytes date,
                         struct cce_error *err)
{
    struct cce_bytes sk = cce_secret_bytes(&signer->sk);
    unsigned char link[CCE_DIGEST_SIZE];
    struct cce_bytes derived = {(char *)link, sizeof link};
    struct cce_buf first;
    int result = -1;

    cce_buf_init(&first, CCE_SECRET_MAX + 3);
    cce_buf_append_string(&first, "SDK");
    cce_buf_append(&first, sk.data, sk.length);
    if (first.failed)
        cce_fail_memory(err);
    else if (follow_chain(signer, date,
                          (struct cce_bytes){first.data, first.length}, link,
                          err) == 0)
        result =
            cce_digest_key_set(&signer->key, &signer->digest, derived, err);
    cce_buf_cleanup(&first);
    cce_wipe(link, sizeof link);
    return result;
}

/* Sees to it that signer->key is the one of this date. */
static int choose_key(struct cce_signer *signer, struct cce_bytes date,
                      struct cce_error *err)
{
    enum layout layout = signer->algorithm->layout;
    int result;

    if (layout == PLAIN || memcmp(signer->key_day, date.data, DAY_LENGTH) == 0)
        return 0;
    memset(signer->key_day, 0, DAY_LENGTH);
    result = layout == V11 ? derive_v11(signer, date, err)
                           : derive_scoped(signer, date, err);
    if (result == 0)
        memcpy(signer->key_day, date.data, DAY_LENGTH);
    return result;
}

/* --- the headers of a request --- */

static struct cce_bytes trim(struct cce_bytes value)
{
    while (value.length > 0 && (*value.data == ' ' || *value.data == '\t')) {
        value.data++;
        value.length--;
    }
    while (value.length > 0 && (value.data[value.length - 1] == ' ' ||
                                value.data[value.length - 1] == '\t'))
        value.length--;
    return value;
}

static int fail_header(struct cce_error *err, const char *what,
                       struct cce_bytes name)
{
    int shown = name.length > 64 ? 64 : (int)name.length;

    return cce_fail(err, CCE_INVALID_ARGUMENT, "header %.*s %s", shown,
                    name.data, what);
}

static int check_header(struct cce_bytes name, struct cce_bytes value,
                        struct cce_error *err)
{
    if (!all_in(name, IN_TOKEN))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "a header's name is empty or holds a character that "
                        "HTTP does not allow there");
    if (!is_value(value))
        return fail_header(err, "has a control character in its value", name);
    if (same_name(name, (struct cce_bytes)LITERAL("authorization")))
        return fail_header(err, "is what signing makes: do not give it", name);
    return 0;
}

static void note_header(struct headers *headers, struct cce_bytes name,
                        struct cce_bytes value, struct cce_bytes content_header)
{
    for (size_t i = 0; i < IMPLIED; i++) {
        if (!same_name(name, implied_names[i]))
            continue;
        headers->implied[i].given = true;
        headers->implied[i].found = value;
    }
    if (same_name(name, content_header))
        headers->content_hash = value;
}

static void add_entry(struct headers *headers, struct cce_bytes name,
                      struct cce_bytes value, bool is_signed)
{
    headers->list[headers->count++] =
        (struct entry){.name = name, .value = value, .is_signed = is_signed};
}

static int add_given(struct headers *headers,
                     const struct cce_sign_request *request,
                     struct cce_bytes content_header, struct cce_error *err)
{
    if (request->header_count > CCE_SIGN_HEADERS_MAX)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "a request has at most %d headers, this one has %zu",
                        CCE_SIGN_HEADERS_MAX, request->header_count);
    for (size_t i = 0; i < request->header_count; i++) {
        struct cce_bytes name = request->headers[i].name;
        struct cce_bytes value = trim(request->headers[i].value);

        if (check_header(name, value, err) != 0)
            return -1;
        note_header(headers, name, value, content_header);
        add_entry(headers, name, value,
                  !same_name(name, (struct cce_bytes)LITERAL("user-agent")));
    }
    return 0;
}

/* Host, date and token: each from outside or from the headers, and from both
 * only when they agree. */
static int add_implied(struct headers *headers, struct cce_bytes default_date,
                       struct cce_error *err)
{
    struct implied *date = &headers->implied[DATE];

    if (!date->given && date->wanted.length == 0)
        date->wanted = default_date;
    for (size_t i = 0; i < IMPLIED; i++) {
        struct implied *implied = &headers->implied[i];

        if (!implied->given) {
            implied->found = implied->wanted;
            if (implied->found.length > 0)
                add_entry(headers, implied_names[i], implied->found, true);
        } else if (implied->wanted.length > 0 &&
                   !same_bytes(implied->wanted, implied->found)) {
            return fail_header(err, "is given twice, with different values",
                               implied_names[i]);
        }
    }
    return 0;
}

/* By insertion: there are a handful. */
static int sort_entries(struct headers *headers, struct cce_error *err)
{
    struct entry **sorted = headers->sorted;

    for (size_t i = 0; i < headers->count; i++) {
        struct entry *entry = &headers->list[i];
        size_t at = i;
        int order = 1;

        while (at > 0 &&
               (order = compare_names(entry->name, sorted[at - 1]->name)) < 0) {
            sorted[at] = sorted[at - 1];
            at--;
        }
        if (order == 0)
            return fail_header(err, "is given twice", entry->name);
        sorted[at] = entry;
    }
    return 0;
}

static struct entry *find_entry(struct headers *headers, struct cce_bytes name)
{
    for (size_t i = 0; i < headers->count; i++)
        if (same_name(headers->list[i].name, name))
            return &headers->list[i];
    return NULL;
}

static int mark_signed(struct headers *headers, struct cce_bytes name,
                       struct cce_error *err)
{
    struct entry *entry;

    if (!all_in(name, IN_TOKEN))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "signed_headers has a name that is no header's");
    entry = find_entry(headers, name);
    if (entry == NULL)
        return fail_header(err, "is in signed_headers but is not sent", name);
    if (entry->is_signed)
        return fail_header(err, "stands twice in signed_headers", name);
    entry->is_signed = true;
    return 0;
}

static int choose_signed(struct headers *headers,
                         const struct cce_sign_request *request,
                         struct cce_error *err)
{
    if (request->signed_headers == NULL)
        return 0;
    for (size_t i = 0; i < headers->count; i++)
        headers->list[i].is_signed = false;
    for (size_t i = 0; i < request->signed_count; i++)
        if (mark_signed(headers, request->signed_headers[i], err) != 0)
            return -1;
    if (!find_entry(headers, implied_names[DATE])->is_signed)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "signed_headers must name X-Sdk-Date: gateways refuse "
                        "a request whose date is not signed");
    return 0;
}

static int check_request(const struct cce_sign_request *request,
                         const struct headers *headers, struct cce_error *err)
{
    if (!all_in(request->method, IN_TOKEN))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "method must be a word like GET");
    if (headers->implied[HOST].found.length == 0)
        return cce_fail(err, CCE_INVALID_ARGUMENT, "the request has no host");
    if (!all_in(headers->implied[HOST].found, IN_HOST))
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "host must be a name or an address, with a port or "
                        "without, and nothing else");
    if (request->path.length > 0 && request->path.data[0] != '/')
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "path must begin with a slash");
    if (request->query_count > CCE_SIGN_QUERY_MAX)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "a query has at most %d parameters, this one has %zu",
                        CCE_SIGN_QUERY_MAX, request->query_count);
    return check_date(headers->implied[DATE].found, err);
}

static int resolve_headers(const struct cce_signer *signer,
                           const struct cce_sign_request *request,
                           struct headers *headers, struct cce_error *err)
{
    headers->content_hash = (struct cce_bytes){NULL, 0};
    headers->implied[HOST] = (struct implied){.wanted = request->host};
    headers->implied[DATE] = (struct implied){.wanted = request->date};
    headers->implied[TOKEN] =
        (struct implied){.wanted = cce_secret_bytes(&signer->security_token)};
    if (add_given(headers, request, signer->algorithm->content_header, err) ||
        add_implied(headers, request->default_date, err) != 0 ||
        check_request(request, headers, err) != 0 ||
        sort_entries(headers, err) != 0)
        return -1;
    return choose_signed(headers, request, err);
}

/* --- the stages --- */

/* "name:value\n" */
static char *write_header(char *to, struct entry *entry)
{
    const char *name = entry->name.data;

    entry->lowered = to;
    for (size_t i = 0; i < entry->name.length; i++)
        *to++ = (char)lower(name[i]);
    *to++ = ':';
    if (entry->value.length > 0)
        memcpy(to, entry->value.data, entry->value.length);
    to += entry->value.length;
    *to++ = '\n';
    return to;
}

/* "name;" */
static char *write_name(char *to, const struct entry *entry)
{
    memcpy(to, entry->lowered, entry->name.length);
    to += entry->name.length;
    *to++ = ';';
    return to;
}

/* What append_headers writes at most. */
static size_t headers_size(const struct headers *headers)
{
    size_t size = 1;

    for (size_t i = 0; i < headers->count; i++)
        size += 2 * headers->list[i].name.length +
                headers->list[i].value.length + 3;
    return size;
}

/* The headers, an empty line, and their names on a line. */
static void append_headers(struct cce_buf *out, struct headers *headers)
{
    char *room = cce_buf_reserve(out, headers_size(headers));
    char *to = room, *names;

    if (room == NULL)
        return;
    for (size_t i = 0; i < headers->count; i++)
        if (headers->sorted[i]->is_signed)
            to = write_header(to, headers->sorted[i]);
    *to++ = '\n';
    names = to;
    for (size_t i = 0; i < headers->count; i++)
        if (headers->sorted[i]->is_signed)
            to = write_name(to, headers->sorted[i]);
    to[-1] = '\n'; /* at least X-Sdk-Date is signed, so that was a ';' */
    headers->names_start = out->length + (size_t)(names - room);
    headers->names_length = (size_t)(to - names) - 1;
    cce_buf_commit(out, (size_t)(to - room));
}

static int append_hash(struct cce_signer *signer, struct cce_buf *out,
                       struct cce_bytes data, struct cce_error *err)
{
    unsigned char hash[CCE_DIGEST_SIZE];
    char hex[CCE_DIGEST_HEX];

    if (cce_digest_hash(&signer->digest, data, hash, err) != 0)
        return -1;
    cce_digest_hex(hash, hex);
    put(out, (struct cce_bytes){hex, sizeof hex});
    return 0;
}

static int finish(struct cce_buf *out, struct cce_bytes *bytes,
                  struct cce_error *err)
{
    if (out->too_long || out->length > REQUEST_MAX)
        return cce_fail(err, CCE_INVALID_ARGUMENT,
                        "the request to sign is larger than %d bytes",
                        REQUEST_MAX);
    if (out->failed)
        return cce_fail_memory(err);
    *bytes = (struct cce_bytes){out->data, out->length};
    return 0;
}

static int build_canonical(struct cce_signer *signer,
                           const struct cce_sign_request *request,
                           struct headers *headers,
                           struct cce_sign_result *result,
                           struct cce_error *err)
{
    struct cce_buf *out = &signer->canonical;

    put(out, request->method);
    put_char(out, '\n');
    cce_uri_append_canonical_path(out, request->path);
    put_char(out, '\n');
    if (request->query_count > 0) {
        cce_uri_sort_query(request->query, request->query_count);
        cce_uri_append_query(out, request->query, request->query_count);
    }
    put_char(out, '\n');
    append_headers(out, headers);
    if (headers->content_hash.length > 0)
        put(out, headers->content_hash);
    else if (append_hash(signer, out, request->body, err) != 0)
        return -1;
    return finish(out, &result->canonical_request, err);
}

static int build_string(struct cce_signer *signer, struct cce_bytes date,
                        struct cce_bytes canonical_request,
                        struct cce_sign_result *result, struct cce_error *err)
{
    struct cce_buf *out = &signer->to_sign;
    char memory[SCOPE_MAX];

    put(out, signer->algorithm->name);
    put_char(out, '\n');
    put(out, date);
    put_char(out, '\n');
    if (signer->algorithm->layout != PLAIN) {
        struct cce_bytes scope = write_scope(signer, date, memory);

        put(out, scope);
        put_char(out, '\n');
    }
    if (append_hash(signer, out, canonical_request, err) != 0)
        return -1;
    return finish(out, &result->string_to_sign, err);
}

static int compute_signature(struct cce_signer *signer, struct cce_bytes date,
                             struct cce_bytes string_to_sign,
                             struct cce_sign_result *result,
                             struct cce_error *err)
{
    unsigned char mac[CCE_DIGEST_SIZE];

    if (choose_key(signer, date, err) != 0 ||
        cce_digest_hmac(&signer->digest, &signer->key, string_to_sign, mac,
                        err) != 0)
        return -1;
    cce_digest_hex(mac, result->signature);
    result->signature[CCE_DIGEST_HEX] = '\0';
    return 0;
}

static int build_authorization(struct cce_signer *signer, struct cce_bytes date,
                               const struct headers *headers,
                               struct cce_sign_result *result,
                               struct cce_error *err)
{
    struct cce_buf *out = &signer->authorization;
    char memory[SCOPE_MAX];

    put(out, (struct cce_bytes){signer->prefix, signer->prefix_length});
    if (signer->algorithm->layout != PLAIN)
        put(out, write_scope(signer, date, memory));
    PUT_LITERAL(out, ", SignedHeaders=");
    put(out, (struct cce_bytes){signer->canonical.data + headers->names_start,
                                headers->names_length});
    PUT_LITERAL(out, ", Signature=");
    put(out, (struct cce_bytes){result->signature, CCE_DIGEST_HEX});
    return finish(out, &result->authorization, err);
}

static void fill_implied(struct cce_sign_result *result,
                         const struct headers *headers)
{
    memcpy(result->date, headers->implied[DATE].found.data,
           CCE_SIGN_DATE_LENGTH);
    result->date[CCE_SIGN_DATE_LENGTH] = '\0';
    result->host_given = headers->implied[HOST].given;
    result->date_given = headers->implied[DATE].given;
    result->token_given = headers->implied[TOKEN].given;
}

static int prepare(struct cce_signer *signer,
                   const struct cce_sign_request *request,
                   struct headers *headers, struct cce_sign_result *result,
                   struct cce_error *err)
{
    cce_sign_forget(signer);
    if (resolve_headers(signer, request, headers, err) != 0)
        return -1;
    fill_implied(result, headers);
    return build_canonical(signer, request, headers, result, err);
}

int cce_sign_canonical(struct cce_signer *signer,
                       const struct cce_sign_request *request,
                       struct cce_sign_result *result, struct cce_error *err)
{
    struct headers headers;

    headers.count = 0;
    return prepare(signer, request, &headers, result, err);
}

int cce_sign_string(struct cce_signer *signer, struct cce_bytes date,
                    struct cce_bytes canonical_request,
                    struct cce_sign_result *result, struct cce_error *err)
{
    cce_sign_forget(signer);
    if (check_date(date, err) != 0)
        return -1;
    return build_string(signer, date, canonical_request, result, err);
}

int cce_sign_signature(struct cce_signer *signer, struct cce_bytes date,
                       struct cce_bytes string_to_sign,
                       struct cce_sign_result *result, struct cce_error *err)
{
    if (check_date(date, err) != 0)
        return -1;
    return compute_signature(signer, date, string_to_sign, result, err);
}

int cce_sign_request(struct cce_signer *signer,
                     const struct cce_sign_request *request,
                     struct cce_sign_result *result, struct cce_error *err)
{
    struct headers headers;
    struct cce_bytes date;

    headers.count = 0;
    if (prepare(signer, request, &headers, result, err) != 0)
        return -1;
    date = headers.implied[DATE].found;
    if (build_string(signer, date, result->canonical_request, result, err) ||
        compute_signature(signer, date, result->string_to_sign, result, err))
        return -1;
    return build_authorization(signer, date, &headers, result, err);
}

/* --- dates --- */

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

int cce_sign_format_date(int64_t seconds, char date[CCE_SIGN_DATE_LENGTH + 1],
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
