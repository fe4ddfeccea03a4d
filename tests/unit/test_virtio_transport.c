/* SPDX-License-Identifier: Apache-2.0 */
/* The transport: device status, features, queues and the configuration space, over each kind of registers. */
#include "tests/support/echo_bench.h"

#include <string.h>

static void test_a_chain_comes_back(void **state)
{
    (void)state;
    fake_driver_start(&driver, 4, ECHO_QUEUES);
    for (unsigned int queue = 0; queue < ECHO_QUEUES; queue++) {
        echo_once(queue, FAKE_DIRECT);
        assert_int_equal(fake_driver_interrupts(&driver), 1);
        echo_once(queue, FAKE_INDIRECT);
    }
    assert_int_equal(echo()->activations, 1);
    assert_int_equal(echo()->chains, 2 * ECHO_QUEUES);
}

/* ---- features and status ------------------------------------------------ */

static void test_features_by_selector(void **state)
{
    (void)state;
    assert_int_equal(fake_driver_reset(&driver), ECHO_FEATURES | FAKE_RING_FEATURES);
    for (uint64_t sel = 2; sel <= UINT32_MAX; sel = sel * 3 + 1) {
        fake_driver_write(&driver, VIRTIO_MMIO_DEVICE_FEATURES_SEL, (uint32_t)sel);
        assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_DEVICE_FEATURES), 0);
    }
}

static void test_features_that_were_not_offered(void **state)
{
    (void)state;
    for (unsigned int bit = 0; bit < 64; bit++) {
        uint64_t offered = fake_driver_reset(&driver), feature = 1ull << bit;

        assert_int_equal(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1 | feature),
                         (offered & feature) != 0);
    }
    fake_driver_reset(&driver);
    fake_driver_write(&driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
    fake_driver_write(&driver, VIRTIO_MMIO_DRIVER_FEATURES, 1);
    fake_driver_write(&driver, VIRTIO_MMIO_STATUS, FAKE_FEATURES_OK);
    assert_false(fake_driver_read(&driver, VIRTIO_MMIO_STATUS) & FAKE_FEATURES_OK);
    /* What is written to the pages that exist does not take it back. */
    assert_false(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1));
    fake_driver_reset(&driver);
    assert_true(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1));
}

static void test_a_driver_of_version_0_9(void **state)
{
    (void)state;
    fake_driver_reset(&driver);
    assert_false(fake_driver_negotiate(&driver, 4));
    /* Without FEATURES_OK nothing goes on. */
    fake_driver_write(&driver, VIRTIO_MMIO_STATUS, FAKE_DRIVER_OK);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_STATUS),
                     FAKE_ACKNOWLEDGE | FAKE_DRIVER);
    assert_int_equal(echo()->activations, 0);
}

/* 3.1.1: ACKNOWLEDGE and DRIVER come first; in one write with FEATURES_OK they do. */
static void test_features_ok_needs_a_driver(void **state)
{
    static const uint32_t before[] = { 0, FAKE_ACKNOWLEDGE, FAKE_DRIVER };

    (void)state;
    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
        fake_driver_write(&driver, VIRTIO_MMIO_STATUS, 0);
        fake_driver_write(&driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
        fake_driver_write(&driver, VIRTIO_MMIO_DRIVER_FEATURES, VIRTIO_F_VERSION_1 >> 32);
        if (before[i])
            fake_driver_write(&driver, VIRTIO_MMIO_STATUS, before[i]);
        fake_driver_write(&driver, VIRTIO_MMIO_STATUS, before[i] | FAKE_FEATURES_OK);
        assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_STATUS), before[i]);
    }
    fake_driver_write(&driver, VIRTIO_MMIO_STATUS, FAKE_ACKNOWLEDGE | FAKE_DRIVER | FAKE_FEATURES_OK);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_STATUS),
                     FAKE_ACKNOWLEDGE | FAKE_DRIVER | FAKE_FEATURES_OK);
}

/* A driver that has given up does not run the device. */
static void test_driver_ok_after_failed(void **state)
{
    (void)state;
    fake_driver_reset(&driver);
    assert_true(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1));
    fake_driver_write(&driver, VIRTIO_MMIO_STATUS, FAKE_FAILED);
    fake_driver_write(&driver, VIRTIO_MMIO_STATUS, FAKE_DRIVER_OK);
    assert_int_equal(echo()->activations, 0);
    assert_false(fake_driver_read(&driver, VIRTIO_MMIO_STATUS) & FAKE_DRIVER_OK);
}

static void test_features_are_frozen_after_features_ok(void **state)
{
    (void)state;
    fake_driver_reset(&driver);
    assert_true(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1 | 4));
    fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1 | 1);
    fake_driver_ready(&driver);
    assert_int_equal(echo()->virtio.negotiated, VIRTIO_F_VERSION_1 | 4);
}

