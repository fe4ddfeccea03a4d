/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/echo_device.h"
#include "tests/support/fake_driver.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

static struct fixture fixture;
static struct fake_driver driver;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    fake_driver_create(&driver, &fixture, &echo_class, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_driver_destroy(&driver);
    fixture_release(&fixture);
    return 0;
}

static struct echo_device *echo(void)
{
    return (struct echo_device *)virtio_mmio_device(driver.device);
}

static void echo_once(unsigned int queue, enum fake_layout layout)
{
    uint64_t from = fake_alloc(&driver, 100, 1), to = fake_alloc(&driver, 100, 1);
    const struct fake_buffer buffers[] = {
        { from, 3 }, { from + 3, 60 }, { from + 63, 37 }, { to, 1, true }, { to + 1, 99, true },
    };
    struct virtq_used_element used;
    uint16_t head;

    memset(fake_memory(&driver, from, 100), 'x', 100);
    head = fake_driver_send(&driver, queue, layout, 5, buffers);
    assert_true(fake_driver_used(&driver, queue, &used));
    assert_int_equal(used.id, head);
    assert_int_equal(used.length, 100);
    assert_memory_equal(fake_memory(&driver, to, 100), fake_memory(&driver, from, 100), 100);
    assert_false(fake_driver_used(&driver, queue, &used));
}

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


/* ---- registers ---------------------------------------------------------- */

static void test_who_it_is(void **state)
{
    (void)state;
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_VERSION), 2);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_DEVICE_ID), 42);
    assert_int_not_equal(fake_driver_read(&driver, VIRTIO_MMIO_VENDOR_ID), 0);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_SHM_LEN_HIGH), UINT32_MAX);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_SHM_BASE_LOW), UINT32_MAX);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_SHM_BASE_HIGH), UINT32_MAX);
}

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

static void test_registers_by_odd_widths_and_offsets(void **state)
{
    struct virtio_device before;
    uint8_t bytes[8];

    (void)state;
    fake_driver_start(&driver, 0, 1);
    before = echo()->virtio;
    for (uint64_t offset = 0; offset < VIRTIO_MMIO_CONFIG; offset++) {
        for (size_t length = 1; length <= 8; length *= 2) {
            if (length == 4 && offset % 4 == 0)
                continue;
            memset(bytes, 0x55, sizeof(bytes));
            device_write(driver.device, offset, (const uint8_t[8]){ 0 }, length);
            device_write(driver.device, offset, bytes, length);
            device_read(driver.device, offset, bytes, length);
            for (size_t i = 0; i < sizeof(bytes); i++)
                assert_int_equal(bytes[i], i < length ? 0 : 0x55);
        }
    }
    assert_memory_equal(&before, &echo()->virtio, sizeof(before));
    assert_int_equal(echo()->resets, 1); /* the one of the start */
}

static void test_registers_that_do_not_exist(void **state)
{
    (void)state;
    fake_driver_start(&driver, 0, 1);
    for (uint64_t offset = 0; offset < VIRTIO_MMIO_CONFIG; offset += 4) {
        if (offset == VIRTIO_MMIO_STATUS)
            continue;
        fake_driver_write(&driver, offset, UINT32_MAX);
        fake_driver_read(&driver, offset);
    }
    assert_false(fake_driver_needs_reset(&driver));
    echo_once(0, FAKE_DIRECT);
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
            device_read(driver.device, VIRTIO_MMIO_CONFIG + offset, bytes, length);
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

            device_write(driver.device, VIRTIO_MMIO_CONFIG + offset, bytes, length);
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
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
    fake_driver_start(&driver, 0, 1);
    virtio_config_changed(&echo()->virtio);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_CONFIG_GENERATION), before + 2);
    assert_int_equal(fake_driver_interrupts(&driver), 1);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
    /* The generation outlives a reset: a reader half-way must notice. */
    fake_driver_reset(&driver);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_CONFIG_GENERATION), before + 2);
}

static void test_interrupt_status_and_acknowledgement(void **state)
{
    (void)state;
    fake_driver_start(&driver, 0, 1);
    echo_once(0, FAKE_DIRECT);
    virtio_config_changed(&echo()->virtio);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
    fake_driver_write(&driver, VIRTIO_MMIO_INTERRUPT_ACK, 1);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
    fake_driver_write(&driver, VIRTIO_MMIO_INTERRUPT_ACK, UINT32_MAX);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
    assert_int_equal(fixture.irq.repeated, 0);
    assert_false(fixture.irq.high);
}

/* ---- reset and NEEDS_RESET ---------------------------------------------- */

