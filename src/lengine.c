/*
 * lengine: core.engine, what it carries (core.transfer), and how a request of
 * core.operation becomes one on the wire: address, headers, signature.
 */
#include "base64.h"
#include "core.h"
#include "endpoint.h"
#include "engine.h"
#include "engine_thread.h"
#include "field.h"
#include "lsecret.h"
#include "lsign.h"
#include "lutil.h"
#include "sign.h"

#include <ctype.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define ENGINE   "cce.engine"
#define TRANSFER "cce.transfer"

enum {
    MAX_HEADERS = 32,
    MAX_METHOD = 15,
    MAX_QUERY = 64,
    MAX_URL = 16 * 1024,
    MAX_PARTS = 16,
    MAX_PEM = 1024 * 1024,
    MAX_BODY = 16 * 1024 * 1024,
    MAX_ENGINES = 1024,
    STEP_MS = 100 /* a signal is noticed after so long at the latest */
};

/* One of the two: driven by the caller, or by a thread of its own. */
struct engine_box {
    struct cce_engine *engine;
    struct cce_thread *thread;
};

/* The same two kinds. */
struct transfer_box {
    struct cce_transfer *transfer;
    struct cce_job *job;
};

static struct engine_box *check_engine(lua_State *L, int index)
{
    struct engine_box *box = luaL_checkudata(L, index, ENGINE);

    luaL_argcheck(L, box->engine != NULL || box->thread != NULL, index,
                  "the engine is closed");
    return box;
}

/* For what only the caller of an engine without a thread does. */
static struct cce_engine *check_driven(lua_State *L, int index)
{
    struct engine_box *box = check_engine(L, index);

    luaL_argcheck(L, box->engine != NULL, index,
                  "the engine has a thread that drives it");
    return box->engine;
}

static struct cce_thread *check_threaded(lua_State *L, int index)
{
    struct engine_box *box = check_engine(L, index);

    luaL_argcheck(L, box->thread != NULL, index, "the engine has no thread");
    return box->thread;
}

static struct transfer_box *check_transfer(lua_State *L, int index)
{
    struct transfer_box *box = luaL_checkudata(L, index, TRANSFER);

    luaL_argcheck(L, box->transfer != NULL || box->job != NULL, index,
                  "the transfer is closed");
    return box;
}

static bool is_finished(const struct transfer_box *box)
{
    return box->job != NULL ? cce_job_is_finished(box->job)
                            : cce_transfer_is_finished(box->transfer);
}

static int l_engine_close(lua_State *L)
{
    struct engine_box *box = luaL_checkudata(L, 1, ENGINE);
    struct engine_box closing = *box;

    memset(box, 0, sizeof *box);
    cce_engine_free(closing.engine);
    cce_thread_free(closing.thread);
    return 0;
}

static int l_transfer_close(lua_State *L)
{
    struct transfer_box *box = luaL_checkudata(L, 1, TRANSFER);
    struct transfer_box closing = *box;

    memset(box, 0, sizeof *box);
    cce_transfer_free(closing.transfer);
    cce_job_free(closing.job);
    return 0;
}

/* ---- core.engine{…} ---- */

enum option_type { OPTION_STRING, OPTION_COUNT, OPTION_SECONDS, OPTION_MS };

static const struct engine_option {
    const char *name;
    enum option_type type;
    size_t offset;
} engine_options[] = {
    {"ca_file", OPTION_STRING, offsetof(struct cce_engine_options, ca_file)},
    {"proxy", OPTION_STRING, offsetof(struct cce_engine_options, proxy)},
    {"no_proxy", OPTION_STRING, offsetof(struct cce_engine_options, no_proxy)},
    {"user_agent", OPTION_STRING,
     offsetof(struct cce_engine_options, user_agent)},
    {"max_connections", OPTION_COUNT,
     offsetof(struct cce_engine_options, max_connections)},
    {"max_idle", OPTION_SECONDS,
     offsetof(struct cce_engine_options, max_idle_seconds)},
    {"connect_timeout", OPTION_MS,
     offsetof(struct cce_engine_options, connect_timeout_ms)},
};

