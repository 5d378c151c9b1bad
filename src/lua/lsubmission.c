#include "lua/lsubmission.h"

#include "core/base64.h"
#include "core/field.h"
#include "lua/lsecret.h"
#include "lua/lsign.h"
#include "lua/lutil.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MAX_METHOD = 15,
    MAX_URL = 16 * 1024,
    MAX_PEM = 1024 * 1024,
    MAX_BODY = 16 * 1024 * 1024
};

/* ---- a request, read from its option table ---- */

static struct cce_bytes bytes_of(lua_State *L, int index)
{
    struct cce_bytes bytes;

    bytes.data = lua_tolstring(L, index, &bytes.length);
    return bytes;
}

static struct cce_bytes bytes_of_literal(const char *string)
{
    struct cce_bytes bytes = {string, strlen(string)};

    return bytes;
}

static void read_method(lua_State *L, struct lcce_submission *s)
{
    const char *method = lcce_option_string(L, "method");
    size_t length = strlen(method);

    if (length == 0 || length > MAX_METHOD ||
        strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != length)
        lcce_option_error(L, "method", "capital letters expected");
    s->method = bytes_of(L, -1);
}

static void read_endpoint(lua_State *L, struct lcce_submission *s)
{
    s->endpoint_text = lcce_option_string(L, "endpoint");
}

static void read_path(lua_State *L, struct lcce_submission *s)
{
    lcce_option_string(L, "path");
    s->path = bytes_of(L, -1);
}

static void read_body_parts(lua_State *L, struct lcce_submission *s)
{
    size_t count = lua_rawlen(L, -1);

    if (count == 0 || count > LCCE_MAX_PARTS)
        lcce_option_error(L, "body",
                          "a string expected, or a list of 1 to %d parts",
                          LCCE_MAX_PARTS);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        s->parts[i].is_secret = lua_isuserdata(L, -1);
        s->parts[i].bytes = lcce_option_secret(L, "body");
        lua_pop(L, 1);
    }
    s->part_count = count;
    s->has_body = true;
}

static void read_body(lua_State *L, struct lcce_submission *s)
{
    if (lua_istable(L, -1)) {
        read_body_parts(L, s);
        return;
    }
    if (lua_type(L, -1) != LUA_TSTRING)
        lcce_option_error(L, "body", "string expected, got %s",
                          luaL_typename(L, -1));
    s->body = bytes_of(L, -1);
    s->has_body = true;
}

static void read_mutating(lua_State *L, struct lcce_submission *s)
{
    s->mutating = lcce_option_boolean(L, "mutating");
}

static void read_private(lua_State *L, struct lcce_submission *s)
{
    s->is_private = lcce_option_boolean(L, "private");
}

static void read_purpose(lua_State *L, struct lcce_submission *s)
{
    const char *purpose = lcce_option_string(L, "purpose");

    if (strcmp(purpose, "metadata") == 0)
        s->purpose = CCE_PURPOSE_METADATA;
    else if (strcmp(purpose, "pod") == 0)
        s->purpose = CCE_PURPOSE_POD;
    else
        lcce_option_error(L, "purpose", "metadata or pod");
}

static void read_connect_timeout(lua_State *L, struct lcce_submission *s)
{
    s->connect_timeout = lcce_option_number(L, "connect_timeout");
    if (!(s->connect_timeout >= 0.001 && s->connect_timeout <= 3600))
        lcce_option_error(L, "connect_timeout", "from 0.001 to 3600 seconds");
}

static void read_timeout(lua_State *L, struct lcce_submission *s)
{
    s->timeout = lcce_option_number(L, "timeout");
    if (!(s->timeout >= 0.001 && s->timeout <= 86400))
        lcce_option_error(L, "timeout", "from 0.001 to 86400 seconds");
}

static void read_depart_within(lua_State *L, struct lcce_submission *s)
{
    s->depart_within = lcce_option_number(L, "depart_within");
    if (!(s->depart_within > 0 && s->depart_within <= 86400))
        lcce_option_error(L, "depart_within", "above 0, to 86400 seconds");
}

static void read_max_response(lua_State *L, struct lcce_submission *s)
{
    s->max_response = lcce_option_number(L, "max_response");
    if (!(s->max_response >= 1 && s->max_response <= 1 << 30))
        lcce_option_error(L, "max_response", "from 1 to 1073741824 bytes");
}

