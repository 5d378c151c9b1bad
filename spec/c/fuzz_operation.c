/*
 * Any ids and any options for each call of the API: what is built has the path
 * of its row, with one plain segment for each id, and nothing is said on more
 * than one line.
 */
#include "core/wire/operation.h"
#include "fuzz.h"

static size_t slashes(const char *text, size_t length)
{
    size_t count = 0;

    for (size_t i = 0; i < length; i++)
        count += text[i] == '/';
    return count;
}

static void check_path(const struct cce_operation_request *request)
{
    const struct cce_buf *path = &request->path;
    const char *row = request->operation->path;

    REQUIRE(slashes(path->data, path->length) == slashes(row, strlen(row)));
    REQUIRE(strstr(path->data, "..") == NULL);
    for (size_t i = 0; i < path->length; i++)
        REQUIRE(cce_is_alphanumeric(path->data[i]) ||
                strchr("/._-", path->data[i]) != NULL);
}

static struct cce_value take(struct fuzz_input *input, enum cce_value_type type,
                             char **memory)
{
    struct cce_value value = {.type = type};

    *memory = fuzz_field(input, false, &value.length);
    value.string = *memory;
    value.boolean = value.length % 2 != 0;
    memcpy(&value.number, *memory,
           value.length < sizeof value.number ? value.length
                                              : sizeof value.number);
    return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {{(const char *)data + 1, size - 1}};
    struct cce_value ids[CCE_ID_COUNT], values[CCE_OPERATION_FIELDS_MAX] = {0};
    char *memory[CCE_ID_COUNT + CCE_OPERATION_FIELDS_MAX];
    struct cce_operation_request request = {0};
    const struct cce_operation *operation;
    struct cce_error err;
    size_t rows = 0, count = 0;

    if (size < 2)
        return 0;
    while (cce_operation_at(rows) != NULL)
        rows++;
    operation = cce_operation_at(data[0] % rows);
    for (int i = 0; i < CCE_ID_COUNT; i++)
        ids[i] = take(&input, CCE_VALUE_STRING, &memory[count++]);
    for (size_t i = 0; i < operation->field_count; i++)
        if (input.rest.length > 0)
            values[i] =
                take(&input, cce_operation_field_type(&operation->fields[i]),
                     &memory[count++]);
    if (cce_operation_build(operation, ids, values, 1767323045, &request,
                            &err) == 0)
        check_path(&request);
    else
        REQUIRE(fuzz_is_one_line(err.message));
    cce_operation_request_cleanup(&request);
    while (count > 0)
        free(memory[--count]);
    return 0;
}