/* A positive number that a long holds, after scaling. */
static long option_positive(lua_State *L, const char *name, double scale)
{
    double value = lcce_option_number(L, name) * scale;

    if (!(value >= 1 && value <= 2147483647))
        lcce_option_error(L, name, "out of range");
    return (long)value;
}

struct engine_settings {
    struct cce_engine_options options;
    bool threaded;
};

static bool visit_engine_option(lua_State *L, const char *key, void *context)
{
    struct engine_settings *settings = context;
    size_t count = sizeof engine_options / sizeof engine_options[0];

    if (strcmp(key, "threaded") == 0) {
        settings->threaded = lcce_option_boolean(L, key);
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        const struct engine_option *option = &engine_options[i];
        char *field = (char *)&settings->options + option->offset;

        if (strcmp(key, option->name) != 0)
            continue;
        if (option->type == OPTION_STRING)
            *(const char **)field = lcce_option_string(L, key);
        else
            *(long *)field =
                option_positive(L, key, option->type == OPTION_MS ? 1000 : 1);
        return true;
    }
    return false;
}

/* The engine's uservalue is {engine, transfers = {[pointer] = transfer}} with
 * weak values there. Each transfer has the same one: it keeps its engine, but
 * the engine does not keep it, so that a call that nobody waits for ends. */
static void make_uservalue(lua_State *L)
{
    lua_newtable(L);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, 1);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "transfers");
    lcce_setuservalue(L, -2);
}

static int l_engine_new(lua_State *L)
{
    struct engine_settings settings = {0};
    struct cce_error err;
    struct engine_box *box;
    int result;

    if (!lua_isnoneornil(L, 1))
        lcce_options(L, 1, visit_engine_option, &settings);
    box = lcce_newobject(L, ENGINE, sizeof *box);
    make_uservalue(L);
    result = settings.threaded
                 ? cce_thread_new(&box->thread, &settings.options, &err)
                 : cce_engine_new(&box->engine, &settings.options, &err);
    return result == 0 ? 1 : lcce_fail(L, &err);
}

/* ---- a request, read from its option table ---- */

/* A body may be a list of strings, which are sent as they are, and secrets,
 * which are sent as strings of JSON: so no Lua string ever holds them. */
struct body_part {
    struct cce_bytes bytes;
    bool is_secret;
};

struct submission {
    struct cce_endpoint endpoint;
    enum cce_purpose purpose;
    struct body_part parts[MAX_PARTS];
    size_t part_count;
    struct cce_bytes method, path, body, token;
    const char *endpoint_text;
    bool has_body, mutating, is_private, has_identity;
    struct cce_bytes ca, certificate, key;
    struct cce_signer *signer;
    char date[CCE_SIGN_DATE_LENGTH + 1];
    double timeout, connect_timeout, max_response, now;
    struct cce_pair query[MAX_QUERY];
    size_t query_count;
    struct cce_pair headers[MAX_HEADERS + 5];
    size_t header_count;
};

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

static void read_method(lua_State *L, struct submission *s)
{
    const char *method = lcce_option_string(L, "method");
    size_t length = strlen(method);

    if (length == 0 || length > MAX_METHOD ||
        strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != length)
        lcce_option_error(L, "method", "capital letters expected");
    s->method = bytes_of(L, -1);
}

static void read_endpoint(lua_State *L, struct submission *s)
{
    s->endpoint_text = lcce_option_string(L, "endpoint");
}

static void read_path(lua_State *L, struct submission *s)
{
    lcce_option_string(L, "path");
    s->path = bytes_of(L, -1);
}

static void read_body_parts(lua_State *L, struct submission *s)
{
    size_t count = lua_rawlen(L, -1);

    if (count == 0 || count > MAX_PARTS)
        lcce_option_error(L, "body",
                          "a string expected, or a list of 1 to %d parts",
                          MAX_PARTS);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        s->parts[i].is_secret = lua_isuserdata(L, -1);
        s->parts[i].bytes = lcce_option_secret(L, "body");
        lua_pop(L, 1);
    }
    s->part_count = count;
    s->has_body = true;
}

