/*
 * certificate: what only C can see. OpenSSL's error queue is left as it was,
 * and when the N-th allocation fails, for every N, the answer is an error
 * (NO_MEMORY, where OpenSSL says so) or the right one, and nothing leaks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "check.h"
#include "core/x509/certificate_facts.h"

/* ===== Allocations that fail ===== */

static long countdown; /* the allocation that fails; 0: none */
static bool for_good;  /* and all after it, too */
static bool failed;

static bool fails_now(void)
{
    if (countdown == 0)
        return false;
    if (countdown > 1) {
        countdown--;
        return false;
    }
    countdown = for_good ? 1 : 0;
    return failed = true;
}

static void *test_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails_now() ? NULL : malloc(size);
}

static void *test_realloc(void *memory, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails_now() ? NULL : realloc(memory, size);
}

static void test_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    free(memory);
}

/* ===== Input ===== */

struct text {
    char bytes[8192];
    size_t length;
};

static struct text ca_text, client_text, key_text, encrypted_text;

static void load(const char *name, struct text *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof path, "spec/fixtures/pki/%s", name);
    file = fopen(path, "rb");
    CHECK(file != NULL);
    text->length = fread(text->bytes, 1, sizeof text->bytes, file);
    CHECK(text->length > 0 && text->length < sizeof text->bytes);
    fclose(file);
}

/* ===== Everything that the header offers, once ===== */

struct work {
    struct cce_certificate ca, client;
    struct cce_certificate_key key;
    struct cce_certificate_facts facts;
    bool matches;
};

static int do_work(struct work *work, struct cce_error *err)
{
    if (cce_certificate_parse(ca_text.bytes, ca_text.length, &work->ca, err) ||
        cce_certificate_parse(client_text.bytes, client_text.length,
                              &work->client, err) ||
        cce_certificate_parse_key(key_text.bytes, key_text.length, &work->key,
                                  err) ||
        cce_certificate_facts_read(&work->client, &work->facts, err) ||
        cce_certificate_key_matches(&work->client, &work->key, &work->matches,
                                    err))
        return -1;
    return cce_certificate_check_issuer(&work->client, &work->ca,
                                        work->facts.not_before + 1, err);
}

static void clean_up(struct work *work)
{
    cce_certificate_cleanup(&work->ca);
    cce_certificate_cleanup(&work->client);
    cce_certificate_key_cleanup(&work->key);
    cce_certificate_facts_cleanup(&work->facts);
}

static void check_right(const struct work *work)
{
    CHECK(strcmp(work->facts.user_id.data, "0123456789abcdef") == 0);
    CHECK(strcmp(work->facts.organizations.data, "example:team") == 0);
    CHECK(strcmp(work->facts.issuer.data, "CN=Fixture CA") == 0);
    CHECK(strlen(work->facts.sha256) == 64);
    CHECK(work->matches);
}

static void test_success(void)
{
    struct work work = {0};
    struct cce_error err;

    CHECK(do_work(&work, &err) == 0);
    check_right(&work);
    CHECK(ERR_peek_error() == 0);
    clean_up(&work);
}

/* ===== The error queue ===== */

static void fail_in_every_way(void)
{
    static const char bad[] = "-----BEGIN CERTIFICATE-----\nAAAA\n"
                              "-----END CERTIFICATE-----\n";
    struct cce_certificate certificate = {0};
    struct cce_certificate_key key = {0};
    struct work work = {0};
    struct cce_error err;

    CHECK(cce_certificate_parse(bad, strlen(bad), &certificate, &err) != 0);
    CHECK(cce_certificate_parse("0\x82", 2, &certificate, &err) != 0);
    CHECK(cce_certificate_parse_key(bad, strlen(bad), &key, &err) != 0);
    CHECK(cce_certificate_parse_key(encrypted_text.bytes, encrypted_text.length,
                                    &key, &err) != 0);
    CHECK(err.code == CCE_INVALID_KEY);
    CHECK(do_work(&work, &err) == 0);
    CHECK(cce_certificate_check_issuer(&work.ca, &work.client,
                                       work.facts.not_before + 1, &err) != 0);
    CHECK(cce_certificate_check_issuer(&work.client, &work.ca, 0, &err) != 0);
    CHECK(cce_certificate_key_matches(&work.ca, &work.key, &work.matches,
                                      &err) == 0);
    CHECK(!work.matches);
    clean_up(&work);
}

static void test_queue(void)
{
    fail_in_every_way();
    CHECK(ERR_peek_error() == 0);
    ERR_raise(ERR_LIB_USER, 42);
    fail_in_every_way();
    CHECK(ERR_GET_REASON(ERR_peek_last_error()) == 42);
    CHECK(ERR_GET_REASON(ERR_get_error()) == 42);
    CHECK(ERR_get_error() == 0);
}

/* ===== The N-th allocation fails ===== */

static bool work_without_memory(long n, long *other)
{
    struct work work = {0};
    struct cce_error err;
    int result;

    failed = false;
    countdown = n;
    result = do_work(&work, &err);
    countdown = 0;
    CHECK(ERR_peek_error() == 0);
    if (result == 0)
        check_right(&work);
    else if (err.code != CCE_NO_MEMORY)
        ++*other;
    clean_up(&work);
    return failed;
}

/* Quick: each one at first, then wider and wider steps. */
static void test_allocations(bool every_later_one, bool quick)
{
    long n = 1, other = 0;

    for_good = every_later_one;
    while (work_without_memory(n, &other))
        n += quick ? 1 + n / 40 : 1;
    printf("%ld allocations, %ld failures reported as something else\n", n - 1,
           other);
}

int main(int argc, char **argv)
{
    bool quick = argc > 1 && strcmp(argv[1], "quick") == 0;

    CHECK(CRYPTO_set_mem_functions(test_malloc, test_realloc, test_free) == 1);
    load("ca.pem", &ca_text);
    load("client.pem", &client_text);
    load("ec.pem", &key_text);
    load("ec_dek_info.pem", &encrypted_text);
    test_success();
    test_queue();
    test_allocations(false, quick);
    test_allocations(true, quick);
    return 0;
}
