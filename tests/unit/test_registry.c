/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <string.h>

#include "devices/registry.h"

static void test_table_is_complete(void **state)
{
    (void)state;
    for (int kind = 0; kind < DEVICE_VIRTIO_MMIO; kind++) {
        const struct device_ops *ops = device_registry_find((enum device_kind)kind);

        assert_non_null(ops);
        assert_true(strlen(ops->name) > 0);
        assert_true(ops->create && ops->destroy && ops->read && ops->write);
    }
    assert_null(device_registry_find(DEVICE_ARCH));
    assert_null(device_registry_find(DEVICE_KIND_COUNT));
    assert_null(device_registry_find((enum device_kind)0x7fffffff));
}

static void test_kinds(void **state)
{
    (void)state;
    assert_ptr_equal(device_registry_find(DEVICE_SERIAL), &serial_ops);
    assert_ptr_equal(device_registry_find(DEVICE_POWER), &power_ops);
    assert_ptr_equal(device_registry_find(DEVICE_PVPANIC), &pvpanic_ops);
    assert_ptr_equal(device_registry_find(DEVICE_BOOT_MARK), &boot_mark_ops);
}

/* Without options each simple device works, and leaves nothing behind. */
static void test_each_device_lives(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    for (int kind = 0; kind < DEVICE_VIRTIO_MMIO; kind++) {
        const struct device_ops *ops = device_registry_find((enum device_kind)kind);
        struct device *device;

        /* The virtio transport is nothing without a device behind it. */
        if (kind == DEVICE_VIRTIO_MMIO)
            continue;
        device = device_make(&fixture, ops, NULL);
        device_in(device, 0);
        device->ops->destroy(device);
    }
    fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_complete),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_each_device_lives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