static void read_date(lua_State *L, struct lcce_submission *s)
{
    s->now = lcce_option_number(L, "date");
    if (!(s->now >= 0 && s->now < 1e15))
        lcce_option_error(L, "date", "unix seconds expected");
}

static void read_signer(lua_State *L, struct lcce_submission *s)
{
    s->signer = lcce_check_signer(L, lua_gettop(L));
}

static void read_token(lua_State *L, struct lcce_submission *s)
{
    s->token = lcce_option_secret(L, "token");
}

static bool visit_identity(lua_State *L, const char *key, void *context)
{
    struct lcce_submission *s = context;

    if (strcmp(key, "ca") == 0)
        s->ca = lcce_option_secret(L, key);
    else if (strcmp(key, "certificate") == 0)
        s->certificate = lcce_option_secret(L, key);
    else if (strcmp(key, "key") == 0)
        s->key = lcce_option_secret(L, key);
    else
        return false;
    return true;
}

static void read_identity(lua_State *L, struct lcce_submission *s)
{
    lcce_options(L, lua_gettop(L), visit_identity, s);
    if (s->certificate.length == 0 || s->key.length == 0)
        lcce_option_error(L, "identity", "it needs certificate and key");
    s->has_identity = true;
}

static void read_query(lua_State *L, struct lcce_submission *s)
{
    size_t count = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;

    if (!lua_istable(L, -1) || count > LCCE_MAX_QUERY)
        lcce_option_error(L, "query", "a list of at most %d {name, value}",
                          LCCE_MAX_QUERY);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        luaL_checktype(L, -1, LUA_TTABLE);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            lcce_option_error(L, "query", "names and values are strings");
        s->query[i].name = bytes_of(L, -2);
        s->query[i].value = bytes_of(L, -1);
        lua_pop(L, 3);
    }
    s->query_count = count;
}

static bool visit_header(lua_State *L, const char *key, void *context)
{
    struct lcce_submission *s = context;

    if (s->header_count >= LCCE_MAX_HEADERS)
        luaL_error(L, "more than %d headers", LCCE_MAX_HEADERS);
    if (!lua_isuserdata(L, -1))
        lcce_option_string(L, key);
    s->headers[s->header_count].name = bytes_of(L, -2);
    s->headers[s->header_count].value = lcce_option_secret(L, key);
    s->header_count++;
    return true;
}

static void read_headers(lua_State *L, struct lcce_submission *s)
{
    lcce_options(L, lua_gettop(L), visit_header, s);
}

/* What core.operation adds for its reader. */
static void read_nothing(lua_State *L, struct lcce_submission *s)
{
    (void)L;
    (void)s;
}

static const struct {
    const char *name;
    void (*read)(lua_State *L, struct lcce_submission *s);
} submission_options[] = {
    {"method", read_method},     {"endpoint", read_endpoint},
    {"path", read_path},         {"query", read_query},
    {"headers", read_headers},   {"body", read_body},
    {"signer", read_signer},     {"token", read_token},
    {"date", read_date},         {"mutating", read_mutating},
    {"timeout", read_timeout},   {"max_response", read_max_response},
    {"operation", read_nothing}, {"private", read_private},
    {"purpose", read_purpose},   {"connect_timeout", read_connect_timeout},
    {"identity", read_identity}, {"depart_within", read_depart_within},
};

static bool visit_submission(lua_State *L, const char *key, void *context)
{
    size_t count = sizeof submission_options / sizeof submission_options[0];

    for (size_t i = 0; i < count; i++) {
        if (strcmp(key, submission_options[i].name) == 0) {
            submission_options[i].read(L, context);
            return true;
        }
    }
    return false;
}

void lcce_submission_read(lua_State *L, int index, struct lcce_submission *s)
{
    memset(s, 0, sizeof *s);
    s->now = (double)time(NULL);
    lcce_options(L, index, visit_submission, s);
    if (s->endpoint_text == NULL || s->method.data == NULL ||
        s->path.data == NULL)
        luaL_error(L, "a request needs endpoint, method and path");
    if (s->signer != NULL && s->token.data != NULL)
        luaL_error(L, "a request has a signer or a token, not both");
}