static void assert_works(void)
{
    fake_driver_start(&driver, 4, ECHO_QUEUES);
    fake_driver_interrupts(&driver);
    echo_once(ECHO_QUEUES - 1, FAKE_INDIRECT);
    assert_int_equal(fake_driver_interrupts(&driver), 1);
}

/* Everything that the driver told the device is gone. */
static void assert_like_new(void)
{
    for (uint64_t offset = VIRTIO_MMIO_QUEUE_READY; offset < VIRTIO_MMIO_STATUS + 4; offset += 4)
        assert_int_equal(fake_driver_read(&driver, offset), 0);
    for (unsigned int i = 0; i < ECHO_QUEUES; i++) {
        const struct virtqueue *queue = &echo()->virtio.queues[i];
        struct virtqueue fresh;

        memset(&fresh, 0, sizeof(fresh));
        virtqueue_init(&fresh, fixture.env.memory, ECHO_QUEUE_SIZE);
        assert_ptr_equal(queue->memory, fresh.memory);
        assert_false(queue->ready || queue->broken || queue->desc || queue->in_use ||
                     queue->size || queue->last_avail || queue->used_index);
    }
    assert_int_equal(echo()->virtio.negotiated, 0);
}

static void test_reset_at_any_time(void **state)
{
    (void)state;
    for (unsigned int step = 0; step < 6; step++) {
        fake_driver_reset(&driver);
        if (step > 0)
            fake_driver_negotiate(&driver, FAKE_RING_FEATURES);
        if (step > 1)
            fake_driver_queue(&driver, 0, 8);
        if (step > 2)
            fake_driver_ready(&driver);
        if (step > 3)
            echo_once(0, FAKE_DIRECT);
        if (step > 4)
            virtio_needs_reset(&echo()->virtio, "a test");
        fake_driver_write(&driver, VIRTIO_MMIO_STATUS, 0);
        assert_like_new();
        assert_works();
    }
}

static void test_reset_with_chains_in_flight(void **state)
{
    const struct fake_buffer buffer = { 0x100, 8, true };
    struct iovec segments[4];
    struct virtio_chain chain = { .segments = segments, .capacity = 4 };
    uint64_t used;

    (void)state;
    fake_driver_start(&driver, 0, 1);
    echo()->hold = true;
    fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
    fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
    used = driver.queues[0].used;
    assert_int_equal(virtqueue_pop(&echo()->virtio.queues[0], &chain), 1);
    /* The bell rings, and before the loop hears it the driver resets. */
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    fake_driver_write(&driver, VIRTIO_MMIO_STATUS, 0);
    fake_driver_run(&driver);
    assert_int_equal(echo()->kicks[0], 0);
    virtqueue_push(&echo()->virtio.queues[0], chain.head, 8);
    virtio_notify(&echo()->virtio, 0);
    assert_int_equal(*(uint16_t *)fake_memory(&driver, used + 2, 2), 0);
    assert_int_equal(fake_driver_interrupts(&driver), 0);
    echo()->hold = false;
    assert_works();
}

static void test_needs_reset(void **state)
{
    (void)state;
    fake_driver_start(&driver, 0, 2);
    fake_offer(&driver, 0, 5000);
    fake_driver_kick(&driver, 0);
    assert_true(fake_driver_needs_reset(&driver));
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
    assert_int_equal(fake_driver_interrupts(&driver), 1);
    assert_int_equal(memory_log_lines(&fixture.log), 1);
    /* The other queue stands still as well, and nothing is said twice. */
    fake_offer(&driver, 1, 0);
    fake_driver_kick(&driver, 1);
    fake_driver_kick(&driver, 0);
    virtio_needs_reset(&echo()->virtio, "once more");
    assert_int_equal(echo()->kicks[1], 0);
    for (unsigned int i = 0; i < ECHO_QUEUES; i++)
        assert_true(echo()->virtio.queues[i].broken);
    assert_int_equal(fake_driver_interrupts(&driver), 0);
    assert_int_equal(memory_log_lines(&fixture.log), 1);
    assert_works();
}

static void test_a_driver_that_never_learns_fills_no_log(void **state)
{
    (void)state;
    for (unsigned int i = 0; i < 100; i++) {
        fake_driver_start(&driver, 0, 1);
        fake_offer(&driver, 0, 5000);
        fake_driver_kick(&driver, 0);
        assert_true(fake_driver_needs_reset(&driver));
    }
    assert_in_range(memory_log_lines(&fixture.log), 1, 11);
}

/* ---- doorbells ---------------------------------------------------------- */

