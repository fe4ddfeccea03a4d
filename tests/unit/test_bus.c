/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <errno.h>
#include <string.h>

#include "vmm/monitor/bus.h"

/* A device that remembers its last access and reads as its number. */
struct probe {
    struct device device;
    uint8_t number;
    unsigned int reads, writes;
    uint64_t offset;
    size_t length;
};

static void note(struct device *device, uint64_t offset, size_t length)
{
    struct probe *probe = (struct probe *)device;

    assert_int_equal(pthread_mutex_trylock(&device->lock), EBUSY);
    probe->offset = offset;
    probe->length = length;
}

static void probe_read(struct device *device, uint64_t offset, uint8_t *bytes, size_t length)
{
    note(device, offset, length);
    ((struct probe *)device)->reads++;
    memset(bytes, ((struct probe *)device)->number, length);
}

static void probe_write(struct device *device, uint64_t offset, const uint8_t *bytes,
                        size_t length)
{
    (void)bytes;
    note(device, offset, length);
    ((struct probe *)device)->writes++;
}

static const struct device_ops probe_ops = {
    .name = "probe", .read = probe_read, .write = probe_write,
};

static void probe_init(struct probe *probe, uint8_t number)
{
    *probe = (struct probe){ .number = number };
    device_init(&probe->device, &probe_ops);
}

static void test_look_up(void **state)
{
    struct bus bus = { .count = 0 };
    struct error error = ERROR_INIT;
    struct probe low, high;
    uint8_t bytes[8];

    (void)state;
    probe_init(&low, 1);
    probe_init(&high, 2);
    /* Added in the wrong order, and next to each other. */
    assert_int_equal(bus_add(&bus, 0x1008, 8, &high.device, &error), 0);
    assert_int_equal(bus_add(&bus, 0x1000, 8, &low.device, &error), 0);
    bus_read(&bus, 0x1007, bytes, 1);
    assert_int_equal(bytes[0], 1);
    assert_int_equal(low.offset, 7);
    bus_read(&bus, 0x1008, bytes, 8);
    assert_int_equal(bytes[7], 2);
    assert_int_equal(high.offset, 0);
    assert_int_equal(high.length, 8);
    bus_write(&bus, 0x100c, bytes, 4);
    assert_int_equal(high.offset, 4);
    assert_int_equal(high.writes, 1);
    assert_int_equal(low.reads, 1);
}

/* What no window covers wholly reads as ones and reaches nobody. */
static void test_uncovered(void **state)
{
    static const uint64_t addresses[] = { 0, 0xfff, 0xffd, 0x1005, 0x1008, 0x100c, UINT64_MAX,
                                          UINT64_MAX - 3 };
    struct bus bus = { .count = 0 };
    struct error error = ERROR_INIT;
    struct probe probe;
    uint8_t bytes[4];

    (void)state;
    bus_read(&bus, 0x1000, bytes, 4);
    assert_int_equal(bytes[3], 0xff);
    probe_init(&probe, 0);
    assert_int_equal(bus_add(&bus, 0x1000, 8, &probe.device, &error), 0);
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        memset(bytes, 0, sizeof(bytes));
        bus_read(&bus, addresses[i], bytes, 4);
        for (size_t j = 0; j < 4; j++)
            assert_int_equal(bytes[j], 0xff);
        bus_write(&bus, addresses[i], bytes, 4);
    }
    assert_int_equal(probe.reads + probe.writes, 0);
}

static void test_bad_windows(void **state)
{
    struct bus bus = { .count = 0 };
    struct error error = ERROR_INIT;
    struct probe probe;
    uint8_t byte = 0;

    (void)state;
    probe_init(&probe, 5);
    assert_int_equal(bus_add(&bus, 0x1000, 0, &probe.device, &error), -EINVAL);
    assert_int_equal(bus_add(&bus, UINT64_MAX, 2, &probe.device, &error), -EINVAL);
    assert_int_equal(bus_add(&bus, 0x1000, 0x100, &probe.device, &error), 0);
    assert_int_equal(bus_add(&bus, 0x1000, 0x100, &probe.device, &error), -EEXIST);
    assert_int_equal(bus_add(&bus, 0x0fff, 2, &probe.device, &error), -EEXIST);
    assert_int_equal(bus_add(&bus, 0x10ff, 1, &probe.device, &error), -EEXIST);
    assert_int_equal(bus_add(&bus, 0, UINT64_MAX, &probe.device, &error), -EEXIST);
    assert_int_equal(bus_add(&bus, 0x1080, 1, &probe.device, &error), -EEXIST);
    assert_non_null(strstr(error.message, "probe"));
    assert_int_equal(bus.count, 1);
    /* The very last byte of the space is a fine place. */
    assert_int_equal(bus_add(&bus, UINT64_MAX, 1, &probe.device, &error), 0);
    bus_read(&bus, UINT64_MAX, &byte, 1);
    assert_int_equal(byte, 5);
}

static void test_full(void **state)
{
    struct bus bus = { .count = 0 };
    struct error error = ERROR_INIT;
    struct probe probe;

    (void)state;
    probe_init(&probe, 0);
    for (uint64_t i = 0; i < BUS_WINDOWS_MAX; i++)
        assert_int_equal(bus_add(&bus, (BUS_WINDOWS_MAX - i) * 16, 16, &probe.device, &error), 0);
    assert_int_equal(bus_add(&bus, 0x100000, 16, &probe.device, &error), -ENOSPC);
    for (size_t i = 1; i < bus.count; i++)
        assert_true(bus.windows[i - 1].base < bus.windows[i].base);
}

/* Random windows and accesses against a map of single bytes. */
static void test_against_a_model(void **state)
{
    enum { SPACE = 512, PROBES = 8 };
    struct probe probes[PROBES];
    uint64_t random = 42;

    (void)state;
    for (unsigned int round = 0; round < 300; round++) {
        struct bus bus = { .count = 0 };
        struct error error = ERROR_INIT;
        uint8_t map[SPACE + 64] = { 0 };

        for (unsigned int i = 0; i < PROBES; i++) {
            uint64_t base = next_random(&random) % SPACE, size = next_random(&random) % 48 + 1;
            bool vacant = true;

            probe_init(&probes[i], (uint8_t)(i + 1));
            for (uint64_t at = base; at < base + size; at++)
                vacant = vacant && map[at] == 0;
            assert_int_equal(bus_add(&bus, base, size, &probes[i].device, &error),
                             vacant ? 0 : -EEXIST);
            if (vacant)
                memset(map + base, (int)i + 1, size);
        }
        for (unsigned int i = 0; i < 300; i++) {
            uint64_t address = next_random(&random) % SPACE;
            size_t length = (size_t)1 << next_random(&random) % 4;
            uint8_t bytes[8], expected = map[address];

            for (size_t at = 0; at < length; at++)
                if (map[address + at] != expected)
                    expected = 0;
            bus_read(&bus, address, bytes, length);
            for (size_t at = 0; at < length; at++)
                assert_int_equal(bytes[at], expected ? expected : 0xff);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_look_up),
        cmocka_unit_test(test_uncovered),
        cmocka_unit_test(test_bad_windows),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_against_a_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
