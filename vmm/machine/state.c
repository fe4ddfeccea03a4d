/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The beginning of the file, and its version as a whole. */
#define FORMAT_VERSION 1u
static const char magic[8] = { 'M', 'O', 'T', 'E', 'V', 'M', '\r', '\n' };
#define FILE_HEADER_SIZE 12

/* A section: name, index, version, 0, length of what follows, CRC of all that. */
#define SECTION_HEADER_SIZE 32
#define SECTION_LENGTH_AT 24
#define SECTION_CRC_AT 28

struct state {
    bool loading;
    struct error error; /* the first fault */
    uint8_t *bytes;     /* saving: ours, of CAPACITY; loading: the caller's, never written */
    size_t length;      /* saving: so many are in use */
    size_t capacity;
    size_t at;          /* loading: the next to read */
    size_t section;     /* where the open section's header is */
    size_t section_end; /* loading: where it must end */
    char name[STATE_NAME_SIZE];
    uint32_t index;
};

/* ---- bytes ---------------------------------------------------------------- */

static void put(uint8_t *bytes, uint64_t value, size_t length)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get(const uint8_t *bytes, size_t length)
{
    uint64_t value = 0;

    for (size_t i = 0; i < length; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

/* CRC-32C (Castagnoli), four bits at a time: a state is small, and so shall the table be. */
static uint32_t crc(uint32_t value, const uint8_t *bytes, size_t length)
{
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };

    value = ~value;
    for (size_t i = 0; i < length; i++) {
        value ^= bytes[i];
        value = value >> 4 ^ table[value & 15];
        value = value >> 4 ^ table[value & 15];
    }
    return ~value;
}

/* Of the section at HEADER, whose content has LENGTH bytes: the CRC's own place aside. */
static uint32_t section_crc(const uint8_t *header, size_t length)
{
    return crc(crc(0, header, SECTION_CRC_AT), header + SECTION_HEADER_SIZE, length);
}

/* ---- faults --------------------------------------------------------------- */

bool state_is_loading(const struct state *state)
{
    return state->loading;
}

bool state_is_sound(const struct state *state)
{
    return state->error.number == 0;
}

void state_fail(struct state *state, const struct error *error)
{
    if (state_is_sound(state))
        state->error = *error;
}

static void refuse(struct state *state, const char *why)
{
    if (state_is_sound(state))
        error_set(&state->error, EINVAL, "snapshot: section \"%.*s\" %u: %s; it is damaged: save "
                  "the VM anew", STATE_NAME_SIZE, state->name, state->index, why);
}

void state_require(struct state *state, bool condition, const char *what)
{
    if (state->loading && !condition && state_is_sound(state))
        error_set(&state->error, EINVAL, "snapshot: section \"%.*s\" %u: %s cannot be so; it was "
                  "altered: save the VM anew", STATE_NAME_SIZE, state->name, state->index, what);
}

/* ---- saving --------------------------------------------------------------- */

/* More room by a copy: realloc() would ask for mremap(2), which a jailed monitor does not have. */
static int grow(struct state *state, size_t capacity)
{
    uint8_t *bytes = malloc(capacity);

    if (!bytes)
        return error_system(&state->error, ENOMEM, "snapshot");
    if (state->length > 0)
        memcpy(bytes, state->bytes, state->length);
    free(state->bytes);
    state->bytes = bytes;
    state->capacity = capacity;
    return 0;
}

/* Room for LENGTH bytes at the end, or NULL after a fault. */
static uint8_t *extend(struct state *state, size_t length)
{
    if (!state_is_sound(state))
        return NULL;
    if (length > STATE_SIZE_MAX - state->length) {
        error_set(&state->error, E2BIG, "snapshot: the VM's state is larger than %u MiB",
                  STATE_SIZE_MAX >> 20);
        return NULL;
    }
    if (length > state->capacity - state->length &&
        grow(state, 2 * (state->length + length) + 4096) < 0)
        return NULL;
    state->length += length;
    return state->bytes + state->length - length;
}

static void begin_saving(struct state *state, uint16_t version)
{
    uint8_t *header;

    state->section = state->length;
    header = extend(state, SECTION_HEADER_SIZE);
    if (!header)
        return;
    memset(header, 0, SECTION_HEADER_SIZE);
    memcpy(header, state->name, STATE_NAME_SIZE);
    put(header + 16, state->index, 4);
    put(header + 20, version, 2);
}

static void end_saving(struct state *state)
{
    size_t length = state->length - state->section - SECTION_HEADER_SIZE;
    uint8_t *header = state->bytes + state->section;

    put(header + SECTION_LENGTH_AT, length, 4);
    put(header + SECTION_CRC_AT, section_crc(header, length), 4);
}

/* ---- loading -------------------------------------------------------------- */

/* The header at state->at, whose section must be the one that is expected and whole. */
static void begin_loading(struct state *state, uint16_t version)
{
    const uint8_t *header = state->bytes + state->at;
    size_t left = state->length - state->at, length;

    if (left < SECTION_HEADER_SIZE) {
        refuse(state, "the file ends before it");
        return;
    }
    length = get(header + SECTION_LENGTH_AT, 4);
    if (memcmp(header, state->name, STATE_NAME_SIZE) != 0 ||
        get(header + 16, 4) != state->index) {
        refuse(state, "another section stands in its place");
    } else if (length > left - SECTION_HEADER_SIZE) {
        refuse(state, "the file ends inside of it");
    } else if (get(header + SECTION_CRC_AT, 4) != section_crc(header, length)) {
        refuse(state, "its checksum does not fit");
    } else if (get(header + 20, 2) != version) {
        error_set(&state->error, ENOTSUP, "snapshot: section \"%.*s\" %u has version %u, and this "
                  "mote knows %u; use the mote that saved it", STATE_NAME_SIZE, state->name,
                  state->index, (unsigned int)get(header + 20, 2), version);
    } else {
        state->at += SECTION_HEADER_SIZE;
        state->section_end = state->at + length;
    }
}

/* ---- sections ------------------------------------------------------------- */

void state_begin(struct state *state, const char *name, uint32_t index, uint16_t version)
{
    if (!state_is_sound(state))
        return;
    memset(state->name, 0, sizeof(state->name));
    memcpy(state->name, name, strnlen(name, sizeof(state->name)));
    state->index = index;
    if (state->loading)
        begin_loading(state, version);
    else
        begin_saving(state, version);
}

void state_end(struct state *state)
{
    if (!state_is_sound(state))
        return;
    if (!state->loading)
        end_saving(state);
    else if (state->at != state->section_end)
        refuse(state, "it is longer than what belongs into it");
}

/* ---- fields --------------------------------------------------------------- */

void state_bytes(struct state *state, void *bytes, size_t length)
{
    if (!state->loading) {
        uint8_t *room = extend(state, length);

        if (room && length > 0)
            memcpy(room, bytes, length);
        return;
    }
    if (state_is_sound(state) && length > state->section_end - state->at)
        refuse(state, "it is shorter than what belongs into it");
    if (!state_is_sound(state)) {
        memset(bytes, 0, length);
        return;
    }
    memcpy(bytes, state->bytes + state->at, length);
    state->at += length;
}

static uint64_t number(struct state *state, uint64_t value, size_t length)
{
    uint8_t bytes[8];

    put(bytes, value, length);
    state_bytes(state, bytes, length);
    return get(bytes, length);
}

void state_u8(struct state *state, uint8_t *value)
{
    *value = (uint8_t)number(state, *value, 1);
}

void state_u16(struct state *state, uint16_t *value)
{
    *value = (uint16_t)number(state, *value, 2);
}

void state_u32(struct state *state, uint32_t *value)
{
    *value = (uint32_t)number(state, *value, 4);
}

void state_u64(struct state *state, uint64_t *value)
{
    *value = number(state, *value, 8);
}

void state_bool(struct state *state, bool *value)
{
    uint8_t byte = *value;

    state_u8(state, &byte);
    state_require(state, byte <= 1, "a truth value");
    *value = state_is_sound(state) && byte;
}

void state_count(struct state *state, size_t *count, size_t max)
{
    uint64_t value = number(state, *count, 8);

    state_require(state, value <= max, "a count");
    *count = state_is_sound(state) ? (size_t)value : 0;
}

void state_text(struct state *state, char **text, size_t max)
{
    bool some = *text != NULL;
    size_t length = some ? strlen(*text) : 0;

    state_bool(state, &some);
    state_count(state, &length, max);
    if (!state->loading) {
        state_bytes(state, *text, length);
        return;
    }
    free(*text);
    *text = some && state_is_sound(state) ? calloc(1, length + 1) : NULL;
    if (*text) {
        state_bytes(state, *text, length);
        state_require(state, strlen(*text) == length, "a text");
    } else if (some && state_is_sound(state)) {
        error_system(&state->error, ENOMEM, "snapshot");
    }
}

/* ---- life ----------------------------------------------------------------- */

static struct state *new_state(bool loading, struct error *error)
{
    struct state *state = calloc(1, sizeof(*state));

    if (!state) {
        error_system(error, ENOMEM, "snapshot");
        return NULL;
    }
    state->loading = loading;
    return state;
}

int state_create(struct state **state, struct error *error)
{
    struct state *created = new_state(false, error);
    uint8_t *header = created ? extend(created, FILE_HEADER_SIZE) : NULL;

    if (!header) {
        free(created);
        return error_system(error, ENOMEM, "snapshot");
    }
    memcpy(header, magic, sizeof(magic));
    put(header + sizeof(magic), FORMAT_VERSION, 4);
    *state = created;
    return 0;
}

int state_open(struct state **state, const void *bytes, size_t length, struct error *error)
{
    const uint8_t *header = bytes;
    struct state *created;
    uint64_t version;

    if (length < FILE_HEADER_SIZE || memcmp(header, magic, sizeof(magic)) != 0)
        return error_set(error, EINVAL, "snapshot: is none; give a folder that mote snapshot made");
    version = get(header + sizeof(magic), 4);
    if (version != FORMAT_VERSION)
        return error_set(error, ENOTSUP, "snapshot: has format %u, and this mote knows %u; use the "
                         "mote that saved it", (unsigned int)version, FORMAT_VERSION);
    created = new_state(true, error);
    if (!created)
        return -ENOMEM;
    created->bytes = (uint8_t *)(uintptr_t)bytes;
    created->length = length;
    created->at = created->section_end = FILE_HEADER_SIZE;
    *state = created;
    return 0;
}

void state_destroy(struct state *state)
{
    if (!state)
        return;
    if (!state->loading)
        free(state->bytes);
    free(state);
}

int state_first_fault(const struct state *state, struct error *error)
{
    if (!state_is_sound(state))
        *error = state->error;
    return -state->error.number;
}

int state_finish(struct state *state, struct error *error)
{
    state_begin(state, "end", 0, 1);
    state_end(state);
    if (state_is_sound(state) && state->loading && state->at != state->length)
        refuse(state, "something follows it");
    return state_first_fault(state, error);
}

const void *state_saved(const struct state *state, size_t *length)
{
    *length = state->length;
    return state->bytes;
}
