/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* After those that it needs. */
#include <cmocka.h>

#include "vmm/monitor/arch/arch.h"
#include "vmm/monitor/arch/x86_64/layout.h"

#define GIB (1ull << 30)

static void memory_below_the_hole_is_one_range(void **state)
{
    struct guest_range ranges[2];

    (void)state;
    assert_int_equal(arch_memory_layout(128 << 20, ranges), 1);
    assert_int_equal(ranges[0].address, 0);
    assert_int_equal(ranges[0].size, 128 << 20);
    assert_int_equal(arch_memory_layout(3 * GIB, ranges), 1);
    assert_int_equal(ranges[0].size, 3 * GIB);
}

static void the_rest_lies_above_4_gib(void **state)
{
    struct guest_range ranges[2];

    (void)state;
    assert_int_equal(arch_memory_layout(3 * GIB + 4096, ranges), 2);
    assert_int_equal(ranges[0].size, 3 * GIB);
    assert_int_equal(ranges[1].address, 4 * GIB);
    assert_int_equal(ranges[1].size, 4096);
    assert_int_equal(arch_memory_layout(512 * GIB, ranges), 2);
    assert_int_equal(ranges[0].size + ranges[1].size, 512 * GIB);
}

static void assert_apart(const struct machine_device *a, const struct machine_device *b)
{
    if (a->space == b->space)
        assert_true(a->base + a->size <= b->base || b->base + b->size <= a->base);
    if (a->irq != MACHINE_NO_IRQ)
        assert_int_not_equal(a->irq, b->irq);
}

static void devices_share_neither_address_nor_interrupt(void **state)
{
    struct machine_device devices[MACHINE_DEVICES_MAX];
    const struct machine_device *platform;
    size_t count;

    (void)state;
    platform = arch_platform_devices(&count);
    memcpy(devices, platform, count * sizeof(*platform));
    while (count < MACHINE_DEVICES_MAX && arch_virtio_window(count - 6, &devices[count]))
        count++;
    assert_int_equal(count, 6 + LAYOUT_VIRTIO_WINDOWS);
    for (size_t i = 0; i < count; i++) {
        assert_true(devices[i].size > 0);
        assert_true((devices[i].kind == DEVICE_ARCH) == (devices[i].ops != NULL));
        assert_true(devices[i].irq == MACHINE_NO_IRQ || devices[i].irq < LAYOUT_IOAPIC_PINS);
        if (devices[i].space == ADDRESS_MMIO)
            assert_true(devices[i].base >= LAYOUT_MMIO &&
                        devices[i].base + devices[i].size <= LAYOUT_IOAPIC);
        for (size_t j = 0; j < i; j++)
            assert_apart(&devices[i], &devices[j]);
    }
}

static void windows_end_at_the_last(void **state)
{
    struct machine_device device;

    (void)state;
    assert_true(arch_virtio_window(0, &device));
    assert_int_equal(device.kind, DEVICE_VIRTIO_MMIO);
    assert_int_equal(device.space, ADDRESS_MMIO);
    assert_int_equal(device.base, 0xd0000000);
    assert_int_equal(device.size, 0x1000);
    assert_int_equal(device.irq, 5);
    assert_true(arch_virtio_window(LAYOUT_VIRTIO_WINDOWS - 1, &device));
    assert_int_equal(device.irq, 104);
    assert_false(arch_virtio_window(LAYOUT_VIRTIO_WINDOWS, &device));
    assert_false(arch_virtio_window(SIZE_MAX, &device));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_below_the_hole_is_one_range),
        cmocka_unit_test(the_rest_lies_above_4_gib),
        cmocka_unit_test(devices_share_neither_address_nor_interrupt),
        cmocka_unit_test(windows_end_at_the_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
