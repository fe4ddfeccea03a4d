/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <string.h>

#include "devices/registry.h"
#include "vmm/config/device.h"

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

/* Each kind of virtio device has a class of its own, which a saved VM tells from the others by its ID and its name. */
static void test_classes_of_virtio_devices(void **state)
{
    (void)state;
    for (size_t i = 0; i < DEVICE_TYPE_COUNT; i++) {
        const struct virtio_device_class *class = device_classes[i];

        assert_string_equal(class->name, device_rows[i]->name);
        assert_true(class->create && class->destroy && class->kick);
        assert_in_range(class->queue_size, 1, VIRTQUEUE_SIZE_MAX);
        assert_int_equal(class->queue_size & (class->queue_size - 1), 0);
        assert_int_equal(class->state != NULL, class->state_version > 0);
        for (size_t other = 0; other < i; other++) {
            assert_int_not_equal(class->id, device_classes[other]->id);
            assert_string_not_equal(class->name, device_classes[other]->name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_complete),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_each_device_lives),
        cmocka_unit_test(test_classes_of_virtio_devices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
