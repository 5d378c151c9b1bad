/*
 * sign: AK/SK signatures: a canonical request, the string to sign, the
 * signature and the Authorization header. No I/O and no clock.
 *
 * The scheme is Huawei Cloud's "API request signing guide", with what its
 * official SDKs do where the guide is silent. Four layouts:
 *
 *   SDK-HMAC-SHA256, SDK-HMAC-SM3   the secret key itself signs
 *   V11-HMAC-SHA256                 a key derived from date, region, service
 *   SDK-HMAC-SHA256, scoped         the older layout under the same name
 *
 * A signer is for one thread at a time. Its keys, and what is derived from
 * them, lie in pages of a secret. Of a request it keeps nothing: that lies in a
 * cce_sign_work, which belongs to the call.
 */
#ifndef CCE_CORE_SIGN_H
#define CCE_CORE_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/date.h"
#include "core/digest.h"
#include "core/secret.h"
#include "core/status.h"
#include "core/uri.h"

enum {
    CCE_SIGN_AK_MAX = 128,  /* bytes */
    CCE_SIGN_SCOPE_MAX = 64 /* bytes of a region or a service */
};

/* What a signer is made of. Copied; lengths of 0 mean "not given". */
struct cce_sign_options {
    struct cce_bytes ak, sk;         /* both needed */
    struct cce_bytes security_token; /* of temporary keys */
    struct cce_bytes algorithm;      /* SDK-HMAC-SHA256 when not given */
    struct cce_bytes scheme;         /* "scoped", or not given */
    struct cce_bytes
        region; /* CCE_SIGN_V11 needs both; scoped may leave them empty; */
    struct cce_bytes service; /* the others ignore them */
};

struct cce_sign_algorithm;

struct cce_signer {
    const struct cce_sign_algorithm *algorithm; /* NULL: not made, or closed */
    struct cce_digest digest;
    struct cce_digest_key key;  /* of `sk`, or derived from it for `key_day` */
    char key_day[CCE_DATE_DAY]; /* zeros: no key derived yet */
    struct cce_secret sk;       /* kept only where keys are derived from it */
    struct cce_secret security_token;
    char ak[CCE_SIGN_AK_MAX + 1];
    char prefix[CCE_SIGN_AK_MAX + 32]; /* of Authorization */
    size_t prefix_length;
    char region[CCE_SIGN_SCOPE_MAX + 1];
    char service[CCE_SIGN_SCOPE_MAX + 1];
};

/* The memory of one request that is signed: of usual ones within itself, of
 * larger ones on the heap. It may hold a security token. */
struct cce_sign_work {
    struct cce_buf canonical, to_sign, authorization;
    char canonical_memory[2048], to_sign_memory[256],
        authorization_memory[1024];
};

/*
 * One request. Everything is raw.
 *
 * Host, X-Sdk-Date and X-Security-Token may stand in `headers`; then `host`
 * and `date` may be left out, and must be the same when they are given too. A
 * signer with a security token accepts no other one there. Authorization may
 * not stand there, and no header twice.
 *
 * Signed are exactly the headers that `signed_headers` names, which must
 * include X-Sdk-Date as the gateways demand it; without the list, all of
 * `headers` but User-Agent, and host, x-sdk-date and x-security-token.
 */
struct cce_sign_request {
    struct cce_bytes method; /* an HTTP token; case is kept */
    struct cce_bytes host;   /* with the port when it is not the default */
    struct cce_bytes path;   /* "" or begins with a slash */
    struct cce_bytes body;
    struct cce_bytes date;         /* YYYYMMDDTHHMMSSZ */
    struct cce_bytes default_date; /* when neither is given */
    struct cce_pair *query;        /* is sorted in place */
    size_t query_count;
    const struct cce_pair *headers;
    size_t header_count;
    const struct cce_bytes *signed_headers; /* NULL: no list */
    size_t signed_count;
};

/* The bytes lie in the call's cce_sign_work: the signer may be closed. */
struct cce_sign_result {
    struct cce_bytes canonical_request, string_to_sign, authorization;
    char signature[CCE_DIGEST_HEX + 1];
    /* What must be sent besides the headers given and Authorization: */
    char date[CCE_DATE_LENGTH + 1];  /* X-Sdk-Date */
    struct cce_bytes security_token; /* X-Security-Token; empty: none */
    bool host_given, date_given;     /* stood in `headers` already */
};

