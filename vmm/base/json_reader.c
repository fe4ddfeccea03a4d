/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/json_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <json-c/json_tokener.h>
#include <json-c/linkhash.h>

#include "vmm/base/byte_order_mark.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json_duplicates.h"
#include "vmm/base/options.h"

#define FILE_MAX (1u << 20)
#define DEPTH_MAX 16
#define PATH_SIZE 160

int json_reader_wrong(const struct json_reader *reader, const char *path, const char *format, ...)
{
    char text[400];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return error_set(reader->error, EINVAL, "%s%s: %s%s%s", reader->option, reader->file, path,
                     path[0] ? ": " : "", text);
}

/* ---- the file ----------------------------------------------------------- */

/* All of the file, which may be a pipe (<(…) of a shell).  Returns its length. */
static ssize_t read_whole(const struct json_reader *reader, int fd, char *bytes, size_t size)
{
    size_t length = 0;

    for (;;) {
        ssize_t got = read(fd, bytes + length, size - length);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_system(reader->error, errno, "--config-file %s", reader->file);
        if (got == 0)
            return (ssize_t)length;
        length += (size_t)got;
        if (length == size)
            return json_reader_wrong(reader, "", "is larger than %u KiB; give a shorter file",
                                     FILE_MAX >> 10);
    }
}

/* A place in the text as messages have it. */
struct place {
    size_t line, column;
};

static struct place place_of(const char *text, size_t at)
{
    struct place place = { 1, 1 };

    for (size_t i = 0; i < at; i++) {
        place.column = text[i] == '\n' ? 1 : place.column + 1;
        place.line += text[i] == '\n';
    }
    return place;
}

static int no_json(const struct json_reader *reader, const char *text, size_t at, const char *why)
{
    struct place place = place_of(text, at);

    return json_reader_wrong(reader, "", "line %zu, column %zu: is no JSON (%s); correct it there",
                             place.line, place.column, why);
}

static int check_duplicates(const struct json_reader *reader, const char *text, size_t length)
{
    cleanup_free char *name = NULL;
    const char *found = json_find_duplicate(text, length, &name);
    struct place place;

    if (!found)
        return 0;
    place = place_of(text, (size_t)(found - text));
    return json_reader_wrong(reader, "", "line %zu, column %zu: the key '%.80s' is given twice; give it once",
                             place.line, place.column, name ? name : "");
}

static int parse(struct json_reader *reader, const char *text, size_t length)
{
    struct json_tokener *tokener;
    enum json_tokener_error state;
    size_t mark = byte_order_mark(text, length);
    int result = 0;

    if (is_utf16(text, length))
        return json_reader_wrong(reader, "", "is UTF-16; save it as UTF-8");
    text += mark;
    length -= mark;
    tokener = json_tokener_new_ex(DEPTH_MAX);
    if (!tokener)
        return error_system(reader->error, ENOMEM, "%s%s", reader->option, reader->file);
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    reader->root = json_tokener_parse_ex(tokener, text, (int)length);
    state = json_tokener_get_error(tokener);
    if (state == json_tokener_continue)
        result = no_json(reader, text, length, "it ends too early");
    else if (state != json_tokener_success)
        result = no_json(reader, text, json_tokener_get_parse_end(tokener),
                         json_tokener_error_desc(state));
    else if (json_tokener_get_parse_end(tokener) < length)
        /* Only a NUL makes the tokener stop and be content. */
        result = no_json(reader, text, json_tokener_get_parse_end(tokener), "a NUL character");
    else if (!json_object_is_type(reader->root, json_type_object))
        result = json_reader_wrong(reader, "", "is no JSON object; begin it with {");
    else
        result = check_duplicates(reader, text, length);
    json_tokener_free(tokener);
    return result;
}

