/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/base/cleanup.h"
#include "vmm/machine/state.h"

/* Something to save: one field of each kind, in two sections. */
struct thing {
    bool on;
    uint8_t small;
    uint16_t medium;
    uint32_t large;
    uint64_t huge;
    uint8_t raw[5];
    size_t count;
    char *text;
    char *none;
};

static void transfer(struct thing *thing, struct state *state)
{
    state_begin(state, "numbers", 7, 3);
    state_bool(state, &thing->on);
    state_u8(state, &thing->small);
    state_u16(state, &thing->medium);
    state_u32(state, &thing->large);
    state_u64(state, &thing->huge);
    state_require(state, thing->small < 100, "the small one");
    state_end(state);
    state_begin(state, "others", 0, 1);
    state_bytes(state, thing->raw, sizeof(thing->raw));
    state_count(state, &thing->count, 10);
    state_text(state, &thing->text, 20);
    state_text(state, &thing->none, 20);
    state_end(state);
}

static const struct thing sample = {
    .on = true, .small = 99, .medium = 0xabcd, .large = 0x01020304, .huge = 0x1122334455667788,
    .raw = { 1, 2, 3, 4, 5 }, .count = 10, .text = (char *)(uintptr_t)"words",
};

static uint8_t *saved(size_t *length)
{
    struct error error = ERROR_INIT;
    struct thing thing = sample;
    struct state *state;
    uint8_t *copy;

    assert_int_equal(state_create(&state, &error), 0);
    transfer(&thing, state);
    assert_int_equal(state_finish(state, &error), 0);
    state_saved(state, length);
    copy = malloc(*length);
    memcpy(copy, state_saved(state, length), *length);
    state_destroy(state);
    return copy;
}

static int load(struct thing *thing, const void *bytes, size_t length, struct error *error)
{
    struct state *state;
    int result = state_open(&state, bytes, length, error);

    memset(thing, 0, sizeof(*thing));
    if (result < 0)
        return result;
    transfer(thing, state);
    result = state_finish(state, error);
    state_destroy(state);
    return result;
}

static void release(struct thing *thing)
{
    free(thing->text);
    free(thing->none);
}

static void what_is_saved_is_loaded(void **context)
{
    struct error error = ERROR_INIT;
    cleanup_free uint8_t *bytes = NULL;
    struct thing thing;
    size_t length;

    (void)context;
    bytes = saved(&length);
    assert_int_equal(load(&thing, bytes, length, &error), 0);
    assert_true(thing.on);
    assert_int_equal(thing.small, sample.small);
    assert_int_equal(thing.medium, sample.medium);
    assert_int_equal(thing.large, sample.large);
    assert_int_equal(thing.huge, sample.huge);
    assert_memory_equal(thing.raw, sample.raw, sizeof(thing.raw));
    assert_int_equal(thing.count, sample.count);
    assert_string_equal(thing.text, sample.text);
    assert_null(thing.none);
    release(&thing);
}

/* The layout is a file format: it must not change by accident. */
static void numbers_are_little_endian_and_crc32c(void **context)
{
    static const uint8_t begin[] = { 'M', 'O', 'T', 'E', 'V', 'M', '\r', '\n', 1, 0, 0, 0,
                                     'n', 'u', 'm', 'b', 'e', 'r', 's', 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                     7, 0, 0, 0, 3, 0, 0, 0, 16, 0, 0, 0 };
    static const uint8_t fields[] = { 1, 99, 0xcd, 0xab, 4, 3, 2, 1,
                                      0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11 };
    cleanup_free uint8_t *bytes = NULL;
    size_t length;

    (void)context;
    bytes = saved(&length);
    assert_memory_equal(bytes, begin, sizeof(begin));
    assert_memory_equal(bytes + 44, fields, sizeof(fields));
}

