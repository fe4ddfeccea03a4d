/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/schema.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/config/mac.h"

#define PATH_SIZE 160 /* longer ones are cut in messages */

/* ---- reading ------------------------------------------------------------ */

/* A member as the reader yields it, before it becomes a field. */
union member {
    const char *text;
    uint64_t number;
    bool flag;
    unsigned int choice;
    struct json_object *object;
};

static struct json_key key_of(const struct schema_row *row, size_t index)
{
    struct json_key key = { .name = row->key, .offset = index * sizeof(union member) };

    switch (row->kind) {
    case SCHEMA_TEXT:
    case SCHEMA_WORD:
    case SCHEMA_MAC:
        key.kind = JSON_TEXT;
        break;
    case SCHEMA_FLAG:
        key.kind = JSON_FLAG;
        break;
    case SCHEMA_NUMBER:
        key.kind = JSON_NUMBER;
        key.minimum = row->minimum;
        key.maximum = row->maximum;
        break;
    case SCHEMA_DESCRIPTOR:
        key.kind = JSON_NUMBER;
        key.maximum = INT_MAX;
        break;
    case SCHEMA_CHOICE:
        key.kind = JSON_CHOICE;
        key.choices = row->choices;
        break;
    case SCHEMA_OBJECT:
        key.kind = JSON_MEMBERS;
        break;
    case SCHEMA_LIST:
        key.kind = JSON_LIST;
        break;
    }
    return key;
}

static int read_word(const struct schema_json *json, const char *path, const struct schema_row *row,
                     const char *text, char *word)
{
    if (strlen(text) >= row->size)
        return json_reader_wrong(json->reader, path, "'%.80s' is too long; give up to %zu characters",
                                 text, row->size - 1);
    strcpy(word, text);
    return 0;
}

static int read_list(const struct schema_json *json, const char *path, const struct schema_row *row,
                     struct json_object *list, void *target)
{
    size_t count = json_object_array_length(list);
    char *items = (char *)target + row->offset;
    struct schema_json inner = { .reader = json->reader, .pool = json->pool };
    int result = 0;

    if (count > row->maximum)
        return json_reader_wrong(json->reader, path, "has over %llu elements; give fewer",
                                 (unsigned long long)row->maximum);
    for (size_t i = 0; result == 0 && i < count; i++) {
        struct json_object *element = json_object_array_get_idx(list, i);
        void *item = items + i * row->nested->size;
        char joined[PATH_SIZE];

        snprintf(joined, sizeof(joined), "%.120s[%zu]", path, i);
        if (!json_object_is_type(element, json_type_object))
            return json_reader_wrong(json->reader, joined, "is no object; write it in braces");
        schema_default(row->nested, item);
        result = schema_json_read(&inner, joined, element, row->nested, item);
    }
    if (result == 0)
        memcpy((char *)target + row->count_offset, &count, sizeof(count));
    return result;
}

static int read_object(const struct schema_json *json, const char *path,
                       const struct schema_row *row, struct json_object *object, void *field)
{
    struct schema_json inner = { .reader = json->reader, .pool = json->pool };

    schema_default(row->nested, field);
    return schema_json_read(&inner, path, object, row->nested, field);
}

static int set_field(const struct schema_json *json, const char *path, const struct schema_row *row,
                     const union member *member, void *target)
{
    void *field = (char *)target + row->offset;
    const char *fault;
    int fd;

    switch (row->kind) {
    case SCHEMA_TEXT:
        if (!(*(const char **)field = config_pool_text(json->pool, member->text)))
            return error_system(json->reader->error, ENOMEM, "%s", path);
        break;
    case SCHEMA_WORD:
        return read_word(json, path, row, member->text, field);
    case SCHEMA_MAC:
        if ((fault = mac_parse(member->text, field)))
            return json_reader_wrong(json->reader, path, "'%.40s' %s", member->text, fault);
        break;
    case SCHEMA_FLAG:
        *(bool *)field = member->flag;
        break;
    case SCHEMA_NUMBER:
        memcpy(field, &member->number, row->size); /* in range, little-endian */
        break;
    case SCHEMA_DESCRIPTOR:
        fd = (int)member->number;
        memcpy(field, &fd, sizeof(fd));
        break;
    case SCHEMA_CHOICE:
        *(unsigned int *)field = member->choice;
        break;
    case SCHEMA_OBJECT:
        return read_object(json, path, row, member->object, field);
    case SCHEMA_LIST:
        return read_list(json, path, row, member->object, target);
    }
    return 0;
}

/* A key whose value is null counts as absent, see json_reader.h. */
static bool is_there(struct json_object *object, const char *key)
{
    struct json_object *value;

    return json_object_object_get_ex(object, key, &value) && value;
}

/* A number whose default is out of its range, such as a forwarded port: an object without it says nothing. */
static bool is_required(const struct schema_row *row, const void *target)
{
    uint64_t number = 0;

    if (row->kind != SCHEMA_NUMBER)
        return false;
    memcpy(&number, (const char *)target + row->offset, row->size); /* little-endian */
    return number < row->minimum || number > row->maximum;
}

