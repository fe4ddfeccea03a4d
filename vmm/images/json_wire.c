/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/json_wire.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* ---- writing ---- */

static int put(FILE *file, const void *bytes, size_t length)
{
    return fwrite(bytes, 1, length, file) == length ? 0 : -EIO;
}

static int put_number(FILE *file, char tag, size_t number)
{
    uint32_t told = (uint32_t)number;

    return number > UINT32_MAX || put(file, &tag, 1) < 0 ? -EINVAL : put(file, &told, sizeof(told));
}

static int put_text(FILE *file, const char *text, size_t length)
{
    if (memchr(text, '\0', length) || put_number(file, 's', length) < 0)
        return -EINVAL;
    return put(file, text, length);
}

static int write_value(FILE *file, struct json_object *value, int depth);

static int write_list(FILE *file, struct json_object *list, int depth)
{
    size_t count = json_object_array_length(list);
    int result = put_number(file, 'a', count);

    for (size_t i = 0; result == 0 && i < count; i++)
        result = write_value(file, json_object_array_get_idx(list, i), depth + 1);
    return result;
}

static int write_object(FILE *file, struct json_object *object, int depth)
{
    int result = put_number(file, 'o', (size_t)json_object_object_length(object));

    json_object_object_foreach(object, key, member) {
        if (result == 0)
            result = put_text(file, key, strlen(key));
        if (result == 0)
            result = write_value(file, member, depth + 1);
    }
    return result;
}

static int write_scalar(FILE *file, char tag, const void *bytes, size_t length)
{
    return put(file, &tag, 1) < 0 ? -EIO : put(file, bytes, length);
}

static int write_value(FILE *file, struct json_object *value, int depth)
{
    uint8_t is_true = json_object_get_boolean(value) ? 1 : 0;
    int64_t number = json_object_get_int64(value);

    if (depth > JSON_WIRE_DEPTH)
        return -EINVAL;
    switch (json_object_get_type(value)) {
    case json_type_null:
        return write_scalar(file, 'n', "", 0);
    case json_type_boolean:
        return write_scalar(file, 'b', &is_true, 1);
    case json_type_int:
        return write_scalar(file, 'i', &number, sizeof(number));
    case json_type_string:
        return put_text(file, json_object_get_string(value),
                        (size_t)json_object_get_string_len(value));
    case json_type_array:
        return write_list(file, value, depth);
    case json_type_object:
        return write_object(file, value, depth);
    default:
        return -EINVAL;
    }
}

int json_wire_write(FILE *file, struct json_object *value)
{
    return write_value(file, value, 0);
}

/* ---- reading ---- */

struct reader {
    const char *at;
    size_t left;
    uint32_t elements;
};

static const void *take(struct reader *reader, size_t length)
{
    const char *bytes = reader->at;

    if (length > reader->left)
        return NULL;
    reader->at += length;
    reader->left -= length;
    return bytes;
}

static bool take_number(struct reader *reader, uint32_t *number)
{
    const void *bytes = take(reader, sizeof(*number));

    if (bytes)
        memcpy(number, bytes, sizeof(*number));
    return bytes;
}

/* LENGTH bytes without NUL; NULL when they are not that. */
static const char *take_text(struct reader *reader, uint32_t *length)
{
    const char *text;

    if (!take_number(reader, length) || *length > INT32_MAX)
        return NULL;
    text = take(reader, *length);
    return text && !memchr(text, '\0', *length) ? text : NULL;
}

static int read_value(struct reader *reader, int depth, struct json_object **value);

static int read_list(struct reader *reader, int depth, uint32_t count, struct json_object *list)
{
    for (uint32_t i = 0; i < count; i++) {
        struct json_object *element;

        if (read_value(reader, depth + 1, &element) < 0)
            return -EBADMSG;
        if (json_object_array_add(list, element) < 0) {
            json_object_put(element);
            return -EBADMSG;
        }
    }
    return 0;
}

static int read_member(struct reader *reader, int depth, struct json_object *object)
{
    const char *tag = take(reader, 1);
    struct json_object *member;
    uint32_t length;
    const char *text = tag && *tag == 's' ? take_text(reader, &length) : NULL;
    char key[256];

    if (!text || length >= sizeof(key))
        return -EBADMSG;
    memcpy(key, text, length);
    key[length] = '\0';
    if (read_value(reader, depth + 1, &member) < 0)
        return -EBADMSG;
    if (json_object_object_add(object, key, member) == 0)
        return 0;
    json_object_put(member);
    return -EBADMSG;
}

static int read_object(struct reader *reader, int depth, uint32_t count, struct json_object *object)
{
    for (uint32_t i = 0; i < count; i++)
        if (read_member(reader, depth, object) < 0)
            return -EBADMSG;
    return 0;
}

static int read_many(struct reader *reader, char tag, int depth, struct json_object **value)
{
    uint32_t count;
    int result;

    if (!take_number(reader, &count) || count > JSON_WIRE_ELEMENTS_MAX - reader->elements)
        return -EBADMSG;
    reader->elements += count;
    *value = tag == 'a' ? json_object_new_array() : json_object_new_object();
    if (!*value)
        return -EBADMSG;
    result = tag == 'a' ? read_list(reader, depth, count, *value)
                        : read_object(reader, depth, count, *value);
    if (result < 0) {
        json_object_put(*value);
        *value = NULL;
    }
    return result;
}

static int read_scalar(struct reader *reader, char tag, struct json_object **value)
{
    uint32_t length;
    const void *bytes = tag == 'n'   ? ""
                        : tag == 's' ? take_text(reader, &length)
                        : tag == 'b' ? take(reader, 1)
                        : tag == 'i' ? take(reader, sizeof(int64_t))
                                     : NULL;
    int64_t number;

    *value = NULL;
    if (!bytes || tag == 'n')
        return bytes ? 0 : -EBADMSG;
    if (tag == 's') {
        *value = json_object_new_string_len(bytes, (int)length);
    } else if (tag == 'b') {
        *value = json_object_new_boolean(*(const uint8_t *)bytes != 0);
    } else {
        memcpy(&number, bytes, sizeof(number));
        *value = json_object_new_int64(number);
    }
    return *value ? 0 : -EBADMSG;
}

static int read_value(struct reader *reader, int depth, struct json_object **value)
{
    const char *tag = take(reader, 1);

    *value = NULL;
    if (!tag || depth > JSON_WIRE_DEPTH)
        return -EBADMSG;
    return *tag == 'a' || *tag == 'o' ? read_many(reader, *tag, depth, value)
                                      : read_scalar(reader, *tag, value);
}

int json_wire_read(const void *bytes, size_t length, struct json_object **value)
{
    struct reader reader = { bytes, length, 0 };
    int result = read_value(&reader, 0, value);

    if (result == 0 && reader.left > 0) {
        json_object_put(*value);
        *value = NULL;
        result = -EBADMSG;
    }
    return result;
}