static void every_flipped_bit_is_refused(void **context)
{
    cleanup_free uint8_t *bytes = NULL;
    struct thing thing;
    size_t length;

    (void)context;
    bytes = saved(&length);
    for (size_t bit = 0; bit < 8 * length; bit++) {
        struct error error = ERROR_INIT;

        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(load(&thing, bytes, length, &error) < 0);
        assert_true(error.message[0] != '\0');
        release(&thing);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void every_other_length_is_refused(void **context)
{
    cleanup_free uint8_t *bytes = NULL;
    struct thing thing;
    size_t length;

    (void)context;
    bytes = saved(&length);
    for (size_t cut = 0; cut < length; cut++) {
        struct error error = ERROR_INIT;
        cleanup_free uint8_t *exact = malloc(cut + 1); /* to see a read beyond it */

        memcpy(exact, bytes, cut);
        assert_true(load(&thing, exact, cut, &error) < 0);
        release(&thing);
    }
    {
        struct error error = ERROR_INIT;
        cleanup_free uint8_t *longer = calloc(1, length + 1);

        memcpy(longer, bytes, length);
        assert_int_equal(load(&thing, longer, length + 1, &error), -EINVAL);
        assert_non_null(strstr(error.message, "something follows"));
        release(&thing);
    }
}

/* A section of that VERSION whose last field has LENGTH bytes, and whose checksum is right. */
static void expect_refusal(uint8_t small, uint16_t version, size_t length, const char *why)
{
    struct error error = ERROR_INIT;
    struct thing thing;
    struct state *state;
    const void *bytes;
    uint32_t zero[4] = { 0 };
    size_t whole;
    bool on = true;

    assert_int_equal(state_create(&state, &error), 0);
    state_begin(state, "numbers", 7, version);
    state_bool(state, &on);
    state_u8(state, &small);
    state_bytes(state, zero, length);
    state_end(state);
    assert_int_equal(state_finish(state, &error), 0);
    bytes = state_saved(state, &whole);
    assert_true(load(&thing, bytes, whole, &error) < 0);
    if (!strstr(error.message, why))
        fail_msg("%s", error.message);
    assert_null(strchr(error.message, '\n'));
    state_destroy(state);
}

static void faults_are_named(void **context)
{
    (void)context;
    expect_refusal(100, 3, 14, "the small one");
    expect_refusal(1, 4, 14, "version 4");
    expect_refusal(1, 2, 14, "version 2");
    expect_refusal(1, 0, 14, "version 0");
    expect_refusal(1, 3, 13, "shorter");
    expect_refusal(1, 3, 14, "\"others\" 0: another section");
}

/* After a fault all fields are zero: nobody acts on half of a state. */
static void nothing_is_read_after_a_fault(void **context)
{
    struct error error = ERROR_INIT;
    cleanup_free uint8_t *bytes = NULL;
    struct thing thing;
    size_t length;

    (void)context;
    bytes = saved(&length);
    bytes[44] = 2; /* the truth value; the checksum does not fit either */
    assert_true(load(&thing, bytes, length, &error) < 0);
    assert_false(thing.on);
    assert_int_equal(thing.huge, 0);
    assert_int_equal(thing.count, 0);
    assert_null(thing.text);
}

static void a_section_too_many_is_refused(void **context)
{
    struct error error = ERROR_INIT;
    struct thing thing = sample;
    struct state *state;
    size_t length;

    (void)context;
    assert_int_equal(state_create(&state, &error), 0);
    transfer(&thing, state);
    transfer(&thing, state);
    assert_int_equal(state_finish(state, &error), 0);
    state_saved(state, &length);
    assert_int_equal(load(&thing, state_saved(state, &length), length, &error), -EINVAL);
    assert_non_null(strstr(error.message, "\"end\" 0: another section"));
    release(&thing);
    state_destroy(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_is_loaded),
        cmocka_unit_test(numbers_are_little_endian_and_crc32c),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(every_other_length_is_refused),
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(nothing_is_read_after_a_fault),
        cmocka_unit_test(a_section_too_many_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