int json_reader_open(struct json_reader *reader, const char *file, struct error *error)
{
    cleanup_free char *text = malloc(FILE_MAX);
    cleanup_fd int fd = -1;
    ssize_t length;
    int result;

    *reader = (struct json_reader){ .option = "--config-file ", .file = file, .error = error };
    if (!text)
        return error_system(error, ENOMEM, "--config-file %s", file);
    /* A FIFO that nobody writes must not hold us here: it reads as empty. */
    fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return error_set(error, errno, "--config-file %s: %s; check the path", file,
                         strerror(errno));
    fcntl(fd, F_SETFL, 0);
    length = read_whole(reader, fd, text, FILE_MAX);
    if (length < 0)
        return (int)length;
    if (length == 0)
        return json_reader_wrong(reader, "", "is empty; write the configuration into it");
    result = parse(reader, text, (size_t)length);
    if (result < 0)
        json_reader_close(reader);
    return result;
}

int json_reader_parse(struct json_reader *reader, const char *what, const char *text,
                      size_t length, struct error *error)
{
    int result;

    *reader = (struct json_reader){ .option = "", .file = what, .error = error };
    result = parse(reader, text, length);
    if (result < 0)
        json_reader_close(reader);
    return result;
}

void json_reader_close(struct json_reader *reader)
{
    json_object_put(reader->root);
    reader->root = NULL;
}

/* ---- values ------------------------------------------------------------- */

static const char *kind_name(enum json_type type)
{
    switch (type) {
    case json_type_null:
        return "null";
    case json_type_boolean:
        return "a boolean";
    case json_type_double:
        return "a fraction";
    case json_type_int:
        return "a number";
    case json_type_object:
        return "an object";
    case json_type_array:
        return "an array";
    case json_type_string:
        break;
    }
    return "a text";
}

static int wrong_type(const struct json_reader *reader, const char *path,
                      struct json_object *value, const char *wanted)
{
    return json_reader_wrong(reader, path, "is %s; give %s",
                             kind_name(json_object_get_type(value)), wanted);
}

static int read_text(const struct json_reader *reader, const char *path, struct json_object *value,
                     const char **text)
{
    if (!json_object_is_type(value, json_type_string))
        return wrong_type(reader, path, value, "a text in quotes");
    *text = json_object_get_string(value);
    if (strlen(*text) != (size_t)json_object_get_string_len(value))
        return json_reader_wrong(reader, path, "has a NUL character in it; remove it");
    return 0;
}

static int read_number(const struct json_reader *reader, const char *path,
                       struct json_object *value, const struct json_key *key, uint64_t *number)
{
    if (!json_object_is_type(value, json_type_int))
        return wrong_type(reader, path, value, "a whole number");
    *number = json_object_get_uint64(value);
    /* What is negative reads as 0 above. */
    if (json_object_get_int64(value) < 0 || *number < key->minimum || *number > key->maximum)
        return json_reader_wrong(reader, path, "%s is out of range; give %llu to %llu",
                                 json_object_get_string(value), (unsigned long long)key->minimum,
                                 (unsigned long long)key->maximum);
    return 0;
}

static int read_choice(const struct json_reader *reader, const char *path,
                       struct json_object *value, const struct json_key *key, unsigned int *index)
{
    const char *text;
    char list[128] = "";
    int result = read_text(reader, path, value, &text);

    if (result < 0)
        return result;
    for (unsigned int i = 0; key->choices[i]; i++) {
        if (strcasecmp(text, key->choices[i]) == 0) {
            *index = i;
            return 0;
        }
        strncat(list, i ? ", " : "", sizeof(list) - strlen(list) - 1);
        strncat(list, key->choices[i], sizeof(list) - strlen(list) - 1);
    }
    return json_reader_wrong(reader, path, "'%s' is unknown; use one of %s", text, list);
}

static bool asks_for_nothing(struct json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        return true;
    case json_type_boolean:
        return !json_object_get_boolean(value);
    case json_type_object:
        return json_object_object_length(value) == 0;
    case json_type_array:
        return json_object_array_length(value) == 0;
    default:
        return false;
    }
}

