/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/document.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <json-c/json_tokener.h>

int document_wrong(const char *name, const char *key, const char *what, struct error *error)
{
    return error_set(error, EINVAL, "%s: %s: %s; build the image anew", name, key, what);
}

static struct json_object *no_json(const char *name, const char *why, struct error *error)
{
    error_set(error, EINVAL, "%s: is no JSON of an image (%s); build the image anew", name, why);
    return NULL;
}

struct json_object *document_parse(const char *name, const void *text, size_t length,
                                   enum json_type type, struct error *error)
{
    struct json_tokener *tokener = json_tokener_new_ex(DOCUMENT_DEPTH);
    struct json_object *root;
    enum json_tokener_error state;
    bool whole;

    if (!tokener) {
        error_system(error, ENOMEM, "%s", name);
        return NULL;
    }
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8 |
                                        JSON_TOKENER_ALLOW_TRAILING_CHARS);
    root = json_tokener_parse_ex(tokener, text, (int)length);
    state = json_tokener_get_error(tokener);
    /* A newline may follow. */
    whole = true;
    for (size_t at = json_tokener_get_parse_end(tokener); at < length; at++)
        whole = whole && memchr(" \t\r\n", ((const char *)text)[at], 4);
    json_tokener_free(tokener);
    if (root && whole && json_object_is_type(root, type))
        return root;
    json_object_put(root);
    if (state == json_tokener_continue)
        return no_json(name, "it ends too early", error);
    return no_json(name, state != json_tokener_success ? json_tokener_error_desc(state)
                         : !whole                      ? "more follows it"
                         : type == json_type_array     ? "it is no list"
                                                       : "it is no object", error);
}

/* *VALUE is NULL when KEY is absent or null. */
static int member(const char *name, struct json_object *object, const char *key,
                  enum json_type type, const char *what, struct json_object **value,
                  struct error *error)
{
    *value = NULL;
    json_object_object_get_ex(object, key, value);
    if (*value && !json_object_is_type(*value, type))
        return document_wrong(name, key, what, error);
    return 0;
}

static int check_text(const char *name, const char *key, struct json_object *value,
                      const char **text, struct error *error)
{
    *text = json_object_get_string(value);
    if (strlen(*text) != (size_t)json_object_get_string_len(value))
        return document_wrong(name, key, "has a NUL character", error);
    if (strlen(*text) > DOCUMENT_TEXT_MAX)
        return document_wrong(name, key, "is longer than 64 KiB", error);
    return 0;
}

int document_text(const char *name, struct json_object *object, const char *key,
                  const char **text, struct error *error)
{
    struct json_object *value;

    *text = NULL;
    if (member(name, object, key, json_type_string, "is no text", &value, error) < 0)
        return -error->number;
    return value ? check_text(name, key, value, text, error) : 0;
}

int document_list(const char *name, struct json_object *object, const char *key,
                  struct json_object **list, struct error *error)
{
    if (member(name, object, key, json_type_array, "is no list", list, error) < 0)
        return -error->number;
    if (*list && json_object_array_length(*list) > DOCUMENT_LIST_MAX)
        return document_wrong(name, key, "has more than 4096 elements", error);
    return 0;
}

int document_object(const char *name, struct json_object *object, const char *key,
                    struct json_object **value, struct error *error)
{
    return member(name, object, key, json_type_object, "is no object", value, error);
}

int document_element(const char *name, const char *key, struct json_object *list, size_t index,
                     const char **text, struct error *error)
{
    struct json_object *value = json_object_array_get_idx(list, index);

    if (!json_object_is_type(value, json_type_string))
        return document_wrong(name, key, "has an element that is no text", error);
    return check_text(name, key, value, text, error);
}

int document_number(const char *name, struct json_object *object, const char *key,
                    uint64_t *number, struct error *error)
{
    struct json_object *value;

    *number = 0;
    if (member(name, object, key, json_type_int, "is no whole number", &value, error) < 0)
        return -error->number;
    if (value && json_object_get_int64(value) < 0)
        return document_wrong(name, key, "is negative", error);
    if (value)
        *number = (uint64_t)json_object_get_int64(value);
    return 0;
}
