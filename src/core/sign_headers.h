/*
 * sign_headers: the headers of a request that is being signed: which there are,
 * whether each may stand there, which are signed, and how they are written in
 * the canonical request. For sign only.
 */
#ifndef CCE_CORE_SIGN_HEADERS_H
#define CCE_CORE_SIGN_HEADERS_H

#include "core/sign.h"
#include "core/wire/http.h"

/* The headers that the signer adds unless the caller gave them. */
enum { CCE_SIGN_HOST, CCE_SIGN_DATE, CCE_SIGN_TOKEN, CCE_SIGN_IMPLIED };

/* What a request has at most, with these. */
enum { CCE_SIGN_ENTRIES_MAX = CCE_HTTP_HEADERS_MAX + CCE_SIGN_IMPLIED };

/* One header of the request that is being signed. */
struct cce_sign_header {
    struct cce_bytes name, value;
    const char *lowered; /* its name in the canonical request */
    bool is_signed;
};

struct cce_sign_implied {
    struct cce_bytes wanted; /* from outside of the headers */
    struct cce_bytes found;  /* the value in the end */
    bool given;              /* it stands among the headers */
};

struct cce_sign_headers {
    struct cce_sign_header list[CCE_SIGN_ENTRIES_MAX];
    /* The same by lower-case name. */
    struct cce_sign_header *sorted[CCE_SIGN_ENTRIES_MAX];
    size_t count;
    struct cce_sign_implied implied[CCE_SIGN_IMPLIED];
    struct cce_bytes content_hash;
    /* In the canonical request: the names that are signed, and the date. */
    size_t names_start, names_length, date_start;
};

/* Fills *headers, from the request and with what the signer adds; it points
 * into both. INVALID_ARGUMENT for whatever the request may not hold, in its
 * method, path, query and date, too. */
int cce_sign_headers_resolve(const struct cce_signer *signer,
                             const struct cce_sign_request *request,
                             struct cce_sign_headers *headers,
                             struct cce_error *err);

/* The headers, an empty line, and the signed names on a line; *headers notes
 * where those stand in `out`, which fails when there is no room. */
void cce_sign_headers_append(struct cce_buf *out,
                             struct cce_sign_headers *headers);

#endif
