/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/saved.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/machine/state.h"

#define LENGTH_AT 24
#define CHECKSUM_AT 28

int device_try_save(struct device *device, struct saved *saved, struct error *error)
{
    struct state *state;
    const void *bytes;
    int result;

    *saved = (struct saved){ .bytes = NULL };
    assert_int_equal(state_create(&state, error), 0);
    pthread_mutex_lock(&device->lock);
    if (device->ops->drain)
        device->ops->drain(device);
    device->ops->state(device, state);
    pthread_mutex_unlock(&device->lock);
    result = state_finish(state, error);
    if (result == 0) {
        bytes = state_saved(state, &saved->length);
        saved->bytes = malloc(saved->length);
        assert_non_null(saved->bytes);
        memcpy(saved->bytes, bytes, saved->length);
    }
    state_destroy(state);
    return result;
}

void device_save(struct device *device, struct saved *saved)
{
    struct error error = ERROR_INIT;

    if (device_try_save(device, saved, &error) < 0)
        fail_msg("%s", error.message);
}

int device_load(struct device *device, const struct saved *saved, struct error *error)
{
    struct state *state;
    int result = state_open(&state, saved->bytes, saved->length, error);

    if (result < 0)
        return result;
    pthread_mutex_lock(&device->lock);
    device->ops->state(device, state);
    pthread_mutex_unlock(&device->lock);
    result = state_finish(state, error);
    state_destroy(state);
    return result;
}

void saved_release(struct saved *saved)
{
    free(saved->bytes);
    saved->bytes = NULL;
}

bool saved_equal(const struct saved *a, const struct saved *b)
{
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

struct saved saved_copy(const struct saved *saved)
{
    struct saved copy = { .bytes = malloc(saved->length), .length = saved->length };

    assert_non_null(copy.bytes);
    memcpy(copy.bytes, saved->bytes, saved->length);
    return copy;
}

void fake_driver_move(struct fake_driver *driver, const struct virtio_device_class *class,
                      const void *options)
{
    struct error error = ERROR_INIT;
    struct saved saved;

    device_save(driver->device, &saved);
    driver->device->ops->destroy(driver->device);
    fake_driver_make(driver, class, options);
    if (device_load(driver->device, &saved, &error) < 0)
        fail_msg("%s", error.message);
    saved_release(&saved);
}

/* ---- sections ------------------------------------------------------------- */

static uint32_t read_number(const uint8_t *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

bool saved_section(const struct saved *saved, size_t number, struct saved_section *section)
{
    size_t at = SAVED_HEADER;

    *section = (struct saved_section){ .header = NULL };
    for (;; number--) {
        size_t left = saved->length < at ? 0 : saved->length - at;

        if (left < SAVED_SECTION_HEADER)
            return false;
        section->header = saved->bytes + at;
        section->content = section->header + SAVED_SECTION_HEADER;
        section->length = read_number(section->header + LENGTH_AT);
        if (section->length > left - SAVED_SECTION_HEADER)
            return false;
        if (number == 0)
            return true;
        at += SAVED_SECTION_HEADER + section->length;
    }
}

struct saved_section saved_find(const struct saved *saved, const char *name)
{
    struct saved_section section;

    for (size_t i = 0; saved_section(saved, i, &section); i++)
        if (strncmp((const char *)section.header, name, 16) == 0)
            return section;
    fail_msg("no section is called %s", name);
    return section;
}

void saved_resize(struct saved *saved, size_t number, int count)
{
    struct saved_section section;
    size_t end;
    uint8_t *bytes;

    assert_true(saved_section(saved, number, &section));
    end = (size_t)(section.content - saved->bytes) + section.length;
    assert_true(count >= 0 || section.length >= (uint32_t)-count);
    bytes = calloc(1, saved->length + (size_t)(count > 0 ? count : 0));
    assert_non_null(bytes);
    memcpy(bytes, saved->bytes, count < 0 ? end - (size_t)-count : end);
    memcpy(bytes + end + count, saved->bytes + end, saved->length - end);
    section.length += (uint32_t)count;
    memcpy(bytes + (section.header - saved->bytes) + LENGTH_AT, &section.length, 4);
    free(saved->bytes);
    saved->bytes = bytes;
    saved->length += (size_t)count;
}

/* CRC-32C, bit by bit: not the monitor's own code. */
static uint32_t checksum(uint32_t value, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        value ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? 0x82f63b78u : 0);
    }
    return value;
}

void saved_seal(struct saved *saved)
{
    struct saved_section section;

    for (size_t i = 0; saved_section(saved, i, &section); i++) {
        uint32_t value = checksum(UINT32_MAX, section.header, CHECKSUM_AT);

        value = ~checksum(value, section.content, section.length);
        memcpy(section.header + CHECKSUM_AT, &value, sizeof(value));
    }
}