static void read_body(lua_State *L, struct submission *s)
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

static void read_mutating(lua_State *L, struct submission *s)
{
    s->mutating = lcce_option_boolean(L, "mutating");
}

static void read_private(lua_State *L, struct submission *s)
{
    s->is_private = lcce_option_boolean(L, "private");
}

static void read_purpose(lua_State *L, struct submission *s)
{
    const char *purpose = lcce_option_string(L, "purpose");

    if (strcmp(purpose, "metadata") == 0)
        s->purpose = CCE_PURPOSE_METADATA;
    else if (strcmp(purpose, "pod") == 0)
        s->purpose = CCE_PURPOSE_POD;
    else
        lcce_option_error(L, "purpose", "metadata or pod");
}

static void read_connect_timeout(lua_State *L, struct submission *s)
{
    s->connect_timeout = lcce_option_number(L, "connect_timeout");
    if (!(s->connect_timeout >= 0.001 && s->connect_timeout <= 3600))
        lcce_option_error(L, "connect_timeout", "from 0.001 to 3600 seconds");
}

static void read_timeout(lua_State *L, struct submission *s)
{
    s->timeout = lcce_option_number(L, "timeout");
    if (!(s->timeout >= 0.001 && s->timeout <= 86400))
        lcce_option_error(L, "timeout", "from 0.001 to 86400 seconds");
}

static void read_max_response(lua_State *L, struct submission *s)
{
    s->max_response = lcce_option_number(L, "max_response");
    if (!(s->max_response >= 1 && s->max_response <= 1 << 30))
        lcce_option_error(L, "max_response", "from 1 to 1073741824 bytes");
}

static void read_date(lua_State *L, struct submission *s)
{
    s->now = lcce_option_number(L, "date");
}

static void read_signer(lua_State *L, struct submission *s)
{
    s->signer = lcce_check_signer(L, lua_gettop(L));
}

static void read_token(lua_State *L, struct submission *s)
{
    s->token = lcce_option_secret(L, "token");
}

