/* SPDX-License-Identifier: Apache-2.0 */
/* The transport: what a reset leaves, and DEVICE_NEEDS_RESET (virtio 1.2, 2.1, 2.4). */
#include "tests/support/echo_bench.h"

#include <string.h>

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
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_QUEUE_READY), 0);
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_STATUS), 0);
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
    assert_false(fake_driver_heard(&driver, 0));
    assert_true(fake_driver_heard(&driver, FAKE_CONFIG));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        OVER_EACH(test_reset_at_any_time),
        OVER_EACH(test_reset_with_chains_in_flight),
        OVER_EACH(test_needs_reset),
        OVER_EACH(test_a_driver_that_never_learns_fills_no_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