static void kick_times(unsigned int queue, unsigned int times)
{
    for (unsigned int i = 0; i < times; i++)
        fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

static void test_a_busy_queue_gets_a_doorbell(void **state)
{
    (void)state;
    for (unsigned int round = 1; round <= 2; round++) {
        fake_driver_start(&driver, 0, ECHO_QUEUES);
        kick_times(1, 63);
        kick_times(2, 1);
        assert_int_equal(driver.doorbell.attached, 0);
        kick_times(1, 1);
        assert_int_equal(driver.doorbell.attached, 1);
        assert_int_equal(driver.doorbell.value, 1);
        assert_int_equal(driver.doorbell.address, FAKE_WINDOW_BASE + VIRTIO_MMIO_QUEUE_NOTIFY);
        /* KVM rings it from now on; a plain exit that comes still is served. */
        fake_driver_run(&driver);
        echo()->kicks[1] = 0;
        assert_int_equal(eventfd_write(driver.doorbell.event_fd, 1), 0);
        fake_driver_run(&driver);
        assert_int_equal(echo()->kicks[1], 1);
        fake_driver_kick(&driver, 1);
        assert_int_equal(echo()->kicks[1], 2);
        kick_times(1, 200);
        assert_int_equal(driver.doorbell.attaches, round);
        fake_driver_write(&driver, VIRTIO_MMIO_STATUS, 0);
        assert_int_equal(driver.doorbell.attached, 0);
    }
}

static void test_a_reset_forgets_how_busy_a_queue_was(void **state)
{
    (void)state;
    fake_driver_start(&driver, 0, 1);
    kick_times(0, 63);
    fake_driver_write(&driver, VIRTIO_MMIO_STATUS, 0);
    kick_times(0, 200); /* nobody is at home: no doorbell either */
    assert_int_equal(driver.doorbell.attaches, 0);
    fake_driver_start(&driver, 0, 1);
    kick_times(0, 63);
    assert_int_equal(driver.doorbell.attaches, 0);
}

static void test_a_doorbell_that_is_refused(void **state)
{
    (void)state;
    driver.doorbell.refuse = -ENOSPC;
    fake_driver_start(&driver, 0, 1);
    kick_times(0, 200);
    assert_int_equal(driver.doorbell.attached, 0);
    assert_int_equal(driver.doorbell.refusals, 200 / 64); /* KVM is not asked each time */
    echo_once(0, FAKE_DIRECT);
    driver.doorbell.refuse = 0;
    kick_times(0, 64);
    assert_int_equal(driver.doorbell.attached, 1);
}

static void test_a_device_that_stops_at_its_cap_goes_on(void **state)
{
    const struct fake_buffer buffer = { 0x100, 8, true };
    struct virtq_used_element used;
    unsigned int served = 0;

    (void)state;
    fake_driver_start(&driver, 0, 1);
    echo()->cap = 3;
    for (unsigned int i = 0; i < 10; i++)
        fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
    fake_driver_kick(&driver, 0);
    while (fake_driver_used(&driver, 0, &used))
        served++;
    assert_int_equal(served, 10);
    assert_int_equal(echo()->kicks[0], 4);
}

#define MMIO_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MMIO_TEST(test_a_chain_comes_back),
        MMIO_TEST(test_who_it_is),
        MMIO_TEST(test_features_by_selector),
        MMIO_TEST(test_features_that_were_not_offered),
        MMIO_TEST(test_a_driver_of_version_0_9),
        MMIO_TEST(test_features_are_frozen_after_features_ok),
        MMIO_TEST(test_status_bits_stay_until_the_reset),
        MMIO_TEST(test_registers_are_frozen_after_driver_ok),
        MMIO_TEST(test_queues_wait_for_features_ok),
        MMIO_TEST(test_a_ready_queue_is_frozen_until_taken_back),
        MMIO_TEST(test_queue_sel_out_of_range),
        MMIO_TEST(test_notify_out_of_range),
        MMIO_TEST(test_a_size_or_address_that_is_wrong),
        MMIO_TEST(test_registers_by_odd_widths_and_offsets),
        MMIO_TEST(test_registers_that_do_not_exist),
        MMIO_TEST(test_config_reads_stay_inside),
        MMIO_TEST(test_config_writes_stay_inside),
        MMIO_TEST(test_config_generation),
        MMIO_TEST(test_interrupt_status_and_acknowledgement),
        MMIO_TEST(test_reset_at_any_time),
        MMIO_TEST(test_reset_with_chains_in_flight),
        MMIO_TEST(test_needs_reset),
        MMIO_TEST(test_a_driver_that_never_learns_fills_no_log),
        MMIO_TEST(test_a_busy_queue_gets_a_doorbell),
        MMIO_TEST(test_a_reset_forgets_how_busy_a_queue_was),
        MMIO_TEST(test_a_doorbell_that_is_refused),
        MMIO_TEST(test_a_device_that_stops_at_its_cap_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