/* Defaults that change nothing may stand there. */
static int refuse(const struct json_reader *reader, const char *path, struct json_object *value,
                  const struct json_key *key)
{
    if (asks_for_nothing(value))
        return 0;
    if (json_object_is_type(value, json_type_string) && key->choices &&
        strcasecmp(json_object_get_string(value), key->choices[0]) == 0)
        return 0;
    return json_reader_wrong(reader, path, "%s", key->why);
}

static int read_value(const struct json_reader *reader, const char *path,
                      struct json_object *value, const struct json_key *key, void *field)
{
    switch (key->kind) {
    case JSON_TEXT:
        return read_text(reader, path, value, field);
    case JSON_NUMBER:
        return read_number(reader, path, value, key, field);
    case JSON_CHOICE:
        return read_choice(reader, path, value, key, field);
    case JSON_FLAG:
        if (!json_object_is_type(value, json_type_boolean))
            return wrong_type(reader, path, value, "true or false");
        *(bool *)field = json_object_get_boolean(value);
        return 0;
    case JSON_MEMBERS:
        if (!json_object_is_type(value, json_type_object))
            return wrong_type(reader, path, value, "an object in braces");
        *(struct json_object **)field = value;
        return 0;
    case JSON_LIST:
        if (!json_object_is_type(value, json_type_array))
            return wrong_type(reader, path, value, "an array in brackets");
        *(struct json_object **)field = value;
        return 0;
    case JSON_REFUSED:
        return refuse(reader, path, value, key);
    case JSON_IGNORED:
        break;
    }
    return 0;
}

/* ---- objects ------------------------------------------------------------ */

static const char *key_name(const void *context, size_t index)
{
    return ((const struct json_key *)context)[index].name;
}

static void join(char *joined, const char *path, const char *name)
{
    snprintf(joined, PATH_SIZE, "%s%s%s", path, path[0] ? "." : "", name);
}

/* The keys that do something. */
static int unknown_key(const struct json_reader *reader, const char *path, const struct json_key *keys,
                       size_t count)
{
    char list[240] = "";

    for (size_t i = 0; i < count; i++) {
        if (keys[i].kind == JSON_REFUSED || keys[i].kind == JSON_IGNORED)
            continue;
        strncat(list, list[0] ? ", " : "", sizeof(list) - strlen(list) - 1);
        strncat(list, keys[i].name, sizeof(list) - strlen(list) - 1);
    }
    return json_reader_wrong(reader, path, "is an unknown key; remove it, or use one of %s", list);
}

static int check_names(const struct json_reader *reader, const char *path,
                       struct json_object *object, const struct json_key *keys, size_t count)
{
    json_object_object_foreach(object, name, value)
    {
        char joined[PATH_SIZE];
        const char *nearest;
        size_t i = 0;

        while (i < count && strcmp(keys[i].name, name) != 0)
            i++;
        if (i < count || asks_for_nothing(value))
            continue;
        join(joined, path, name);
        nearest = options_nearest(name, key_name, keys, count);
        if (nearest)
            return json_reader_wrong(reader, joined, "is an unknown key; did you mean %s?",
                                     nearest);
        return unknown_key(reader, joined, keys, count);
    }
    return 0;
}

int json_reader_members(const struct json_reader *reader, const char *path,
                        struct json_object *object, const struct json_key *keys, size_t count,
                        void *target)
{
    int result = check_names(reader, path, object, keys, count);

    for (size_t i = 0; result == 0 && i < count; i++) {
        struct json_object *value;
        char joined[PATH_SIZE];

        join(joined, path, keys[i].name);
        if (json_object_object_get_ex(object, keys[i].name, &value) && value)
            result = read_value(reader, joined, value, &keys[i], (char *)target + keys[i].offset);
        else if (keys[i].required)
            result = json_reader_wrong(reader, joined, "is missing; add it");
    }
    return result;
}