static void test_status_bits_stay_until_the_reset(void **state)
{
    (void)state;
    fake_driver_start(&driver, 0, 1);
    fake_driver_write(&driver, VIRTIO_MMIO_STATUS, FAKE_ACKNOWLEDGE);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_STATUS),
                     FAKE_ACKNOWLEDGE | FAKE_DRIVER | FAKE_FEATURES_OK | FAKE_DRIVER_OK);
    fake_driver_write(&driver, VIRTIO_MMIO_STATUS, UINT32_MAX);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_STATUS),
                     FAKE_ACKNOWLEDGE | FAKE_DRIVER | FAKE_FEATURES_OK | FAKE_DRIVER_OK |
                     FAKE_FAILED);
    assert_int_equal(echo()->activations, 1);
}

static const uint64_t queue_registers[] = {
    VIRTIO_MMIO_QUEUE_NUM, VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_DESC_HIGH,
    VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_MMIO_QUEUE_USED_LOW,
    VIRTIO_MMIO_QUEUE_USED_HIGH, VIRTIO_MMIO_QUEUE_READY,
};

static void write_all_queue_registers(uint32_t value)
{
    for (size_t i = 0; i < sizeof(queue_registers) / sizeof(queue_registers[0]); i++)
        fake_driver_write(&driver, queue_registers[i], value);
}

/* CVE-2026-5747 of another monitor: addresses moved under a running device. */
static void test_registers_are_frozen_after_driver_ok(void **state)
{
    struct virtqueue before[ECHO_QUEUES];

    (void)state;
    fake_driver_start(&driver, 4, 2); /* the third queue is left alone */
    memcpy(before, echo()->virtio.queues, sizeof(before));
    for (uint32_t queue = 0; queue < 4; queue++) {
        fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_SEL, queue);
        write_all_queue_registers(0);
        write_all_queue_registers(1);
        write_all_queue_registers(0x4000);
    }
    fake_driver_write(&driver, VIRTIO_MMIO_DRIVER_FEATURES, 0);
    assert_memory_equal(before, echo()->virtio.queues, sizeof(before));
    assert_int_equal(echo()->virtio.negotiated, FAKE_RING_FEATURES | 4);
    assert_false(fake_driver_needs_reset(&driver));
    echo_once(0, FAKE_DIRECT);
}

static void test_queues_wait_for_features_ok(void **state)
{
    (void)state;
    fake_driver_reset(&driver);
    write_all_queue_registers(1);
    assert_int_equal(echo()->virtio.queues[0].size, 0);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_QUEUE_READY), 0);
    assert_false(fake_driver_needs_reset(&driver));
}

static void test_a_ready_queue_is_frozen_until_taken_back(void **state)
{
    struct virtqueue before;

    (void)state;
    fake_driver_reset(&driver);
    assert_true(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1));
    fake_driver_queue(&driver, 0, 8);
    before = echo()->virtio.queues[0];
    for (size_t i = 0; i + 1 < sizeof(queue_registers) / sizeof(queue_registers[0]); i++)
        fake_driver_write(&driver, queue_registers[i], 0x7777);
    assert_memory_equal(&before, &echo()->virtio.queues[0], sizeof(before));
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_READY, 0);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_QUEUE_READY), 0);
    fake_driver_queue(&driver, 0, 16);
    fake_driver_ready(&driver);
    echo_once(0, FAKE_DIRECT);
}

static void test_queue_sel_out_of_range(void **state)
{
    static const uint32_t wrong[] = { ECHO_QUEUES, 16, 255, 0x7fffffff, 0x80000000, UINT32_MAX };
    struct virtio_device before;

    (void)state;
    fake_driver_reset(&driver);
    assert_true(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1));
    before = echo()->virtio;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_SEL, wrong[i]);
        assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
        assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_QUEUE_READY), 0);
        write_all_queue_registers(1);
    }
    assert_memory_equal(&before, &echo()->virtio, sizeof(before));
    assert_false(fake_driver_needs_reset(&driver));
}

static void test_notify_out_of_range(void **state)
{
    static const uint32_t wrong[] = { 2, ECHO_QUEUES, 16, 255, 0x80000000, UINT32_MAX };

    (void)state;
    fake_driver_kick(&driver, 0); /* before DRIVER_OK */
    fake_driver_start(&driver, 0, ECHO_QUEUES); /* opens all doorbells */
    fake_driver_start(&driver, 0, 2);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        fake_driver_kick(&driver, wrong[i]);
    for (unsigned int queue = 0; queue < ECHO_QUEUES; queue++)
        assert_int_equal(echo()->kicks[queue], 0);
    echo_once(0, FAKE_DIRECT);
}