/* ---- from there to the wire; no Lua, nothing raises ---- */

static void add_header(struct lcce_submission *s, const char *name,
                       struct cce_bytes value)
{
    s->headers[s->header_count].name = bytes_of_literal(name);
    s->headers[s->header_count].value = value;
    s->header_count++;
}

/* A line break in a header would be a header of its own. */
static int check_headers(const struct lcce_submission *s, struct cce_error *err)
{
    for (size_t i = 0; i < s->header_count; i++) {
        const struct cce_pair *header = &s->headers[i];

        if (memchr(header->value.data, '\r', header->value.length) != NULL ||
            memchr(header->value.data, '\n', header->value.length) != NULL ||
            strcspn(header->name.data, "\r\n: ") != header->name.length ||
            header->name.length == 0)
            return cce_fail(err, CCE_INVALID_ARGUMENT,
                            "a header's name or value has a line break");
    }
    return 0;
}

/* The endpoint's own path precedes the request's, signed and sent alike. */
static int write_path(struct cce_buf *path, const struct lcce_submission *s,
                      struct cce_error *err)
{
    cce_buf_append_string(path, s->endpoint.path);
    cce_buf_append(path, s->path.data, s->path.length);
    if (path->failed)
        return cce_fail(err, CCE_INVALID_ARGUMENT, "the path is too long");
    return 0;
}

static int sign_submission(struct lcce_submission *s, struct cce_bytes path,
                           struct cce_error *err)
{
    struct cce_sign_request request = {0};
    struct cce_sign_result result;

    if (cce_date_format((int64_t)s->now, s->date, err) != 0)
        return -1;
    request.method = s->method;
    request.host = bytes_of_literal(s->endpoint.host);
    request.path = path;
    request.body = s->body;
    request.date = bytes_of_literal(s->date);
    request.query = s->query;
    request.query_count = s->query_count;
    request.headers = s->headers;
    request.header_count = s->header_count;
    if (cce_sign_request(s->signer, &request, &s->signing, &result, err) != 0)
        return -1;
    add_header(s, "X-Sdk-Date", bytes_of_literal(s->date));
    if (s->signer->security_token.length > 0)
        add_header(s, "X-Security-Token",
                   cce_secret_bytes(&s->signer->security_token));
    add_header(s, "Authorization", result.authorization);
    return 0;
}

static int authorize(struct lcce_submission *s, struct cce_bytes path,
                     struct cce_error *err)
{
    if (s->token.data != NULL)
        add_header(s, "X-Auth-Token", s->token);
    if (check_headers(s, err) != 0)
        return -1;
    if (s->signer != NULL && sign_submission(s, path, err) != 0)
        return -1;
    add_header(s, "Host", bytes_of_literal(s->endpoint.host));
    return 0;
}

static int write_url(struct cce_buf *url, struct lcce_submission *s,
                     struct cce_bytes path, struct cce_error *err)
{
    cce_buf_append_string(url, s->endpoint.origin);
    cce_uri_append_path(url, path);
    if (s->query_count > 0) {
        cce_buf_append_char(url, '?');
        cce_uri_sort_query(s->query, s->query_count);
        cce_uri_append_query(url, s->query, s->query_count);
    }
    if (url->failed)
        return cce_fail(err, CCE_INVALID_ARGUMENT, "the address is too long");
    return 0;
}

/* What was acquired when something fails lies in `to` and is collected. */
static int launch(const struct lcce_engine_box *box,
                  const struct cce_request *request,
                  struct lcce_transfer_box *to, struct cce_error *err)
{
    if (box->thread != NULL)
        return cce_thread_submit(box->thread, request, &to->job, err);
    if (cce_transfer_new(&to->transfer, request, err) != 0)
        return -1;
    return cce_engine_start(box->engine, to->transfer, err);
}

/* PEM as it is, or its Base64, which is what a kubeconfig holds. */
static int read_pem(struct cce_buf *pem, struct cce_bytes text,
                    struct cce_error *err)
{
    static const char begin[] = "-----BEGIN ";