int schema_json_read(const struct schema_json *json, const char *path, struct json_object *object,
                     const struct schema *schema, void *target)
{
    struct json_key keys[SCHEMA_ROWS_MAX];
    union member members[SCHEMA_ROWS_MAX];
    int result;

    assert(schema->count + json->extra_count <= ARRAY_LENGTH(keys));
    for (size_t i = 0; i < schema->count; i++) {
        keys[i] = key_of(&schema->rows[i], i);
        keys[i].required = is_required(&schema->rows[i], target);
    }
    for (size_t i = 0; i < json->extra_count; i++) {
        keys[schema->count + i] = json->extra[i];
        keys[schema->count + i].offset = (schema->count + i) * sizeof(union member);
    }
    result = json_reader_members(json->reader, path, object, keys, schema->count + json->extra_count,
                                 members);
    for (size_t i = 0; result == 0 && i < schema->count; i++) {
        char joined[PATH_SIZE];

        if (!is_there(object, schema->rows[i].key))
            continue;
        snprintf(joined, sizeof(joined), "%s%s%s", path, path[0] ? "." : "", schema->rows[i].key);
        result = set_field(json, joined, &schema->rows[i], &members[i], target);
    }
    for (size_t i = 0; result == 0 && i < json->extra_count; i++)
        if (json->extra[i].kind != JSON_IGNORED && is_there(object, json->extra[i].name))
            memcpy((char *)json->extra_target + json->extra[i].offset, &members[schema->count + i],
                   sizeof(union member));
    return result;
}

/* ---- writing ------------------------------------------------------------ */

void schema_json_text(FILE *stream, const char *text)
{
    fputc('"', stream);
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;

        if (byte == '"' || byte == '\\')
            fprintf(stream, "\\%c", byte);
        else if (byte < ' ' || byte == 0x7f)
            fprintf(stream, "\\u%04x", byte);
        else
            fputc(byte, stream);
    }
    fputc('"', stream);
}

void schema_json_begin(FILE *stream, unsigned int depth, const char *key, bool *first)
{
    fprintf(stream, "%s\n%*s", *first ? "" : ",", 2 * (int)depth, "");
    *first = false;
    if (key)
        fprintf(stream, "\"%s\": ", key);
}

/* What is there only where somebody said it: it is left out where it is as the default has it. */
static bool is_optional(enum schema_kind kind)
{
    return kind != SCHEMA_FLAG && kind != SCHEMA_NUMBER && kind != SCHEMA_CHOICE;
}

static void write_number(FILE *stream, const void *field, size_t size)
{
    uint64_t value = 0;

    memcpy(&value, field, size);
    fprintf(stream, "%llu", (unsigned long long)value);
}

static void write_members(FILE *stream, unsigned int depth, const struct schema *schema,
                          const void *source)
{
    bool first = true;

    fputc('{', stream);
    schema_json_write(stream, depth + 1, schema, source, &first);
    fprintf(stream, "\n%*s}", 2 * (int)depth, "");
}

static void write_list(FILE *stream, unsigned int depth, const struct schema_row *row,
                       const void *source)
{
    const char *items = (const char *)source + row->offset;
    size_t count;
    bool first = true;

    memcpy(&count, (const char *)source + row->count_offset, sizeof(count));
    fputc('[', stream);
    for (size_t i = 0; i < count; i++) {
        schema_json_begin(stream, depth + 1, NULL, &first);
        write_members(stream, depth + 1, row->nested, items + i * row->nested->size);
    }
    fprintf(stream, "\n%*s]", 2 * (int)depth, "");
}

static void write_value(FILE *stream, unsigned int depth, const struct schema_row *row,
                        const void *source)
{
    const char *field = (const char *)source + row->offset;
    char mac[MAC_TEXT_SIZE];
    unsigned int choice;

    switch (row->kind) {
    case SCHEMA_TEXT:
        schema_json_text(stream, *(const char *const *)(const void *)field);
        break;
    case SCHEMA_WORD:
        schema_json_text(stream, field);
        break;
    case SCHEMA_MAC:
        mac_print((const uint8_t *)field, mac);
        schema_json_text(stream, mac);
        break;
    case SCHEMA_FLAG:
        fputs(*(const bool *)field ? "true" : "false", stream);
        break;
    case SCHEMA_NUMBER:
    case SCHEMA_DESCRIPTOR:
        write_number(stream, field, row->size);
        break;
    case SCHEMA_CHOICE:
        memcpy(&choice, field, sizeof(choice));
        schema_json_text(stream, row->choices[choice]);
        break;
    case SCHEMA_OBJECT:
        write_members(stream, depth, row->nested, field);
        break;
    case SCHEMA_LIST:
        write_list(stream, depth, row, source);
        break;
    }
}

void schema_json_write(FILE *stream, unsigned int depth, const struct schema *schema,
                       const void *source, bool *first)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct schema_row *row = &schema->rows[i];

        if (is_optional(row->kind) && schema_row_is_default(schema, row, source))
            continue;
        schema_json_begin(stream, depth, row->key, first);
        write_value(stream, depth, row, source);
    }
}