static void test_a_size_or_address_that_is_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(queue_registers) / sizeof(queue_registers[0]) - 1; i++) {
        fake_driver_reset(&driver);
        assert_true(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1));
        fake_driver_queue(&driver, 0, 8);
        fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_READY, 0);
        fake_driver_write(&driver, queue_registers[i], 0x10001);
        fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_READY, 1);
        assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_QUEUE_READY), 0);
        assert_true(fake_driver_needs_reset(&driver));
        /* DRIVER_OK comes too late for it. */
        fake_driver_write(&driver, VIRTIO_MMIO_STATUS, FAKE_DRIVER_OK);
        assert_false(fake_driver_read(&driver, VIRTIO_MMIO_STATUS) & FAKE_DRIVER_OK);
        assert_int_equal(fake_driver_interrupts(&driver), 0);
    }
    fake_driver_start(&driver, 0, 1);
    echo_once(0, FAKE_DIRECT);
}

/* A transport may let its driver read whatever it wrote, as virtio-pci does (4.1.4.3); virtio-mmio does not. */
static void test_fields_read_back(void **state)
{
    static const uint64_t written[] = {
        VIRTIO_MMIO_QUEUE_NUM, VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_DESC_HIGH,
        VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_MMIO_QUEUE_USED_LOW,
        VIRTIO_MMIO_QUEUE_USED_HIGH, VIRTIO_MMIO_DEVICE_FEATURES_SEL, VIRTIO_MMIO_DRIVER_FEATURES_SEL,
        VIRTIO_MMIO_QUEUE_SEL,
    };
    const size_t count = sizeof(written) / sizeof(written[0]);

    (void)state;
    fake_driver_reset(&driver);
    assert_true(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1 | 4));
    for (uint32_t page = 0; page < 3; page++) {
        fake_driver_write(&driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, page);
        assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_DRIVER_FEATURES),
                         page == 0 ? 4 : page == 1 ? VIRTIO_F_VERSION_1 >> 32 : 0);
    }
    for (size_t i = 0; i < count; i++)
        fake_driver_write(&driver, written[i], (uint32_t)(0x89abcde0 + i));
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_SEL, 0);
    for (size_t i = 0; i + 1 < count; i++)
        assert_int_equal(fake_driver_read(&driver, written[i]), (uint32_t)(0x89abcde0 + i));
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_SEL, ECHO_QUEUES);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_QUEUE_NUM), 0);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_QUEUE_USED_HIGH), 0);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_QUEUE_SEL), ECHO_QUEUES);
}

/* What is read-only, and what is no field at all. */
static void test_fields_that_cannot_be_written(void **state)
{
    struct virtio_transport *transport = (struct virtio_transport *)driver.device, before;

    (void)state;
    fake_driver_reset(&driver);
    assert_true(fake_driver_negotiate(&driver, VIRTIO_F_VERSION_1));
    before = *transport;
    for (enum virtio_field field = VIRTIO_FIELD_NONE; field < 3 * VIRTIO_FIELD_COUNT; field++) {
        if (field != VIRTIO_FIELD_NONE && field != VIRTIO_DEVICE_FEATURES &&
            field != VIRTIO_CONFIG_GENERATION && field != VIRTIO_QUEUE_SIZE_MAX &&
            field < VIRTIO_FIELD_COUNT)
            continue;
        virtio_transport_write(transport, field, 0x1234);
        if (field == VIRTIO_FIELD_NONE || field >= VIRTIO_FIELD_COUNT)
            assert_int_equal(virtio_transport_read(transport, field), 0);
    }
    assert_memory_equal(&before, transport, sizeof(before));
    assert_int_equal(echo()->virtio.queues[0].used_address, 0);
}

/* ---- configuration space ------------------------------------------------ */

static void test_config_reads_stay_inside(void **state)
{
    uint8_t bytes[8];

    (void)state;
    for (uint64_t offset = 0; offset < VIRTIO_MMIO_SIZE - VIRTIO_MMIO_CONFIG - 8; offset++) {
        for (size_t length = 1; length <= 8; length *= 2) {
            bool inside = offset + length <= ECHO_CONFIG_SIZE;

            memset(bytes, 0x55, sizeof(bytes));
            device_read(driver.device, fake_driver_place(&driver, VIRTIO_MMIO_CONFIG + offset), bytes,
                        length);
            for (size_t i = 0; i < sizeof(bytes); i++)
                assert_int_equal(bytes[i], i >= length ? 0x55 :
                                 inside ? (uint8_t)(0xc0 + offset + i) : 0);
        }
    }
}

