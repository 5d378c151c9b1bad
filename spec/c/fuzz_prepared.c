/*
 * Any request that is prepared and then signed, against the same request signed
 * at once: the same canonical request and Authorization, or neither.
 */
#include "core/sign.h"
#include "core/wire/operation.h"
#include "fuzz.h"
#include "fuzz_signer.h"

enum { MAX_FIELDS = 64, MAX_PAIRS = 6 };

struct fields {
    char *memory[MAX_FIELDS];
    size_t count;
};

static struct cce_bytes take(struct fields *fields, struct fuzz_input *input)
{
    struct cce_bytes bytes;

    bytes.data = fields->memory[fields->count++] =
        fuzz_field(input, false, &bytes.length);
    return bytes;
}

/* The template with the ids in its places. */
static void fill(struct cce_buf *path, struct cce_bytes form,
                 const struct cce_bytes *ids)
{
    for (size_t i = 0; i < form.length; i++) {
        if (form.data[i] != '{') {
            cce_buf_append_char(path, form.data[i]);
            continue;
        }
        cce_buf_append(path, ids->data, ids->length);
        ids++;
        while (form.data[i] != '}')
            i++;
    }
}

static void compare(unsigned choice, const struct cce_sign_request *whole,
                    const struct cce_bytes *ids)
{
    struct cce_signer *signer = the_signer(choice % 3);
    struct cce_sign_request first = *whole, then = {0}, plain = *whole;
    struct cce_sign_prepared prepared = {0};
    struct cce_sign_work work, other;
    struct cce_sign_result result, expected;
    struct cce_pair copy[MAX_PAIRS];
    struct cce_error err;
    struct cce_buf path;
    bool are_ids = true;

    then.default_date = first.default_date;
    if (choice & 4) {
        then.query = first.query;
        then.query_count = first.query_count;
        first.query_count = 0;
    }
    if (choice & 8) {
        then.body = first.body;
        first.body = (struct cce_bytes){NULL, 0};
    }
    if (choice & 16) {
        then.date = first.date;
        first.date = (struct cce_bytes){NULL, 0};
    }
    cce_buf_init(&path, 1 << 20);
    cce_sign_work_init(&work);
    cce_sign_work_init(&other);
    if (cce_sign_prepare(signer, &first, &prepared, &err) == 0) {
        bool one, all;

        for (size_t i = 0; i < prepared.place_count; i++)
            are_ids = are_ids && cce_operation_is_id(ids[i]);
        fill(&path, whole->path, ids);
        plain.path = (struct cce_bytes){path.data, path.length};
        memcpy(copy, whole->query, whole->query_count * sizeof *copy);
        plain.query = copy;
        one = cce_sign_prepared(signer, &prepared, &then, ids, &work, &result,
                                &err) == 0;
        all = are_ids &&
              cce_sign_request(signer, &plain, &other, &expected, &err) == 0;
        REQUIRE(one == all);
        if (one) {
            REQUIRE(cce_bytes_same(result.canonical_request,
                                   expected.canonical_request));
            REQUIRE(
                cce_bytes_same(result.authorization, expected.authorization));
            REQUIRE(strcmp(result.date, expected.date) == 0);
            REQUIRE(result.host_given == expected.host_given);
            REQUIRE(result.date_given == expected.date_given);
        }
    } else {
        REQUIRE(fuzz_is_one_line(err.message));
    }
    cce_sign_work_cleanup(&work);
    cce_sign_work_cleanup(&other);
    cce_sign_prepared_cleanup(&prepared);
    cce_buf_cleanup(&path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {{(const char *)data + 2, size - 2}};
    struct fields fields = {.count = 0};
    struct cce_pair pairs[2][MAX_PAIRS];
    struct cce_bytes ids[CCE_SIGN_PLACES_MAX];
    struct cce_sign_request whole = {.default_date =
                                         CCE_BYTES("20260102T030405Z")};

    if (size < 3)
        return 0;
    whole.method = take(&fields, &input);
    whole.host = take(&fields, &input);
    whole.path = take(&fields, &input);
    if (data[0] & 32)
        whole.date = take(&fields, &input);
    for (int i = 0; i < CCE_SIGN_PLACES_MAX; i++)
        ids[i] = i < (data[1] & 7) ? take(&fields, &input)
                                   : (struct cce_bytes)CCE_BYTES("id-1");
    for (int kind = 0; kind < 2; kind++) {
        size_t *count = kind == 0 ? &whole.header_count : &whole.query_count;

        while (*count < (size_t)(data[1] >> 3 & 7) && *count < MAX_PAIRS &&
               input.rest.length > 0) {
            pairs[kind][*count].name = take(&fields, &input);
            pairs[kind][*count].value = take(&fields, &input);
            ++*count;
        }
    }
    whole.headers = pairs[0];
    whole.query = pairs[1];
    whole.body = take(&fields, &input);
    compare(data[0], &whole, ids);
    while (fields.count > 0)
        free(fields.memory[--fields.count]);
    return 0;
}
