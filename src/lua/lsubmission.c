#include "lua/lsubmission.h"

#include "core/x509/pem.h"
#include "lua/lsecret.h"
#include "lua/lsign.h"
#include "lua/lutil.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

/* ---- what the table holds besides the request itself (lrequest.h) ---- */

static void read_signer(lua_State *L, struct lcce_submission *s)
{
    s->spec.signer = lcce_check_signer(L, lua_gettop(L));
}

static void read_purpose(lua_State *L, struct lcce_submission *s)
{
    const char *purpose = lcce_option_string(L, "purpose");

    if (strcmp(purpose, "metadata") == 0)
        s->spec.purpose = CCE_PURPOSE_METADATA;
    else if (strcmp(purpose, "pod") == 0)
        s->spec.purpose = CCE_PURPOSE_POD;
    else
        lcce_option_error(L, "purpose", "metadata or pod");
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
    else if (strcmp(key, "server_name") == 0)
        s->server_name = lcce_option_string(L, key);
    else if (strcmp(key, "proxy") == 0)
        s->identity_proxy = lcce_option_string(L, key);
    else if (strcmp(key, "system_ca") == 0)
        s->system_ca = lcce_option_boolean(L, key);
    else
        return false;
    return true;
}

static void read_identity(lua_State *L, struct lcce_submission *s)
{
    const char *name;

    lcce_options(L, lua_gettop(L), visit_identity, s);
    /* A host name or an address, for it becomes a part of a URL. */
    name = s->server_name;
    if (name != NULL &&
        (name[0] == '\0' || strlen(name) > 253 ||
         name[strspn(name, "abcdefghijklmnopqrstuvwxyz"
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_")] !=
             '\0'))
        lcce_option_error(L, "identity", "a host name as server_name expected");
    if (s->certificate.length == 0 || s->key.length == 0)
        lcce_option_error(L, "identity", "it needs certificate and key");
    s->has_identity = true;
}

enum option_type {
    OPTION_STRING,
    OPTION_SECRET,
    OPTION_BOOLEAN,
    OPTION_NUMBER, /* within a range, which `allowed` names */
    OPTION_READ,   /* by a function of its own */
    OPTION_IGNORED /* core.operation adds it for its reader */
};

static const struct submission_option {
    const char *name;
    enum option_type type;
    size_t offset; /* in struct lcce_submission */
    double least, most;
    const char *allowed;
    void (*read)(lua_State *L, struct lcce_submission *s);
} submission_options[] = {
#define AT(member) offsetof(struct lcce_submission, member)
    {"endpoint", OPTION_STRING, AT(spec.endpoint), 0, 0, NULL, NULL},
    {"token", OPTION_SECRET, AT(spec.token), 0, 0, NULL, NULL},
    {"mutating", OPTION_BOOLEAN, AT(mutating), 0, 0, NULL, NULL},
    {"private", OPTION_BOOLEAN, AT(is_private), 0, 0, NULL, NULL},
    {"timeout", OPTION_NUMBER, AT(timeout), 0.001, 86400,
     "from 0.001 to 86400 seconds", NULL},
    {"connect_timeout", OPTION_NUMBER, AT(connect_timeout), 0.001, 3600,
     "from 0.001 to 3600 seconds", NULL},
    {"depart_within", OPTION_NUMBER, AT(depart_within), 1e-9, 86400,
     "above 0, to 86400 seconds", NULL},
    {"max_response", OPTION_NUMBER, AT(max_response), 1, 1 << 30,
     "from 1 to 1073741824 bytes", NULL},
    {"signer", OPTION_READ, 0, 0, 0, NULL, read_signer},
    {"purpose", OPTION_READ, 0, 0, 0, NULL, read_purpose},
    {"identity", OPTION_READ, 0, 0, 0, NULL, read_identity},
    {"operation", OPTION_IGNORED, 0, 0, 0, NULL, NULL},
#undef AT
};

static void read_option(lua_State *L, const struct submission_option *option,
                        struct lcce_submission *s)
{
    void *to = (char *)s + option->offset;
    double number;

    switch (option->type) {
    case OPTION_STRING:
        *(const char **)to = lcce_option_string(L, option->name);
        break;
    case OPTION_SECRET:
        *(struct cce_bytes *)to = lcce_option_secret(L, option->name);
        break;
    case OPTION_BOOLEAN:
        *(bool *)to = lcce_option_boolean(L, option->name);
        break;
    case OPTION_NUMBER:
        number = lcce_option_number(L, option->name);
        if (!(number >= option->least && number <= option->most)) /* nor NaN */
            lcce_option_error(L, option->name, "%s", option->allowed);
        *(double *)to = number;
        break;
    case OPTION_READ:
        option->read(L, s);
        break;
    case OPTION_IGNORED:
        break;
    }
}

static bool visit_submission(lua_State *L, const char *key, void *context)
{
    size_t count = sizeof submission_options / sizeof submission_options[0];
    size_t request_size = offsetof(struct lcce_submission, spec);

    if (key == NULL) {
        memset((char *)context + request_size, 0,
               sizeof(struct lcce_submission) - request_size);
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (*key != *submission_options[i].name ||
            strcmp(key, submission_options[i].name) != 0)
            continue;
        read_option(L, &submission_options[i], context);
        return true;
    }
    return false;
}

int lcce_submission_read(lua_State *L, struct lcce_submission *s,
                         struct cce_error *err)
{
    struct cce_sign_request *sign = &s->request.sign;

    memset(s, 0, sizeof *s);
    lcce_request_init(&s->request, false, err);
    s->request.visit = visit_submission;
    s->request.context = s;
    luaL_checktype(L, LCCE_REQUEST_SPEC, LUA_TTABLE);
    if (lcce_request_read(L, &s->request) != 0)
        return -1;
    /* Wrong use raises; what the values are is looked at later. */
    if (s->spec.endpoint == NULL || sign->path.data == NULL)
        luaL_error(L, "a request needs endpoint, method and path");
    if (s->spec.signer != NULL && s->spec.token.data != NULL)
        luaL_error(L, "a request has a signer or a token, not both");
    if (sign->date.data == NULL) {
        if (cce_date_format(time(NULL), s->now, err) != 0)
            return -1;
        sign->default_date = (struct cce_bytes){s->now, CCE_DATE_LENGTH};
    }
    s->spec.sign = *sign;
    s->spec.parts = s->request.parts;
    s->spec.part_count = s->request.part_count;
    return 0;
}

/* ---- from there to the wire; no Lua, nothing raises ---- */

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

/* PEM as it is, or its Base64, which is what a kubeconfig holds; or nothing. */
static int read_pem(struct cce_bytes text, enum cce_pem_kind kind,
                    struct cce_buf *buf, struct cce_pem *pem,
                    struct cce_error *err)
{
    cce_buf_init(buf, CCE_PEM_TEXT_MAX);
    if (text.length > 0 &&
        cce_pem_only(text.data, text.length, kind, buf, err) != 0)
        return -1;
    pem->data = buf->data;
    pem->length = buf->length;
    return 0;
}

static int launch_as(const struct lcce_engine_box *box,
                     const struct lcce_submission *s,
                     struct cce_request *request, struct lcce_transfer_box *to,
                     struct cce_error *err)
{
    struct cce_buf ca = {0}, certificate = {0}, key = {0};
    struct cce_identity identity;
    int result = -1;

    if ((s->identity_proxy == NULL ||
         cce_engine_check_proxy(s->identity_proxy, err) == 0) &&
        read_pem(s->ca, CCE_PEM_CERTIFICATES, &ca, &identity.ca, err) == 0 &&
        read_pem(s->certificate, CCE_PEM_CERTIFICATES, &certificate,
                 &identity.certificate, err) == 0 &&
        read_pem(s->key, CCE_PEM_KEY, &key, &identity.key, err) == 0) {
        identity.server_name = s->server_name;
        identity.proxy = s->identity_proxy;
        identity.system_ca = s->system_ca;
        request->identity = &identity;
        result = launch(box, request, to, err);
        request->identity = NULL;
    }
    cce_buf_cleanup(&ca);
    cce_buf_cleanup(&certificate);
    cce_buf_cleanup(&key);
    return result;
}

int lcce_submission_start(const struct lcce_engine_box *box,
                          struct lcce_submission *s,
                          struct lcce_transfer_box *to, struct cce_error *err)
{
    struct cce_header headers[CCE_REQUEST_HEADERS_MAX];
    struct cce_request request = {0};
    struct cce_request_wire wire;
    int result = cce_request_build(&s->spec, &wire, err);

    if (result == 0) {
        for (size_t i = 0; i < wire.header_count; i++) {
            headers[i].name = wire.headers[i].name.data;
            headers[i].value = wire.headers[i].value.data;
        }
        request.method = s->spec.sign.method.data;
        request.url = wire.url;
        request.headers = headers;
        request.header_count = wire.header_count;
        request.body = wire.body.data;
        request.body_length = wire.body.length;
        request.mutating = s->mutating;
        /* What is on this machine, or answers this machine alone, is not to
         * be looked for by a proxy. */
        request.direct =
            wire.endpoint.loopback || s->spec.purpose != CCE_PURPOSE_API;
        request.is_private = s->is_private;
        request.holds_secret = s->request.holds_secret ||
                               s->spec.token.length > 0 ||
                               (s->spec.signer != NULL &&
                                s->spec.signer->security_token.length > 0);
        request.connect_timeout_ms = (long)(s->connect_timeout * 1000);
        request.timeout_ms = (long)(s->timeout * 1000);
        request.depart_within = s->depart_within;
        request.max_response = (size_t)s->max_response;
        result = s->has_identity ? launch_as(box, s, &request, to, err)
                                 : launch(box, &request, to, err);
    }
    cce_request_cleanup(&wire);
    return result;
}