    cce_buf_init(pem, MAX_PEM);
    if (text.length == 0)
        return 0;
    if (memmem(text.data, text.length, begin, strlen(begin)) == NULL)
        return cce_base64_decode(text.data, text.length, pem, err);
    cce_buf_append(pem, text.data, text.length);
    return pem->failed ? cce_fail_memory(err) : 0;
}

static struct cce_pem pem_of(const struct cce_buf *buffer)
{
    struct cce_pem pem = {buffer->data, buffer->length};

    return pem;
}

static int launch_as(const struct lcce_engine_box *box,
                     const struct lcce_submission *s,
                     struct cce_request *request, struct lcce_transfer_box *to,
                     struct cce_error *err)
{
    struct cce_buf ca = {0}, certificate = {0}, key = {0};
    struct cce_identity identity;
    int result = -1;

    if (read_pem(&ca, s->ca, err) == 0 &&
        read_pem(&certificate, s->certificate, err) == 0 &&
        read_pem(&key, s->key, err) == 0) {
        identity.ca = pem_of(&ca);
        identity.certificate = pem_of(&certificate);
        identity.key = pem_of(&key);
        request->identity = &identity;
        result = launch(box, request, to, err);
        request->identity = NULL;
    }
    cce_buf_cleanup(&ca);
    cce_buf_cleanup(&certificate);
    cce_buf_cleanup(&key);
    return result;
}

static int start(const struct lcce_engine_box *box,
                 const struct lcce_submission *s, const char *url,
                 struct lcce_transfer_box *to, struct cce_error *err)
{
    struct cce_header headers[LCCE_MAX_HEADERS + 5];
    struct cce_request request = {0};

    for (size_t i = 0; i < s->header_count; i++) {
        headers[i].name = s->headers[i].name.data;
        headers[i].value = s->headers[i].value.data;
    }
    request.method = s->method.data;
    request.url = url;
    request.headers = headers;
    request.header_count = s->header_count;
    request.body = s->has_body ? s->body.data : NULL;
    request.body_length = s->body.length;
    request.mutating = s->mutating;
    request.direct = s->endpoint.loopback || s->purpose != CCE_PURPOSE_API;
    request.is_private = s->is_private;
    request.connect_timeout_ms = (long)(s->connect_timeout * 1000);
    request.timeout_ms = (long)(s->timeout * 1000);
    request.depart_within = s->depart_within;
    request.max_response = (size_t)s->max_response;
    return s->has_identity ? launch_as(box, s, &request, to, err)
                           : launch(box, &request, to, err);
}

static int write_body(struct cce_buf *body, struct lcce_submission *s,
                      struct cce_error *err)
{
    for (size_t i = 0; i < s->part_count; i++) {
        const struct lcce_body_part *part = &s->parts[i];

        if (part->is_secret)
            cce_field_append_json(body, part->bytes);
        else
            cce_buf_append(body, part->bytes.data, part->bytes.length);
    }
    if (body->failed)
        return cce_fail(err, CCE_INVALID_ARGUMENT, "the body is too long");
    if (s->part_count > 0) {
        s->body.data = body->data;
        s->body.length = body->length;
    }
    return 0;
}

int lcce_submission_start(const struct lcce_engine_box *box,
                          struct lcce_submission *s,
                          struct lcce_transfer_box *to, struct cce_error *err)
{
    char path_memory[512], url_memory[1024];
    struct cce_buf path, url, body;
    struct cce_bytes whole_path;
    int result = -1;

    cce_buf_init_fixed(&path, path_memory, sizeof path_memory, MAX_URL);
    cce_buf_init_fixed(&url, url_memory, sizeof url_memory, MAX_URL);
    cce_buf_init(&body, MAX_BODY);
    cce_sign_work_init(&s->signing);
    if (cce_endpoint_parse(s->purpose, &s->endpoint, s->endpoint_text, err) !=
            0 ||
        write_path(&path, s, err) != 0 || write_body(&body, s, err) != 0)
        goto done;
    whole_path.data = path.data;
    whole_path.length = path.length;
    if (authorize(s, whole_path, err) == 0 &&
        write_url(&url, s, whole_path, err) == 0)
        result = start(box, s, url.data, to, err);
done:
    cce_sign_work_cleanup(&s->signing);
    cce_buf_cleanup(&path);
    cce_buf_cleanup(&url);
    cce_buf_cleanup(&body);
    return result;
}
