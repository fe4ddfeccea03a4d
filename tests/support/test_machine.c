/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* After those that it needs. */
#include <cmocka.h>

#include "vmm/monitor/arch/arch.h"

void test_machine_create(struct test_machine *test, uint64_t memory_size, unsigned int cpus,
                         size_t windows)
{
    struct guest_range ranges[2];
    struct error error = ERROR_INIT;
    const struct machine_device *platform;
    struct guest_memory *memory;
    size_t count, ram_count = arch_memory_layout(memory_size, ranges);

    assert_int_equal(guest_memory_create(&memory, ranges, ram_count, &error), 0);
    platform = arch_platform_devices(&count);
    memcpy(test->devices, platform, count * sizeof(*platform));
    for (size_t i = 0; i < windows; i++)
        assert_true(arch_virtio_window(i, &test->devices[count++]));
    test->machine = (struct machine){
        .memory = memory,
        .cpu_count = cpus,
        .devices = test->devices,
        .device_count = count,
    };
}

void test_machine_destroy(struct test_machine *test)
{
    guest_memory_destroy(test->machine.memory);
}

uint8_t *test_machine_bytes(const struct test_machine *test, uint64_t address, size_t length)
{
    struct guest_slice slice;

    assert_int_equal(guest_memory_slice(test->machine.memory, address, length, &slice), 0);
    return slice.bytes;
}

uint8_t test_sum(const void *bytes, size_t length)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
    return sum;
}
