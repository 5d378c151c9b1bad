#include "core/ini.h"

#include <string.h>

enum kind { BLANK, SECTION, OPTION, CONTINUATION, UNKNOWN };

struct reader {
    struct cce_bytes rest;
    size_t number; /* of the line, from 1 */
    size_t indent; /* of the option that a deeper line goes on with */
    struct cce_bytes section; /* its name; no data: none yet */
    bool in_option;

    enum kind kind; /* of the line that was read last */
    struct cce_bytes name, value;
};

static struct reader begin(struct cce_bytes text)
{
    static const char mark[] = "\xef\xbb\xbf";
    struct reader reader = {.rest = text};

    if (text.length >= 3 && memcmp(text.data, mark, 3) == 0) {
        reader.rest.data += 3;
        reader.rest.length -= 3;
    }
    return reader;
}

/* Lines end with LF, CR LF or CR, as files of any system do. */
static struct cce_bytes take_line(struct cce_bytes *rest)
{
    struct cce_bytes line = {rest->data, 0};
    size_t skip;

    while (line.length < rest->length && line.data[line.length] != '\n' &&
           line.data[line.length] != '\r')
        line.length++;
    skip = line.length < rest->length ? line.length + 1 : line.length;
    if (skip < rest->length && rest->data[line.length] == '\r' &&
        rest->data[skip] == '\n')
        skip++;
    rest->data += skip;
    rest->length -= skip;
    return line;
}

/* configparser reads up to the last bracket of the line, others up to the
 * first: where there are two it is no section. */
static void read_section(struct reader *reader, struct cce_bytes line)
{
    const char *close = memchr(line.data, ']', line.length);
    struct cce_bytes name = {line.data + 1, 0};

    reader->in_option = false;
    if (close == NULL || close == line.data + 1 ||
        memchr(close + 1, ']', line.length - (size_t)(close + 1 - line.data)))
        return;
    name.length = (size_t)(close - name.data);
    reader->kind = SECTION;
    reader->section = reader->name = cce_bytes_trim(name);
}

/* Whichever of "=" and ":" comes first ends the name. */
static void read_option(struct reader *reader, struct cce_bytes line)
{
    struct cce_bytes name = {line.data, 0};

    while (name.length < line.length && line.data[name.length] != '=' &&
           line.data[name.length] != ':')
        name.length++;
    if (name.length == 0 || name.length == line.length)
        return;
    reader->kind = OPTION;
    reader->in_option = true;
    reader->value.data = line.data + name.length + 1;
    reader->value.length = line.length - name.length - 1;
    reader->value = cce_bytes_trim(reader->value);
    reader->name = cce_bytes_trim(name);
}

static bool next(struct reader *reader)
{
    struct cce_bytes line, content;
    size_t indent;

    if (reader->rest.length == 0)
        return false;
    line = take_line(&reader->rest);
    content = cce_bytes_trim(line);
    indent = content.length > 0 ? (size_t)(content.data - line.data) : 0;
    reader->number++;
    if (content.length == 0 || content.data[0] == '#' ||
        content.data[0] == ';') {
        reader->kind = BLANK;
        return true;
    }
    if (reader->in_option && indent > reader->indent) {
        /* The name stays that of the option. */
        reader->kind = CONTINUATION;
        return true;
    }
    reader->indent = indent;
    reader->kind = UNKNOWN;
    if (content.data[0] == '[')
        read_section(reader, content);
    else
        read_option(reader, content);
    return true;
}

/* What stands there is inherited by every section, in configparser. */
static bool is_default(struct cce_bytes section)
{
    return cce_bytes_same(section, cce_bytes_of("DEFAULT"));
}

/* ---- what is wrong ---- */