/*
 * A request of which only the path, the query, the body and the date change:
 * the rest is checked, sorted and written once. Zeroed is valid and empty.
 *
 * A path may have places for ids, in braces: /clusters/{cluster_id}/x. What
 * fills one is an id (letters, digits, ".", "_" and "-", at most 128, no "..").
 */
enum { CCE_SIGN_PLACES_MAX = 8, CCE_SIGN_PLACE_MAX = 32 };

struct cce_sign_prepared {
    /* Of the canonical request: the method's line, the pieces of the path, the
     * query, and all from there to the body's hash. Where the signer has a
     * security token it is among the headers, hence pages of a secret. */
    struct cce_secret text;
    size_t path_start, query_start, tail_start, hash_start;
    size_t names_start, names_length, date_start;
    struct {
        char name[CCE_SIGN_PLACE_MAX + 1];
        size_t at; /* in `text` */
    } places[CCE_SIGN_PLACES_MAX];
    size_t place_count;
    struct cce_digest_start start; /* as far as nothing in `text` changes */
    bool has_path, has_date;
    bool has_hash, fixed_hash; /* of the body; given as a header */
    bool host_given, date_given, token_given; /* stood in the headers */
};

/* Fills a zeroed signer. On failure (INVALID_ARGUMENT, UNSUPPORTED,
 * NO_MEMORY) it may hold parts: cce_sign_cleanup it in any case. */
int cce_sign_init(struct cce_signer *signer,
                  const struct cce_sign_options *options,
                  struct cce_error *err);

/* Wipes and frees; the signer is zeroed then. Idempotent. */
void cce_sign_cleanup(struct cce_signer *signer);

/* The name of the signer's algorithm, as in the Authorization header. */
const char *cce_sign_algorithm_name(const struct cce_signer *signer);

/* An empty one; it must not be moved until it is cleaned up, which wipes. A
 * zeroed one may be cleaned up, too. */
void cce_sign_work_init(struct cce_sign_work *work);
void cce_sign_work_cleanup(struct cce_sign_work *work);

/* All stages. INVALID_ARGUMENT for whatever the request may not hold. */
int cce_sign_request(struct cce_signer *signer,
                     const struct cce_sign_request *request,
                     struct cce_sign_work *work, struct cce_sign_result *result,
                     struct cce_error *err);

/* Fills a zeroed *prepared with what `request` has; path, query, body and date
 * may be missing. Clean it up in any case. */
int cce_sign_prepare(struct cce_signer *signer,
                     const struct cce_sign_request *request,
                     struct cce_sign_prepared *prepared, struct cce_error *err);
void cce_sign_prepared_cleanup(struct cce_sign_prepared *prepared);

/* As cce_sign_request, for path, query, body and date of `changes` where they
 * are given. `ids` has one for each place when `changes` has no path. */
int cce_sign_prepared(struct cce_signer *signer,
                      const struct cce_sign_prepared *prepared,
                      const struct cce_sign_request *changes,
                      const struct cce_bytes *ids, struct cce_sign_work *work,
                      struct cce_sign_result *result, struct cce_error *err);

/* Stage 1 alone: fills canonical_request, date and the two `given`. */
int cce_sign_canonical(struct cce_signer *signer,
                       const struct cce_sign_request *request,
                       struct cce_sign_work *work,
                       struct cce_sign_result *result, struct cce_error *err);

/* Stage 2 alone: fills string_to_sign. */
int cce_sign_string(struct cce_signer *signer, struct cce_bytes date,
                    struct cce_bytes canonical_request,
                    struct cce_sign_work *work, struct cce_sign_result *result,
                    struct cce_error *err);

/* Stage 3 alone: fills signature. `date` chooses a derived key. */
int cce_sign_signature(struct cce_signer *signer, struct cce_bytes date,
                       struct cce_bytes string_to_sign,
                       struct cce_sign_result *result, struct cce_error *err);

#endif
