/*
 * status: the words that say what went wrong, and the one struct that carries
 * them through the C code.
 *
 * Every error that this project reports, from C or from Lua, has a `code` of
 * the list below. Codes are API: scripts compare them. Texts are not.
 *
 * A C function that can fail returns 0, or -1 with *err filled in; `err` must
 * not be NULL. It never prints, aborts or sets errno for its caller.
 */
#ifndef CCE_CORE_STATUS_H
#define CCE_CORE_STATUS_H

/* X(code, what it means; shown in the manual and by core.codes) */
#define CCE_STATUS_MAP(X)                                                    \
    X(OK, "no error")                                                        \
    X(INVALID_ARGUMENT, "a value is outside of what is accepted")            \
    X(INVALID_CERTIFICATE, "a certificate cannot be read or is not valid")   \
    X(INVALID_KEY, "a private key cannot be read, or is encrypted")          \
    X(KEY_MISMATCH, "a private key does not belong to its certificate")      \
    X(NO_MEMORY, "memory ran out")                                           \
    X(NO_CREDENTIALS, "no access key or token was found")                    \
    X(NO_PROJECT, "the project id is not known")                             \
    X(NO_ENDPOINT, "the address of a service is not known")                  \
    X(MISSING_DEPENDENCY, "an optional library is not installed")            \
    X(UNSUPPORTED, "cannot be done here")                                    \
    X(FILE_ERROR, "a file cannot be read or written")                        \
    X(CLOSED, "the object was closed while a call was under way")            \
    X(CANCELLED, "the call was cancelled")                                   \
    X(DNS_FAILED, "a host name cannot be resolved")                          \
    X(CONNECT_FAILED, "no connection could be made")                         \
    X(PROXY_FAILED, "the proxy refused or failed")                           \
    X(TLS_FAILED, "TLS failed, or the server's certificate is not trusted")  \
    X(TIMEOUT, "a time limit was reached")                                   \
    X(CONNECTION_LOST, "the connection broke before the whole answer came")  \
    X(RESPONSE_TOO_LARGE, "the answer is larger than the limit")             \
    X(RESPONSE_INVALID, "the answer is not what the API documents")          \
    X(BAD_REQUEST, "the API refused the request as invalid")                 \
    X(UNAUTHENTICATED, "the API did not accept the credentials")             \
    X(CLOCK_SKEW, "this machine's clock is too far from the API's")          \
    X(ACCESS_KEY_LOCKED, "too many failures locked the access key")          \
    X(PERMISSION_DENIED, "the API does not allow this to these credentials") \
    X(NOT_FOUND, "there is no such cluster, job or project")                 \
    X(API_NOT_FOUND, "the API is not offered at this address")               \
    X(CONFLICT, "the state of the resource does not allow this now")         \
    X(RESOURCE_LOCKED, "another operation holds the resource")               \
    X(THROTTLED, "too many requests")                                        \
    X(REQUEST_REJECTED, "the API refused the request")                       \
    X(SERVER_ERROR, "the API failed")                                        \
    X(RAISED, "a function that the caller gave raised an error")             \
    X(JOB_FAILED, "the job ended with a failure")                            \
    X(NOT_REVOKED, "a certificate still works after its revocation")         \
    X(UNVERIFIED, "what was done could not be verified")                     \
    X(TAMPERED, "a log was changed after it was written")                    \
    X(STORE_UNAVAILABLE, "the store of a schedule cannot be reached")        \
    X(LEASE_LOST, "the time for which a runner held its work is over")       \
    X(INTERNAL, "a mistake in this library: please report it")

enum cce_status {
#define CCE_STATUS_ENUM(name, text) CCE_##name,
    CCE_STATUS_MAP(CCE_STATUS_ENUM)
#undef CCE_STATUS_ENUM
        CCE_STATUS_COUNT
};

struct cce_error {
    enum cce_status code;
    char message[512]; /* one sentence, no final stop, never a secret */
};

/* The stable word of a status ("TIMEOUT") and the sentence that explains it. */
const char *cce_status_name(enum cce_status status);
const char *cce_status_text(enum cce_status status);

/* Fills *err and returns -1, so that `return cce_fail(err, …)` reads well.
 * Too long a message is cut. */
int cce_fail(struct cce_error *err, enum cce_status code, const char *format,
             ...) __attribute__((format(printf, 3, 4)));

/* cce_fail with NO_MEMORY. */
int cce_fail_memory(struct cce_error *err);

#endif
