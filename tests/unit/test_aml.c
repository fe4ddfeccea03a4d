/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* After those that it needs. */
#include <cmocka.h>

#include "vmm/monitor/boot/aml.h"
#include "vmm/base/cleanup.h"

/* What BUILD writes is exactly BYTES. */
#define assert_aml(aml, ...)                                                                       \
    do {                                                                                           \
        const uint8_t expected[] = { __VA_ARGS__ };                                                \
        assert_true(aml_fits(&(aml)));                                                             \
        assert_int_equal((aml).length, sizeof(expected));                                          \
        assert_memory_equal((aml).bytes, expected, sizeof(expected));                              \
    } while (0)

static void integers_take_the_shortest_form(void **state)
{
    uint8_t buffer[64];
    struct aml aml;

    (void)state;
    aml_init(&aml, buffer, sizeof(buffer));
    aml_integer(&aml, 0);
    aml_integer(&aml, 1);
    aml_integer(&aml, 2);
    aml_integer(&aml, 0xff);
    aml_integer(&aml, 0x100);
    aml_integer(&aml, 0xffff);
    aml_integer(&aml, 0x10000);
    aml_integer(&aml, 0xffffffff);
    aml_integer(&aml, 0x100000000);
    assert_aml(aml, 0x00, 0x01, 0x0a, 2, 0x0a, 0xff, 0x0b, 0x00, 0x01, 0x0b, 0xff, 0xff, 0x0c, 0, 0,
               1, 0, 0x0c, 0xff, 0xff, 0xff, 0xff, 0x0e, 0, 0, 0, 0, 1, 0, 0, 0);
}

static void names_strings_and_eisa_ids(void **state)
{
    uint8_t buffer[64];
    struct aml aml;

    (void)state;
    aml_init(&aml, buffer, sizeof(buffer));
    aml_name(&aml, "_HID");
    aml_eisa_id(&aml, "PNP0501");
    aml_name(&aml, "\\_S5_");
    aml_string(&aml, "Ab");
    assert_aml(aml, 0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x05, 0x01, 0x08, '\\', '_', 'S',
               '5', '_', 0x0d, 'A', 'b', 0);
}

static void packages_nest(void **state)
{
    uint8_t buffer[64];
    struct aml_mark scope, device, package;
    struct aml aml;

    (void)state;
    aml_init(&aml, buffer, sizeof(buffer));
    scope = aml_scope(&aml, "\\_SB_");
    device = aml_device(&aml, "COM1");
    aml_name(&aml, "X123");
    package = aml_package(&aml, 2);
    aml_integer(&aml, 5);
    aml_integer(&aml, 0);
    aml_end(&aml, package);
    aml_end(&aml, device);
    aml_end(&aml, scope);
    assert_aml(aml, 0x10, 24, '\\', '_', 'S', 'B', '_', 0x5b, 0x82, 16, 'C', 'O', 'M', '1', 0x08,
               'X', '1', '2', '3', 0x12, 5, 2, 0x0a, 5, 0);
}

static void resources_have_their_specified_bytes(void **state)
{
    uint8_t buffer[64];
    struct aml_mark mark;
    struct aml aml;

    (void)state;
    aml_init(&aml, buffer, sizeof(buffer));
    mark = aml_resources(&aml);
    aml_io(&aml, 0x3f8, 8);
    aml_irq(&aml, 4);
    aml_memory32_fixed(&aml, 0xd0001000, 0x1000);
    aml_interrupt(&aml, 0x105);
    aml_resources_end(&aml, mark);
    assert_aml(aml, 0x11, 38, 0x0a, 35, /* buffer of 35 bytes */
               0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8,                     /* I/O */
               0x23, 0x10, 0x00, 0x01,                              /* IRQ */
               0x86, 9, 0, 1, 0x00, 0x10, 0x00, 0xd0, 0, 0x10, 0, 0, /* memory */
               0x89, 6, 0, 3, 1, 5, 1, 0, 0,                        /* interrupt */
               0x79, 0);
}

