/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/config/mac.h"
#include "vmm/machine/state.h"

static void *field_of(void *target, const struct schema_row *row)
{
    return (char *)target + row->offset;
}

static const void *const_field_of(const void *source, const struct schema_row *row)
{
    return (const char *)source + row->offset;
}

static size_t count_of(const void *source, const struct schema_row *row)
{
    size_t count;

    memcpy(&count, (const char *)source + row->count_offset, sizeof(count));
    return count;
}

void schema_default(const struct schema *schema, void *target)
{
    if (schema->defaults)
        memcpy(target, schema->defaults, schema->size);
    else
        memset(target, 0, schema->size);
}

/* ---- equality and copies ------------------------------------------------ */

static bool same_text(const char *one, const char *two)
{
    return one == two || (one && two && strcmp(one, two) == 0);
}

static bool row_is_equal(const struct schema_row *row, const void *one, const void *two)
{
    const char *first = const_field_of(one, row), *second = const_field_of(two, row);
    size_t count;

    switch (row->kind) {
    case SCHEMA_TEXT:
        return same_text(*(const char *const *)(const void *)first,
                         *(const char *const *)(const void *)second);
    case SCHEMA_WORD:
        return strncmp(first, second, row->size) == 0;
    case SCHEMA_OBJECT:
        return schema_equal(row->nested, first, second);
    case SCHEMA_LIST:
        count = count_of(one, row);
        if (count != count_of(two, row))
            return false;
        for (size_t i = 0; i < count; i++)
            if (!schema_equal(row->nested, first + i * row->nested->size, second + i * row->nested->size))
                return false;
        return true;
    case SCHEMA_FLAG:
    case SCHEMA_NUMBER:
    case SCHEMA_CHOICE:
    case SCHEMA_DESCRIPTOR:
    case SCHEMA_MAC:
        break;
    }
    return memcmp(first, second, row->size) == 0;
}

bool schema_equal(const struct schema *schema, const void *one, const void *two)
{
    for (size_t i = 0; i < schema->count; i++)
        if (!row_is_equal(&schema->rows[i], one, two))
            return false;
    return true;
}

bool schema_row_is_default(const struct schema *schema, const struct schema_row *row, const void *source)
{
    const unsigned char *bytes = const_field_of(source, row);
    size_t size = row->size;

    if (schema->defaults)
        return row_is_equal(row, source, schema->defaults);
    if (row->kind == SCHEMA_LIST)
        return count_of(source, row) == 0;
    if (row->kind == SCHEMA_WORD)
        return bytes[0] == '\0';
    while (size > 0 && bytes[size - 1] == 0)
        size--;
    return size == 0;
}

static const char *row_fault(const struct schema_row *row, const void *source)
{
    const char *field = const_field_of(source, row), *fault = NULL;
    uint64_t number = 0;
    unsigned int choices = 0;

    switch (row->kind) {
    case SCHEMA_WORD:
        return memchr(field, '\0', row->size) ? NULL : row->key;
    case SCHEMA_NUMBER:
        memcpy(&number, field, row->size);
        return number < row->minimum || number > row->maximum ? row->key : NULL;
    case SCHEMA_CHOICE:
        while (row->choices[choices])
            choices++;
        return *(const unsigned int *)(const void *)field >= choices ? row->key : NULL;
    case SCHEMA_OBJECT:
        return schema_fault(row->nested, field);
    case SCHEMA_LIST:
        if (count_of(source, row) > row->maximum)
            return row->key;
        for (size_t i = 0; !fault && i < count_of(source, row); i++)
            fault = schema_fault(row->nested, field + i * row->nested->size);
        return fault;
    case SCHEMA_TEXT:
    case SCHEMA_FLAG:
    case SCHEMA_DESCRIPTOR:
    case SCHEMA_MAC:
        break;
    }
    return NULL;
}

const char *schema_fault(const struct schema *schema, const void *source)
{
    const char *fault = NULL;

    for (size_t i = 0; !fault && i < schema->count; i++)
        fault = row_fault(&schema->rows[i], source);
    return fault;
}

static int copy_row(const struct schema_row *row, void *target, const void *source,
                    struct config_pool *pool)
{
    char *to = field_of(target, row);
    const char *from = const_field_of(source, row), *text;
    size_t count;
    int result = 0;

    switch (row->kind) {
    case SCHEMA_TEXT:
        text = *(const char *const *)(const void *)from;
        if (text && !(text = config_pool_text(pool, text)))
            return -ENOMEM;
        *(const char **)(void *)to = text;
        return 0;
    case SCHEMA_OBJECT:
        return schema_copy(row->nested, to, from, pool);
    case SCHEMA_LIST:
        count = count_of(source, row);
        memcpy((char *)target + row->count_offset, &count, sizeof(count));
        for (size_t i = 0; result == 0 && i < count; i++) {
            schema_default(row->nested, to + i * row->nested->size);
            result = schema_copy(row->nested, to + i * row->nested->size, from + i * row->nested->size, pool);
        }
        return result;
    case SCHEMA_WORD:
    case SCHEMA_FLAG:
    case SCHEMA_NUMBER:
    case SCHEMA_CHOICE:
    case SCHEMA_DESCRIPTOR:
    case SCHEMA_MAC:
        break;
    }
    memcpy(to, from, row->size);
    return 0;
}