static void test_config_writes_stay_inside(void **state)
{
    const uint8_t bytes[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

    (void)state;
    for (uint64_t offset = 0; offset < VIRTIO_MMIO_SIZE - VIRTIO_MMIO_CONFIG - 8; offset++) {
        for (size_t length = 1; length <= 8; length *= 2) {
            unsigned int before = echo()->config_writes;

            device_write(driver.device, fake_driver_place(&driver, VIRTIO_MMIO_CONFIG + offset), bytes,
                         length);
            assert_int_equal(echo()->config_writes - before, offset + length <= ECHO_CONFIG_SIZE);
            if (echo()->config_writes > before) {
                assert_int_equal(echo()->config_offset, offset);
                assert_int_equal(echo()->config_length, length);
            }
        }
    }
}

static void test_config_generation(void **state)
{
    uint32_t before = fake_driver_read(&driver, VIRTIO_MMIO_CONFIG_GENERATION);

    (void)state;
    virtio_config_changed(&echo()->virtio);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_CONFIG_GENERATION), before + 1);
    /* 2.1.2: no interrupt before DRIVER_OK. */
    assert_int_equal(fake_driver_interrupts(&driver), 0);
    assert_false(fake_driver_heard(&driver, FAKE_CONFIG));
    fake_driver_start(&driver, 0, 1);
    virtio_config_changed(&echo()->virtio);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_CONFIG_GENERATION), before + 2);
    assert_int_equal(fake_driver_interrupts(&driver), 1);
    assert_false(fake_driver_heard(&driver, 0));
    assert_true(fake_driver_heard(&driver, FAKE_CONFIG));
    /* The generation outlives a reset: a reader half-way must notice. */
    fake_driver_reset(&driver);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_CONFIG_GENERATION), before + 2);
}

/* ---- interrupts --------------------------------------------------------- */

static void test_an_interrupt_tells_its_reason(void **state)
{
    (void)state;
    fake_driver_start(&driver, FAKE_PLAIN, ECHO_QUEUES);
    for (unsigned int queue = 0; queue < ECHO_QUEUES; queue++) {
        echo_once(queue, FAKE_DIRECT);
        assert_true(fake_driver_heard(&driver, queue));
        assert_false(fake_driver_heard(&driver, FAKE_CONFIG));
    }
    assert_int_equal(fake_driver_interrupts(&driver), ECHO_QUEUES);
    echo_once(0, FAKE_DIRECT);
    virtio_config_changed(&echo()->virtio);
    assert_true(fake_driver_heard(&driver, 0));
    assert_true(fake_driver_heard(&driver, FAKE_CONFIG));
    assert_false(fake_driver_heard(&driver, 0));
    assert_false(fake_driver_heard(&driver, FAKE_CONFIG));
}

static void test_each_queue_has_its_vector(void **state)
{
    (void)state;
    fake_driver_start(&driver, 0, ECHO_QUEUES);
    for (unsigned int queue = 0; queue < ECHO_QUEUES; queue++) {
        echo_once(queue, FAKE_DIRECT);
        for (unsigned int other = 0; other < ECHO_QUEUES; other++)
            assert_int_equal(fake_driver_heard(&driver, other), other == queue);
    }
    virtio_config_changed(&echo()->virtio);
    virtio_needs_reset(&echo()->virtio, "a test");
    for (unsigned int queue = 0; queue < ECHO_QUEUES; queue++)
        assert_false(fake_driver_heard(&driver, queue));
    assert_true(fake_driver_heard(&driver, FAKE_CONFIG));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OVER_EACH(test_a_chain_comes_back),
        OVER_EACH(test_features_by_selector),
        OVER_EACH(test_features_that_were_not_offered),
        OVER_EACH(test_a_driver_of_version_0_9),
        OVER_EACH(test_features_ok_needs_a_driver),
        OVER_EACH(test_driver_ok_after_failed),
        OVER_EACH(test_features_are_frozen_after_features_ok),
        OVER_EACH(test_status_bits_stay_until_the_reset),
        OVER_EACH(test_registers_are_frozen_after_driver_ok),
        OVER_EACH(test_queues_wait_for_features_ok),
        OVER_EACH(test_a_ready_queue_is_frozen_until_taken_back),
        OVER_EACH(test_queue_sel_out_of_range),
        OVER_EACH(test_notify_out_of_range),
        OVER_EACH(test_a_size_or_address_that_is_wrong),
        OVER_VECTORS(test_fields_read_back),
        OVER_EACH(test_fields_that_cannot_be_written),
        OVER_EACH(test_config_reads_stay_inside),
        OVER_EACH(test_config_writes_stay_inside),
        OVER_EACH(test_config_generation),
        OVER_EACH(test_an_interrupt_tells_its_reason),
        OVER_VECTORS(test_each_queue_has_its_vector),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