/* Contents of LENGTH bytes in a package of 0 elements: what comes before them. */
static size_t package_prefix(size_t length, uint8_t prefix[8])
{
    static uint8_t buffer[(1 << 20) + 64];
    struct aml_mark mark;
    struct aml aml;

    aml_init(&aml, buffer, sizeof(buffer));
    mark = aml_package(&aml, 0xee);
    for (size_t i = 1; i < length; i++)
        aml_integer(&aml, 1);
    aml_end(&aml, mark);
    assert_true(aml_fits(&aml));
    assert_int_equal(buffer[aml.length - 1], length > 1 ? 1 : 0xee);
    memcpy(prefix, buffer, 8);
    return aml.length - length;
}

static void lengths_grow_at_the_specified_sizes(void **state)
{
    uint8_t p[8];

    (void)state;
    assert_int_equal(package_prefix(62, p), 2);
    assert_int_equal(p[1], 63);
    assert_int_equal(package_prefix(63, p), 3);
    assert_int_equal(p[1], 0x41); /* 65 = 0x041 */
    assert_int_equal(p[2], 0x04);
    assert_int_equal(package_prefix(0xfff - 2, p), 3);
    assert_int_equal(p[1], 0x4f);
    assert_int_equal(p[2], 0xff);
    assert_int_equal(package_prefix(0xfff - 1, p), 4);
    assert_int_equal(p[1], 0x81); /* 0x1001 */
    assert_int_equal(p[2], 0x00);
    assert_int_equal(p[3], 0x01);
    assert_int_equal(package_prefix(0xfffff - 3, p), 4);
    assert_int_equal(package_prefix(0xfffff - 2, p), 5);
    assert_int_equal(p[1], 0xc1); /* 0x100001 */
    assert_int_equal(p[4], 0x01);
}

static void build_something(struct aml *aml)
{
    struct aml_mark scope = aml_scope(aml, "\\_SB_"), device, resources;

    device = aml_device(aml, "V000");
    aml_name(aml, "_HID");
    aml_string(aml, "LNRO0005");
    aml_name(aml, "_CRS");
    resources = aml_resources(aml);
    aml_memory32_fixed(aml, 0xd0000000, 0x1000);
    aml_interrupt(aml, 5);
    aml_resources_end(aml, resources);
    aml_end(aml, device);
    aml_end(aml, scope);
}

static void every_short_buffer_overflows_within_bounds(void **state)
{
    uint8_t buffer[256];
    struct aml aml;
    size_t whole;

    (void)state;
    aml_init(&aml, buffer, sizeof(buffer));
    build_something(&aml);
    assert_true(aml_fits(&aml));
    whole = aml.length;
    for (size_t capacity = 0; capacity <= whole; capacity++) {
        memset(buffer, 0x5a, sizeof(buffer));
        aml_init(&aml, buffer, capacity);
        build_something(&aml);
        assert_int_equal(aml_fits(&aml), capacity == whole);
        assert_true(aml.length <= capacity);
        for (size_t i = capacity; i < sizeof(buffer); i++)
            assert_int_equal(buffer[i], 0x5a);
    }
}

static void an_overflow_stays(void **state)
{
    uint8_t buffer[4];
    struct aml aml;
    size_t length;

    (void)state;
    aml_init(&aml, buffer, sizeof(buffer));
    aml_string(&aml, "too long");
    assert_false(aml_fits(&aml));
    length = aml.length;
    aml_integer(&aml, 0); /* this alone would fit */
    assert_false(aml_fits(&aml));
    assert_int_equal(aml.length, length);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_take_the_shortest_form),
        cmocka_unit_test(names_strings_and_eisa_ids),
        cmocka_unit_test(packages_nest),
        cmocka_unit_test(resources_have_their_specified_bytes),
        cmocka_unit_test(lengths_grow_at_the_specified_sizes),
        cmocka_unit_test(every_short_buffer_overflows_within_bounds),
        cmocka_unit_test(an_overflow_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