static bool is_known(struct cce_bytes name)
{
    static const char *const names[] = {
        "ak",        "sk",           "security_token", "project_id",
        "domain_id", "iam_endpoint", "idp_id",         "id_token_file"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (cce_bytes_same_letters(name, cce_bytes_of(names[i])))
            return true;
    return false;
}

/* Whether an earlier line is of the same section, or option of it. The text is
 * read from its start again for each line: key files are short, and so nothing
 * is kept of one that holds secrets. */
static bool is_repeated(struct cce_bytes text, const struct reader *at)
{
    struct reader earlier = begin(text);

    while (next(&earlier) && earlier.number < at->number)
        if (earlier.kind == at->kind &&
            cce_bytes_same(earlier.section, at->section) &&
            cce_bytes_same_letters(earlier.name, at->name))
            return true;
    return false;
}

/* Where Python sees a blank, of which Unicode has many, it strips the name, or
 * goes on with the value above; others do neither. */
static bool is_ascii(struct cce_bytes name)
{
    for (size_t i = 0; i < name.length; i++)
        if ((name.data[i] < ' ' && name.data[i] != '\t') || name.data[i] > '~')
            return false;
    return true;
}

const char *cce_key_problem(struct cce_bytes key)
{
    char first = key.length > 1 ? key.data[0] : 'x';

    if ((first == '"' || first == '\'') && key.data[key.length - 1] == first)
        return "the value is in quotes, which would be a part of it";
    /* configparser puts another value there. */
    if (key.length > 0 && memchr(key.data, '%', key.length) != NULL)
        return "the value holds a '%', which the official SDKs take for the "
               "beginning of a reference such as %(name)s";
    for (size_t i = 0; i < key.length; i++) {
        if (key.data[i] == ' ' || key.data[i] == '\t')
            return "the value holds a blank (a comment needs a line of its "
                   "own)";
        if (key.data[i] < '!' || key.data[i] > '~')
            return "the value holds a character that is not visible ASCII, as "
                   "copying leaves behind";
    }
    return NULL;
}

static const char *problem_of(struct cce_bytes text,
                              const struct reader *reader, const char *section)
{
    switch (reader->kind) {
    case BLANK:
        return NULL;
    case UNKNOWN:
        if (text.length > 1 && (memcmp(text.data, "\xff\xfe", 2) == 0 ||
                                memcmp(text.data, "\xfe\xff", 2) == 0))
            return "the file is UTF-16, as PowerShell writes it: save it as "
                   "UTF-8";
        return "it is no [section], and has no name with '=' or ':' behind it";
    case SECTION:
        return !is_default(reader->section) && is_repeated(text, reader)
                   ? "the section is there twice"
                   : NULL;
    case CONTINUATION:
        return is_known(reader->name)
                   ? "it is indented, and so goes on with the value above it"
                   : NULL;
    case OPTION:
        break;
    }
    if (reader->section.data == NULL)
        return "it stands before the first [section]";
    if (!is_ascii(reader->name))
        return "its name holds a character that is not visible ASCII, as "
               "copying leaves behind";
    if (is_repeated(text, reader))
        return "its name is there twice in its section";
    /* A file may be called anything. */
    if (section != NULL && is_known(reader->name) &&
        !cce_bytes_same_letters(reader->name, cce_bytes_of("id_token_file")) &&
        (is_default(reader->section) ||
         cce_bytes_same(reader->section, cce_bytes_of(section))))
        return cce_key_problem(reader->value);
    return NULL;
}

int cce_ini_check(struct cce_bytes text, const char *section,
                  struct cce_error *err)
{
    struct reader reader = begin(text);

    while (next(&reader)) {
        const char *problem = problem_of(text, &reader, section);

        if (problem != NULL)
            return cce_fail(err, CCE_INVALID_ARGUMENT, "line %zu: %s",
                            reader.number, problem);
    }
    return 0;
}

bool cce_ini_value(struct cce_bytes text, const char *section, const char *key,
                   struct cce_buf *out)
{
    struct reader reader = begin(text);
    struct cce_bytes own = {NULL, 0}, inherited = {NULL, 0};
    bool is_there = false;

    while (next(&reader)) {
        bool is_own = cce_bytes_same(reader.section, cce_bytes_of(section));

        is_there = is_there || (is_own && reader.section.data != NULL);
        if (reader.kind != OPTION ||
            !cce_bytes_same_letters(reader.name, cce_bytes_of(key)))
            continue;
        if (is_own)
            own = reader.value;
        else if (is_default(reader.section))
            inherited = reader.value;
    }
    if (own.data == NULL && is_there)
        own = inherited;
    cce_buf_append(out, own.data, own.length);
    return own.length > 0;
}
