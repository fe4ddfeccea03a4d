/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/options.h"

/*
 * Ends the item at TEXT with a NUL and turns ",," into ","; returns the next
 * item or NULL.
 */
static char *cut_item(char *text)
{
    char *from = text, *to = text;

    while (*from) {
        if (*from == ',') {
            if (from[1] != ',') {
                *to = '\0';
                return from + 1;
            }
            from++;
        }
        *to++ = *from++;
    }
    *to = '\0';
    return NULL;
}

static void read_item(struct setting *item, char *text, bool first)
{
    char *equals = strchr(text, '=');

    /* The first part may be a path with '=' in it; keys are short words. */
    if (equals && !(first && memchr(text, '/', (size_t)(equals - text)))) {
        *equals = '\0';
        *item = (struct setting){ .key = text, .value = equals + 1 };
    } else if (first) {
        *item = (struct setting){ .key = "", .value = text };
    } else {
        *item = (struct setting){ .key = text, .value = NULL };
    }
}

int settings_parse(struct settings *settings, const char *option, const char *text,
                   struct error *error)
{
    char *at;

    *settings = (struct settings){ .option = option, .text = strdup(text) };
    if (!settings->text)
        return error_system(error, ENOMEM, "--%s", option);
    for (at = settings->text; at;) {
        char *next = cut_item(at);

        if (settings->count == SETTINGS_MAX) {
            settings_release(settings);
            return error_set(error, E2BIG, "--%s: has over %d parts; give fewer", option,
                             SETTINGS_MAX);
        }
        read_item(&settings->items[settings->count], at, settings->count == 0);
        settings->count++;
        at = next;
    }
    return 0;
}

void settings_release(struct settings *settings)
{
    free(settings->text);
    settings->text = NULL;
    settings->count = 0;
}

const struct setting *settings_take(struct settings *settings, const char *key)
{
    for (size_t i = 0; i < settings->count; i++) {
        struct setting *item = &settings->items[i];

        if (!item->taken && strcmp(item->key, key) == 0) {
            item->taken = true;
            return item;
        }
    }
    return NULL;
}

int settings_main(struct settings *settings, const char *needs, const char **value,
                  struct error *error)
{
    const struct setting *item = settings_take(settings, "");

    if (!item || item->value[0] == '\0')
        return error_set(error, EINVAL, "--%s: the %s is missing; give --%s %s", settings->option,
                         needs, settings->option, needs);
    *value = item->value;
    return 0;
}

static int wrong_value(const struct settings *settings, const struct setting *item,
                       const char *remedy, struct error *error)
{
    return error_set(error, EINVAL, "--%s: %s%s%s is not understood; %s", settings->option,
                     item->key, item->value ? "=" : "", item->value ? item->value : "", remedy);
}

int settings_flag(struct settings *settings, const char *key, bool *flag, struct error *error)
{
    const struct setting *item = settings_take(settings, key);

    if (!item)
        return 0;
    if (!item->value || strcmp(item->value, "on") == 0)
        *flag = true;
    else if (strcmp(item->value, "off") == 0)
        *flag = false;
    else
        return wrong_value(settings, item, "it is on or off", error);
    return 0;
}

int settings_number(struct settings *settings, const char *key, uint64_t minimum, uint64_t maximum,
                    uint64_t *number, struct error *error)
{
    const struct setting *item = settings_take(settings, key);
    char name[64];

    if (!item)
        return 0;
    if (!item->value)
        return wrong_value(settings, item, "give it a number", error);
    strcpy(name, settings->option);
    strncat(name, " …,", sizeof(name) - strlen(name) - 1);
    strncat(name, key, sizeof(name) - strlen(name) - 1);
    return options_number(name, item->value, minimum, maximum, number, error);
}

int settings_text(struct settings *settings, const char *key, const char **text,
                  struct error *error)
{
    const struct setting *item = settings_take(settings, key);

    if (!item)
        return 0;
    if (!item->value || item->value[0] == '\0')
        return wrong_value(settings, item, "give it a value", error);
    *text = item->value;
    return 0;
}

/* With each comma twice. */
static void write_part(FILE *stream, const char *text)
{
    for (; *text; text++) {
        if (*text == ',')
            fputc(',', stream);
        fputc(*text, stream);
    }
}

int settings_again(const struct settings *settings, const char *first, const char *more, char **text,
                   struct error *error)
{
    size_t size;
    FILE *stream = open_memstream(text, &size);

    if (!stream)
        return error_system(error, errno, "--%s", settings->option);
    write_part(stream, first);
    for (size_t i = 1; i < settings->count; i++) {
        const struct setting *item = &settings->items[i];

        if (item->taken)
            continue;
        fprintf(stream, ",%s", item->key);
        if (item->value) {
            fputc('=', stream);
            write_part(stream, item->value);
        }
    }
    if (more)
        fprintf(stream, ",%s", more);
    if (fclose(stream) == 0)
        return 0;
    free(*text);
    return error_system(error, ENOMEM, "--%s", settings->option);
}

static const char *known_key(const void *context, size_t index)
{
    return ((const char *const *)context)[index];
}

int settings_finish(const struct settings *settings, const char *const *known, struct error *error)
{
    size_t known_count = 0;

    while (known[known_count])
        known_count++;
    for (size_t i = 0; i < settings->count; i++) {
        const struct setting *item = &settings->items[i];
        const char *nearest;

        if (item->taken)
            continue;
        for (size_t k = 0; k < known_count; k++)
            if (strcmp(item->key, known[k]) == 0)
                return error_set(error, EINVAL, "--%s: '%s' is given twice; give it once",
                                 settings->option, item->key);
        nearest = options_nearest(item->key, known_key, known, known_count);
        if (nearest)
            return error_set(error, EINVAL, "--%s: '%s' is unknown; did you mean '%s'?",
                             settings->option, item->key, nearest);
        return error_set(error, EINVAL, "--%s: '%s' is unknown; 'man mote' lists what it takes",
                         settings->option, item->key[0] ? item->key : item->value);
    }
    return 0;
}

int settings_read(const struct settings_reader *reader, const char *text, void **options,
                  struct error *error)
{
    void *created = calloc(1, reader->size);
    struct settings settings;
    int result;

    if (!created)
        return error_system(error, ENOMEM, "--%s", reader->option);
    result = settings_parse(&settings, reader->option, text, error);
    if (result == 0) {
        result = reader->read(created, &settings, error);
        settings_release(&settings);
    }
    if (result < 0)
        reader->release(created);
    else
        *options = created;
    return result;
}