static bool visit_identity(lua_State *L, const char *key, void *context)
{
    struct submission *s = context;

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

static void read_identity(lua_State *L, struct submission *s)
{
    lcce_options(L, lua_gettop(L), visit_identity, s);
    if (s->certificate.length == 0 || s->key.length == 0)
        lcce_option_error(L, "identity", "it needs certificate and key");
    s->has_identity = true;
}

static void read_query(lua_State *L, struct submission *s)
{
    size_t count = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;

    if (!lua_istable(L, -1) || count > MAX_QUERY)
        lcce_option_error(L, "query", "a list of at most %d {name, value}",
                          MAX_QUERY);
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
    struct submission *s = context;

    if (s->header_count >= MAX_HEADERS)
        luaL_error(L, "more than %d headers", MAX_HEADERS);
    if (!lua_isuserdata(L, -1))
        lcce_option_string(L, key);
    s->headers[s->header_count].name = bytes_of(L, -2);
    s->headers[s->header_count].value = lcce_option_secret(L, key);
    s->header_count++;
    return true;
}

static void read_headers(lua_State *L, struct submission *s)
{
    lcce_options(L, lua_gettop(L), visit_header, s);
}

/* What core.operation adds for its reader. */
static void read_nothing(lua_State *L, struct submission *s)
{
    (void)L;
    (void)s;
}

static const struct {
    const char *name;
    void (*read)(lua_State *L, struct submission *s);
} submission_options[] = {
    {"method", read_method},     {"endpoint", read_endpoint},
    {"path", read_path},         {"query", read_query},
    {"headers", read_headers},   {"body", read_body},
    {"signer", read_signer},     {"token", read_token},
    {"date", read_date},         {"mutating", read_mutating},
    {"timeout", read_timeout},   {"max_response", read_max_response},
    {"operation", read_nothing}, {"private", read_private},
    {"purpose", read_purpose},   {"connect_timeout", read_connect_timeout},
    {"identity", read_identity},
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

/* Everything that can raise happens here, before anything is acquired. */
static void read_submission(lua_State *L, int index, struct submission *s)
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

static void add_header(struct submission *s, const char *name,
                       struct cce_bytes value)
{
    s->headers[s->header_count].name = bytes_of_literal(name);
    s->headers[s->header_count].value = value;
    s->header_count++;
}

/* A line break in a header would be a header of its own. */
static int check_headers(const struct submission *s, struct cce_error *err)
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
static int write_path(struct cce_buf *path, const struct submission *s,
                      struct cce_error *err)
{
    cce_buf_append_string(path, s->endpoint.path);
    cce_buf_append(path, s->path.data, s->path.length);
    if (path->failed)
        return cce_fail(err, CCE_INVALID_ARGUMENT, "the path is too long");
    return 0;
}

static int sign_submission(struct submission *s, struct cce_bytes path,
                           struct cce_error *err)
{
    struct cce_sign_request request = {0};
    struct cce_sign_result result;

    if (cce_sign_format_date((int64_t)s->now, s->date, err) != 0)
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
    if (cce_sign_request(s->signer, &request, &result, err) != 0)
        return -1;
    add_header(s, "X-Sdk-Date", bytes_of_literal(s->date));
    if (s->signer->security_token.length > 0)
        add_header(s, "X-Security-Token",
                   cce_secret_bytes(&s->signer->security_token));
    add_header(s, "Authorization", result.authorization);
    return 0;
}

static int authorize(struct submission *s, struct cce_bytes path,
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

static int write_url(struct cce_buf *url, struct submission *s,
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
static int launch(const struct engine_box *box,
                  const struct cce_request *request, struct transfer_box *to,
                  struct cce_error *err)
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

static int launch_as(const struct engine_box *box, const struct submission *s,
                     struct cce_request *request, struct transfer_box *to,
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

static int start(const struct engine_box *box, const struct submission *s,
                 const char *url, struct transfer_box *to,
                 struct cce_error *err)
{
    struct cce_header headers[MAX_HEADERS + 5];
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
    request.max_response = (size_t)s->max_response;
    return s->has_identity ? launch_as(box, s, &request, to, err)
                           : launch(box, &request, to, err);
}

static int write_body(struct cce_buf *body, struct submission *s,
                      struct cce_error *err)
{
    for (size_t i = 0; i < s->part_count; i++) {
        const struct body_part *part = &s->parts[i];

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

static int submit(const struct engine_box *box, struct submission *s,
                  struct transfer_box *to, struct cce_error *err)
{
    char path_memory[512], url_memory[1024];
    struct cce_buf path, url, body;
    struct cce_bytes whole_path;
    int result = -1;

    cce_buf_init_fixed(&path, path_memory, sizeof path_memory, MAX_URL);
    cce_buf_init_fixed(&url, url_memory, sizeof url_memory, MAX_URL);
    cce_buf_init(&body, MAX_BODY);
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
    if (s->signer != NULL)
        cce_sign_forget(s->signer);
    cce_buf_cleanup(&path);
    cce_buf_cleanup(&url);
    cce_buf_cleanup(&body);
    return result;
}

/* ---- engine methods ---- */

static void remember_transfer(lua_State *L, int engine_index)
{
    struct transfer_box *box = lua_touserdata(L, -1);

    lcce_getuservalue(L, engine_index);
    lua_pushvalue(L, -1);
    lcce_setuservalue(L, -3);
    lua_getfield(L, -1, "transfers");
    lua_pushlightuserdata(L, box->transfer);
    lua_pushvalue(L, -4);
    lua_rawset(L, -3);
    lua_pop(L, 2);
}

static int l_engine_submit(lua_State *L)
{
    struct engine_box *engine = check_engine(L, 1);
    struct submission s;
    struct transfer_box *box;
    struct cce_error err;

    read_submission(L, 2, &s);
    box = lcce_newobject(L, TRANSFER, sizeof *box);
    if (submit(engine, &s, box, &err) != 0)
        return lcce_fail(L, &err);
    if (box->transfer != NULL)
        remember_transfer(L, 1);
    return 1;
}

static int l_engine_step(lua_State *L)
{
    struct cce_engine *engine = check_driven(L, 1);
    lua_Number seconds = luaL_optnumber(L, 2, 0);
    struct cce_error err;
    int milliseconds = -1;

    if (seconds >= 0)
        milliseconds = seconds > 86400 ? 86400000 : (int)(seconds * 1000);
    if (cce_engine_step(engine, milliseconds, &err) != 0)
        return lcce_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* Passes over those whose userdata is garbage but not yet finalized. */
static int l_engine_finished(lua_State *L)
{
    struct cce_engine *engine = check_driven(L, 1);
    struct cce_transfer *transfer = cce_engine_next_finished(engine);

    lua_settop(L, 1);
    lcce_getuservalue(L, 1);
    lua_getfield(L, -1, "transfers");
    while (transfer != NULL) {
        lua_pushlightuserdata(L, transfer);
        lua_rawget(L, 3);
        if (!lua_isnil(L, -1))
            return 1;
        lua_settop(L, 3);
        transfer = cce_engine_next_finished(engine);
    }
    return 0;
}

static int l_engine_fd(lua_State *L)
{
    lua_pushinteger(L, cce_engine_fd(check_driven(L, 1)));
    return 1;
}

/* Of an engine with a thread: also those that have ended and still exist. */
static int l_engine_in_flight(lua_State *L)
{
    struct engine_box *box = check_engine(L, 1);
    size_t count = box->thread != NULL ? cce_thread_jobs(box->thread)
                                       : cce_engine_in_flight(box->engine);

    lua_pushinteger(L, (lua_Integer)count);
    return 1;
}

static int l_engine_inherited(lua_State *L)
{
    struct engine_box *box = check_engine(L, 1);

    lua_pushboolean(L, box->thread != NULL
                           ? cce_thread_is_inherited(box->thread)
                           : cce_engine_is_inherited(box->engine));
    return 1;
}

static int l_engine_socket(lua_State *L)
{
    lua_pushstring(L, cce_thread_socket(check_threaded(L, 1)));
    return 1;
}

/* Lua's Ctrl-C is a hook that runs at the next instruction of Lua: so a wait
 * in C runs one now and then. What it raises leaves through here. */
static void let_hooks_run(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_call(L, 0, 0);
}

static int l_transfer_result(lua_State *L);

static int l_engine_call(lua_State *L)
{
    struct cce_error err;
    struct transfer_box *transfer;
    int results;

    check_driven(L, 1);
    results = l_engine_submit(L);
    if (results != 1)
        return results;
    transfer = check_transfer(L, -1);
    while (!is_finished(transfer)) {
        if (cce_engine_step(check_driven(L, 1), STEP_MS, &err) != 0)
            return lcce_fail(L, &err);
        let_hooks_run(L);
    }
    /* Left among the finished, it would let no later step wait. */
    cce_engine_release(transfer->transfer);
    lua_replace(L, 1);
    lua_settop(L, 1);
    return l_transfer_result(L);
}

/* ---- transfer methods ---- */

static int l_transfer_finished(lua_State *L)
{
    lua_pushboolean(L, is_finished(check_transfer(L, 1)));
    return 1;
}

/* What to send to the socket of the engine's thread, and to get back. */
static int l_transfer_id(lua_State *L)
{
    struct transfer_box *box = check_transfer(L, 1);

    luaL_argcheck(L, box->job != NULL, 1, "the engine has no thread");
    lua_pushlstring(L, (const char *)cce_job_id(box->job), CCE_JOB_ID_LENGTH);
    return 1;
}

static void push_lower(lua_State *L, const char *name, size_t length)
{
    luaL_Buffer buffer;

    luaL_buffinit(L, &buffer);
    for (size_t i = 0; i < length; i++)
        luaL_addchar(&buffer, (char)tolower((unsigned char)name[i]));
    luaL_pushresult(&buffer);
}

/* Sets headers[name] at the top of the stack; a repeated one is joined. */
static void set_header(lua_State *L, const char *line, size_t name_length,
                       const char *value, size_t value_length)
{
    push_lower(L, line, name_length);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushlstring(L, value, value_length);
    } else {
        lua_pushliteral(L, ", ");
        lua_pushlstring(L, value, value_length);
        lua_concat(L, 3);
    }
    lua_rawset(L, -3);
}

static bool is_token(const char *line, const char *colon)
{
    return colon - line == 15 && strncasecmp(line, "X-Subject-Token", 15) == 0;
}

static void push_headers(lua_State *L, const char *text, size_t length,
                         bool is_private)
{
    const char *end = text + length;

    lua_newtable(L);
    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        const char *next = line_end != NULL ? line_end + 1 : end;
        const char *colon = memchr(text, ':', (size_t)(next - text));

        if (colon != NULL && !(is_private && is_token(text, colon))) {
            const char *value = colon + 1;
            const char *stop = next;

            while (value < stop && isspace((unsigned char)*value))
                value++;
            while (stop > value && isspace((unsigned char)stop[-1]))
                stop--;
            set_header(L, text, (size_t)(colon - text), value,
                       (size_t)(stop - value));
        }
        text = next;
    }
}

static int fail_transfer(lua_State *L, const struct cce_result *result)
{
    lcce_fail(L, &result->error);
    lua_createtable(L, 0, 4);
    lua_pushboolean(L, result->sent);
    lua_setfield(L, -2, "sent");
    lua_pushboolean(L, result->untrusted);
    lua_setfield(L, -2, "untrusted");
    lua_pushboolean(L, result->refused);
    lua_setfield(L, -2, "refused");
    lua_pushnumber(L, result->seconds);
    lua_setfield(L, -2, "seconds");
    return 4;
}

static void check_result(lua_State *L, struct cce_result *result)
{
    struct transfer_box *box = check_transfer(L, 1);

    luaL_argcheck(L, is_finished(box), 1, "the transfer has not ended yet");
    if (box->job != NULL)
        cce_job_result(box->job, result);
    else
        cce_transfer_result(box->transfer, result);
}

static struct cce_bytes trim(const char *start, const char *end)
{
    struct cce_bytes bytes;

    while (start < end && isspace((unsigned char)*start))
        start++;
    while (end > start && isspace((unsigned char)end[-1]))
        end--;
    bytes.data = start;
    bytes.length = (size_t)(end - start);
    return bytes;
}

/* No bytes when there is no such header. */
static struct cce_bytes find_header(const struct cce_result *result,
                                    const char *name)
{
    const char *at = result->headers, *end = at + result->headers_length;
    struct cce_bytes none = {NULL, 0};

    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const char *colon = memchr(at, ':', (size_t)(end - at));

        stop = stop != NULL ? stop : end;
        if (colon != NULL && colon < stop &&
            (size_t)(colon - at) == strlen(name) &&
            strncasecmp(at, name, strlen(name)) == 0)
            return trim(colon + 1, stop);
        at = stop < end ? stop + 1 : end;
    }
    return none;
}

/* transfer:secret() is the body, transfer:secret(name) a header: a
 * cce.secret, or nil, message, code. */
static int l_transfer_secret(lua_State *L)
{
    const char *name = luaL_optstring(L, 2, NULL);
    struct cce_secret *secret;
    struct cce_result result;
    struct cce_bytes bytes;
    struct cce_error err;

    check_result(L, &result);
    secret = lcce_newobject(L, LCCE_SECRET, sizeof *secret);
    bytes.data = result.body;
    bytes.length = result.body_length;
    if (name != NULL)
        bytes = find_header(&result, name);
    if (result.error.code == CCE_OK && bytes.length == 0)
        cce_fail(&result.error, CCE_RESPONSE_INVALID, "the answer has no %s",
                 name != NULL ? name : "body");
    if (result.error.code != CCE_OK)
        return lcce_fail(L, &result.error);
    if (cce_secret_init(secret, bytes, &err) != 0)
        return lcce_fail(L, &err);
    return 1;
}

/* With a true argument the body of a success and a token stay out. */
static int l_transfer_result(lua_State *L)
{
    bool is_private = lua_toboolean(L, 2);
    struct cce_result result;

    check_result(L, &result);
    if (result.error.code != CCE_OK)
        return fail_transfer(L, &result);
    if (is_private && result.status >= 200 && result.status <= 299)
        result.body_length = 0;
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, result.status);
    lua_setfield(L, -2, "status");
    push_headers(L, result.headers, result.headers_length, is_private);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, result.body_length > 0 ? result.body : "",
                    result.body_length);
    lua_setfield(L, -2, "body");
    lua_pushnumber(L, result.seconds);
    lua_setfield(L, -2, "seconds");
    return 1;
}

/* core.step({engine, …}, seconds): waits for any of several engines, and lets
 * each handle what there is. */
static int l_step(lua_State *L)
{
    struct pollfd descriptors[MAX_ENGINES];
    lua_Number seconds = luaL_checknumber(L, 2);
    int count;
    struct cce_error err;

    luaL_checktype(L, 1, LUA_TTABLE);
    count = (int)lua_rawlen(L, 1);
    luaL_argcheck(L, count <= MAX_ENGINES, 1, "too many engines");
    luaL_checkstack(L, count, "too many engines");
    lua_settop(L, 2);
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, 1, i + 1);
        descriptors[i].fd = cce_engine_fd(check_driven(L, -1));
        descriptors[i].events = POLLIN;
    }
    poll(descriptors, (nfds_t)count, (int)(seconds * 1000));
    for (int i = 0; i < count; i++)
        if (cce_engine_step(check_driven(L, 3 + i), 0, &err) != 0)
            return lcce_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* core.endpoint(text[, purpose]) -> host, path, whether it is this machine
 * | nil, message, code */
static int l_endpoint(lua_State *L)
{
    static const char *const purposes[] = {"api", "metadata", "pod", NULL};
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    int purpose = luaL_checkoption(L, 2, "api", purposes);
    struct cce_endpoint endpoint;
    struct cce_error err;

    luaL_argcheck(L, strlen(text) == length, 1, "it has a zero byte inside");
    if (cce_endpoint_parse((enum cce_purpose)purpose, &endpoint, text, &err) !=
        0)
        return lcce_fail(L, &err);
    lua_pushstring(L, endpoint.host);
    lua_pushstring(L, endpoint.path);
    lua_pushboolean(L, endpoint.loopback);
    return 3;
}

/* core.check_proxy(text) -> true | nil, message, code */
static int l_check_proxy(lua_State *L)
{
    struct cce_error err;

    if (cce_engine_check_proxy(luaL_checkstring(L, 1), &err) != 0)
        return lcce_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

int lcce_open_engine(lua_State *L)
{
    static const luaL_Reg engine_methods[] = {
        {"submit", l_engine_submit},       {"step", l_engine_step},
        {"finished", l_engine_finished},   {"fd", l_engine_fd},
        {"in_flight", l_engine_in_flight}, {"inherited", l_engine_inherited},
        {"socket", l_engine_socket},       {NULL, NULL},
    };
    static const luaL_Reg transfer_methods[] = {
        {"finished", l_transfer_finished},
        {"result", l_transfer_result},
        {"secret", l_transfer_secret},
        {"id", l_transfer_id},
        {NULL, NULL},
    };

    lcce_newclass(L, ENGINE, engine_methods, l_engine_close, NULL);
    lcce_newclass(L, TRANSFER, transfer_methods, l_transfer_close, NULL);
    luaL_getmetatable(L, ENGINE);
    lua_getfield(L, -1, "__index");
    if (luaL_loadstring(L, "return") != 0)
        return lua_error(L);
    lua_pushcclosure(L, l_engine_call, 1);
    lua_setfield(L, -2, "call");
    lua_pop(L, 2);
    lua_pushcfunction(L, l_engine_new);
    lua_setfield(L, -2, "engine");
    lua_pushcfunction(L, l_step);
    lua_setfield(L, -2, "step");
    lua_pushcfunction(L, l_check_proxy);
    lua_setfield(L, -2, "check_proxy");
    lua_pushcfunction(L, l_endpoint);
    lua_setfield(L, -2, "endpoint");
    return 0;
}