int schema_copy(const struct schema *schema, void *target, const void *source,
                struct config_pool *pool)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < schema->count; i++)
        result = copy_row(&schema->rows[i], target, source, pool);
    return result;
}

/* ---- the wire form ------------------------------------------------------ */

static void no_memory(struct state *state)
{
    struct error error = ERROR_INIT;

    error_system(&error, ENOMEM, "snapshot");
    state_fail(state, &error);
}

static void text_state(const char **text, struct config_pool *pool, struct state *state)
{
    char *bytes = state_is_loading(state) ? NULL : (char *)(uintptr_t)*text;

    state_text(state, &bytes, SCHEMA_TEXT_MAX);
    if (!state_is_loading(state))
        return;
    if (bytes && !(*text = config_pool_text(pool, bytes)))
        no_memory(state);
    free(bytes);
}

static void word_state(const struct schema_row *row, char *word, struct state *state)
{
    char *bytes = state_is_loading(state) ? NULL : word;

    state_text(state, &bytes, row->size - 1);
    if (!state_is_loading(state))
        return;
    if (bytes && strlen(bytes) < row->size)
        strcpy(word, bytes);
    free(bytes);
}

static void number_state(const struct schema_row *row, void *number, struct state *state)
{
    uint64_t value = 0;

    memcpy(&value, number, row->size); /* little-endian, as all hosts of Mote */
    state_u64(state, &value);
    state_require(state, value >= row->minimum && value <= row->maximum, row->key);
    if (state_is_loading(state) && state_is_sound(state))
        memcpy(number, &value, row->size);
}

static void choice_state(const struct schema_row *row, unsigned int *choice, struct state *state)
{
    uint32_t value = *choice, count = 0;

    while (row->choices[count])
        count++;
    state_u32(state, &value);
    state_require(state, value < count, row->key);
    if (state_is_loading(state) && state_is_sound(state))
        *choice = value;
}

static void descriptor_state(const struct schema_row *row, int *fd, struct state *state)
{
    uint32_t value = (uint32_t)*fd;

    state_u32(state, &value);
    state_require(state, value <= INT32_MAX || value == UINT32_MAX, row->key);
    if (state_is_loading(state) && state_is_sound(state))
        *fd = (int)value;
}

static void mac_state(const struct schema_row *row, uint8_t *mac, struct state *state)
{
    static const uint8_t none[MAC_SIZE];
    uint8_t value[MAC_SIZE];

    memcpy(value, mac, sizeof(value));
    state_bytes(state, value, sizeof(value));
    state_require(state, memcmp(value, none, sizeof(none)) == 0 || !mac_fault(value), row->key);
    if (state_is_loading(state) && state_is_sound(state))
        memcpy(mac, value, sizeof(value));
}

static void list_state(const struct schema_row *row, void *target, struct config_pool *pool,
                       struct state *state)
{
    char *items = field_of(target, row);
    size_t count = count_of(target, row);

    state_count(state, &count, row->maximum);
    if (!state_is_sound(state))
        return;
    for (size_t i = 0; i < count; i++) {
        if (state_is_loading(state))
            schema_default(row->nested, items + i * row->nested->size);
        schema_state(row->nested, items + i * row->nested->size, pool, state);
    }
    if (state_is_loading(state) && state_is_sound(state))
        memcpy((char *)target + row->count_offset, &count, sizeof(count));
}

void schema_state(const struct schema *schema, void *target, struct config_pool *pool,
                  struct state *state)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct schema_row *row = &schema->rows[i];
        void *field = field_of(target, row);

        switch (row->kind) {
        case SCHEMA_TEXT:
            text_state(field, pool, state);
            break;
        case SCHEMA_WORD:
            word_state(row, field, state);
            break;
        case SCHEMA_FLAG:
            state_bool(state, field);
            break;
        case SCHEMA_NUMBER:
            number_state(row, field, state);
            break;
        case SCHEMA_CHOICE:
            choice_state(row, field, state);
            break;
        case SCHEMA_DESCRIPTOR:
            descriptor_state(row, field, state);
            break;
        case SCHEMA_MAC:
            mac_state(row, field, state);
            break;
        case SCHEMA_OBJECT:
            schema_state(row->nested, field, pool, state);
            break;
        case SCHEMA_LIST:
            list_state(row, target, pool, state);
            break;
        }
    }
}

/* FNV-1a */
static uint32_t add_bytes(uint32_t hash, const void *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * 16777619u;
    return hash;
}

uint32_t schema_fingerprint(const struct schema *schema)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < schema->count; i++) {
        const struct schema_row *row = &schema->rows[i];
        uint64_t numbers[] = { (uint64_t)row->kind, row->minimum, row->maximum,
                               row->nested ? schema_fingerprint(row->nested) : 0 };

        hash = add_bytes(hash, row->key, strlen(row->key) + 1);
        hash = add_bytes(hash, numbers, sizeof(numbers));
        for (size_t k = 0; row->choices && row->choices[k]; k++)
            hash = add_bytes(hash, row->choices[k], strlen(row->choices[k]) + 1);
    }
    return hash;
}
