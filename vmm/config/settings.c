/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/settings.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/options.h"
#include "vmm/config/mac.h"

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

    if (!item || !item->value || item->value[0] == '\0') /* a later part that is empty has none */
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

/* "disk …,queues", for messages. */
static const char *name_of(const struct settings *settings, const char *key, char name[64])
{
    snprintf(name, 64, "%s …,%s", settings->option, key);
    return name;
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
    return options_number(name_of(settings, key, name), item->value, minimum, maximum, number, error);
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

/* ---- rows --------------------------------------------------------------- */

static int set_number(struct settings *settings, const struct schema_row *row, void *field,
                      struct error *error)
{
    uint64_t number = 0;
    int result;

    memcpy(&number, field, row->size); /* little-endian, as all hosts of Mote */
    result = settings_number(settings, row->key, row->minimum, row->maximum, &number, error);
    memcpy(field, &number, row->size);
    return result;
}

static int set_word(const struct settings *settings, const struct schema_row *row, const char *text,
                    char *field, struct error *error)
{
    if (strlen(text) >= row->size)
        return error_set(error, EINVAL, "--%s: %s=%s is too long; give up to %zu characters",
                         settings->option, row->key, text, row->size - 1);
    strcpy(field, text);
    return 0;
}

static int set_mac(const struct settings *settings, const struct schema_row *row, const char *text,
                   uint8_t *field, struct error *error)
{
    const char *fault = mac_parse(text, field);

    return fault ? error_set(error, EINVAL, "--%s …,%s=%s: %s", settings->option, row->key, text, fault)
                 : 0;
}

static int set_descriptor(struct settings *settings, const struct schema_row *row, int *field,
                          struct error *error)
{
    uint64_t number = UINT64_MAX;
    int result = settings_number(settings, row->key, 0, INT_MAX, &number, error);

    if (result == 0 && number != UINT64_MAX)
        *field = (int)number;
    return result;
}

static int set_row(struct settings *settings, const struct schema_row *row, void *field,
                   struct config_pool *pool, struct error *error)
{
    const char *text = NULL;
    char name[64];
    int result;

    if (row->kind == SCHEMA_FLAG)
        return settings_flag(settings, row->key, field, error);
    if (row->kind == SCHEMA_NUMBER)
        return set_number(settings, row, field, error);
    if (row->kind == SCHEMA_DESCRIPTOR)
        return set_descriptor(settings, row, field, error);
    result = settings_text(settings, row->key, &text, error);
    if (result < 0 || !text)
        return result;
    if (row->kind == SCHEMA_CHOICE)
        return options_choice(name_of(settings, row->key, name), text, row->choices, field, error);
    if (row->kind == SCHEMA_WORD)
        return set_word(settings, row, text, field, error);
    if (row->kind == SCHEMA_MAC)
        return set_mac(settings, row, text, field, error);
    text = config_pool_text(pool, text);
    *(const char **)field = text;
    return text ? 0 : error_system(error, ENOMEM, "--%s", settings->option);
}

int settings_rows(struct settings *settings, const struct schema *schema, void *target,
                  struct config_pool *pool, struct error *error)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < schema->count; i++) {
        const struct schema_row *row = &schema->rows[i];

        if (!row->is_not_for_settings)
            result = set_row(settings, row, (char *)target + row->offset, pool, error);
    }
    return result;
}

/* ---- the end ------------------------------------------------------------ */

static const char *known_key(const void *context, size_t index)
{
    return ((const char *const *)context)[index];
}

/* KEY is none of KNOWN: names the nearest, or all, or what may have made a key of a path's end. */
static int unknown_key(const struct settings *settings, const char *key, const char *const *known,
                       size_t known_count, struct error *error)
{
    const char *nearest = options_nearest(key, known_key, known, known_count);
    char list[256] = "";
    size_t length = 0;

    if (nearest)
        return error_set(error, EINVAL, "--%s: '%s' is unknown; did you mean '%s'?",
                         settings->option, key, nearest);
    if (known_count == 0 || strchr(key, '/'))
        return error_set(error, EINVAL, "--%s: '%s' is unknown; give a comma that belongs to a path as ,,",
                         settings->option, key);
    for (size_t i = 0; i < known_count && length < sizeof(list); i++)
        length += (size_t)snprintf(list + length, sizeof(list) - length, "%s%s", i ? ", " : "", known[i]);
    return error_set(error, EINVAL, "--%s: '%s' is unknown; use one of %s", settings->option, key, list);
}

int settings_finish(const struct settings *settings, const struct schema *schema,
                    const char *const *more, struct error *error)
{
    const char *known[SCHEMA_ROWS_MAX + SETTINGS_MAX];
    size_t known_count = 0, offered;

    for (size_t i = 0; i < schema->count; i++)
        if (!schema->rows[i].is_not_for_settings && schema->rows[i].kind != SCHEMA_DESCRIPTOR)
            known[known_count++] = schema->rows[i].key;
    for (size_t i = 0; more[i]; i++)
        known[known_count++] = more[i];
    offered = known_count; /* descriptors are for programs that start Mote */
    for (size_t i = 0; i < schema->count; i++)
        if (!schema->rows[i].is_not_for_settings && schema->rows[i].kind == SCHEMA_DESCRIPTOR)
            known[known_count++] = schema->rows[i].key;
    for (size_t i = 0; i < settings->count; i++) {
        const struct setting *item = &settings->items[i];

        if (item->taken)
            continue;
        for (size_t k = 0; k < known_count; k++)
            if (strcmp(item->key, known[k]) == 0)
                return error_set(error, EINVAL, "--%s: '%s' is given twice; give it once",
                                 settings->option, item->key);
        /* Nothing between two commas is a flag without a name. */
        return unknown_key(settings, item->key[0] || !item->value ? item->key : item->value, known, offered, error);
    }
    return 0;
}
