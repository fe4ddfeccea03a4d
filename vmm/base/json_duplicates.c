/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/json_duplicates.h"

#include <stdbool.h>
#include <string.h>

#include <json-c/json_object.h>
#include <json-c/json_tokener.h>

/* As json_reader.c: what is deeper was refused before. */
#define DEPTH_MAX 16

/* The keys that were seen in each object and array that stands open; NULL for an array. */
struct walk {
    struct json_object *seen[DEPTH_MAX + 1];
    size_t depth;
};

/* The end of the string that begins at the quote AT, behind its last quote. */
static const char *end_of_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at < end ? at + 1 : end;
}

/* The text of the string from AT to END, quotes and escapes resolved, as json-c has it. */
static struct json_object *string_of(const char *at, const char *end)
{
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *string = NULL;

    if (tokener)
        string = json_tokener_parse_ex(tokener, at, (int)(end - at));
    json_tokener_free(tokener);
    return string;
}

static bool is_key(const char *at, const char *end)
{
    while (at < end && strchr(" \t\r\n", *at))
        at++;
    return at < end && *at == ':';
}

/* Whether the key from AT to END was there already; *NAME as above. */
static bool was_seen(const struct walk *walk, const char *at, const char *end, char **name)
{
    struct json_object *seen = walk->depth > 0 ? walk->seen[walk->depth - 1] : NULL;
    struct json_object *string = seen ? string_of(at, end) : NULL;
    const char *key = string ? json_object_get_string(string) : NULL;
    bool twice = key && json_object_object_get_ex(seen, key, NULL);

    if (twice)
        *name = strdup(key);
    else if (key)
        json_object_object_add(seen, key, NULL);
    json_object_put(string);
    return twice;
}

static void leave(struct walk *walk)
{
    if (walk->depth > 0)
        json_object_put(walk->seen[--walk->depth]);
}

const char *json_find_duplicate(const char *text, size_t length, char **name)
{
    const char *end = text + length, *found = NULL;
    struct walk walk = { .depth = 0 };

    *name = NULL;
    for (const char *at = text; at < end && !found;) {
        const char *next = at + 1;

        if (*at == '"') {
            next = end_of_string(at, end);
            if (is_key(next, end) && was_seen(&walk, at, next, name))
                found = at;
        } else if ((*at == '{' || *at == '[') && walk.depth <= DEPTH_MAX) {
            walk.seen[walk.depth++] = *at == '{' ? json_object_new_object() : NULL;
        } else if (*at == '}' || *at == ']') {
            leave(&walk);
        }
        at = next;
    }
    while (walk.depth > 0)
        leave(&walk);
    return found;
}
