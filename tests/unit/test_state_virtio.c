/* SPDX-License-Identifier: Apache-2.0 */
/* Saving and loading the transport and its queues, and the devices that keep little. */
#include <errno.h>
#include <string.h>

#include "devices/virtio/entropy.h"
#include "tests/support/device_options.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/transport.h"
#include "tests/support/echo_bench.h"
#include "tests/support/saved.h"
#include "vmm/machine/state.h"

/* One request that the device serves, NUMBER in its bytes. */
static void offer(unsigned int queue, uint8_t number)
{
    const struct fake_buffer buffers[] = { { 0x40000, 32 }, { 0x50000 + 64u * number, 32, true } };

    memset(fake_memory(&driver, 0x40000, 32), number, 32);
    fake_set_used_event(&driver, queue, driver.queues[queue].used_index);
    fake_driver_add(&driver, queue, number % 2 ? FAKE_INDIRECT : FAKE_DIRECT, 2, buffers);
}

static void expect_answer(unsigned int queue, uint8_t number)
{
    struct virtq_used_element used;

    assert_true(fake_driver_used(&driver, queue, &used));
    assert_int_equal(used.length, 32);
    assert_int_equal(*(uint8_t *)fake_memory(&driver, 0x50000 + 64u * number, 1), number);
    assert_int_equal(fake_used_index(&driver, queue), driver.queues[queue].used_index);
}

static void move(void)
{
    fake_driver_move(&driver, &echo_class, NULL);
}

static void test_requests_go_on_over_many_moves(void **state)
{
    (void)state;
    fake_driver_start(&driver, ECHO_FEATURES, ECHO_QUEUES);
    for (uint8_t i = 0; i < 100; i++) {
        offer(i % ECHO_QUEUES, i);
        fake_driver_kick(&driver, i % ECHO_QUEUES);
        if (i % 10 == 3)
            move();
        expect_answer(i % ECHO_QUEUES, i);
        assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_STATUS), 15);
    }
    assert_int_equal(fake_driver_interrupts(&driver), 100);
}

/* Chains that nobody had popped, and a bell that rang in the other process. */
static void test_waiting_chains_are_served_without_a_kick(void **state)
{
    (void)state;
    fake_driver_start(&driver, ECHO_FEATURES, ECHO_QUEUES);
    offer(1, 1);
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
    move();
    assert_int_equal(fake_used_index(&driver, 1), 0); /* loading alone touches nothing */
    fake_driver_run(&driver);
    expect_answer(1, 1);
    assert_int_equal(echo()->activations, 1);
}

static void test_what_is_saved_twice_is_the_same(void **state)
{
    struct saved saved, again;

    (void)state;
    fake_driver_start(&driver, ECHO_FEATURES, 2);
    for (uint8_t i = 0; i < 5; i++) {
        offer(0, i);
        fake_driver_kick(&driver, 0);
    }
    device_save(driver.device, &saved);
    device_save(driver.device, &again);
    assert_true(saved_equal(&saved, &again));
    saved_release(&again);
    move();
    device_save(driver.device, &again);
    assert_true(saved_equal(&saved, &again));
    saved_release(&again);
    saved_release(&saved);
}

/* A driver amid its set-up finds each register as it left it. */
static void test_a_set_up_goes_on(void **state)
{
    (void)state;
    fake_driver_reset(&driver);
    fake_driver_write(&driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    fake_driver_write(&driver, VIRTIO_MMIO_DRIVER_FEATURES, 1);
    fake_driver_write(&driver, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
    move();
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_DEVICE_FEATURES), 0x15);
    fake_driver_write(&driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    fake_driver_write(&driver, VIRTIO_MMIO_DRIVER_FEATURES, 5);
    fake_driver_write(&driver, VIRTIO_MMIO_STATUS, 11);
    driver.features = 1ull << 32 | 5;
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_SEL, 0);
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_NUM, 16);
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x8000);
    move();
    driver.queues[0] = (struct fake_queue){
        .size = 16, .desc = 0x8000, .avail = 0x9000, .used = 0xa000,
    };
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x9000);
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_USED_LOW, 0xa000);
    fake_driver_write(&driver, VIRTIO_MMIO_QUEUE_READY, 1);
    move();
    assert_int_equal(fake_driver_read(&driver, VIRTIO_MMIO_QUEUE_READY), 1);
    fake_driver_ready(&driver);
    offer(0, 2);
    fake_driver_kick(&driver, 0);
    expect_answer(0, 2);
}

static void test_a_broken_device_stays_so_until_its_reset(void **state)
{
    (void)state;
    fake_driver_start(&driver, ECHO_FEATURES, 1);
    fake_set_avail_index(&driver, 0, 300);
    fake_driver_kick(&driver, 0);
    assert_true(fake_driver_needs_reset(&driver));
    move();
    assert_true(fake_driver_needs_reset(&driver));
    assert_int_equal(echo()->activations, 0);
    fake_driver_kick(&driver, 0);
    assert_int_equal(echo()->kicks[0], 0);
    fake_driver_start(&driver, ECHO_FEATURES, 1);
    offer(0, 1);
    fake_driver_kick(&driver, 0);
    expect_answer(0, 1);
}

/* Doorbell and shortcut were KVM's; a busy queue gets them again. */
static void test_a_busy_device_gets_its_shortcuts_again(void **state)
{
    (void)state;
    fake_driver_start(&driver, ECHO_FEATURES, 1);
    for (int round = 0; round < 2; round++) {
        for (unsigned int i = 0; i < 2 * VIRTIO_BUSY; i++) {
            offer(0, 2);
            fake_driver_kick(&driver, 0);
            assert_true(fake_driver_read(&driver, VIRTIO_MMIO_INTERRUPT_STATUS) & 1);
            fake_driver_write(&driver, VIRTIO_MMIO_INTERRUPT_ACK, 1);
            expect_answer(0, 2);
        }
        assert_int_equal(driver.doorbell.attached, 1);
        assert_non_null(driver.shortcut.page);
        move();
        assert_int_equal(driver.doorbell.attached, 0);
        assert_null(driver.shortcut.page);
    }
}

/* The saving device keeps no chain: if it did, nobody would give that back. */
static void test_a_chain_in_use_cannot_be_saved(void **state)
{
    struct iovec segments[ECHO_QUEUE_SIZE];
    struct virtio_chain chain = { .segments = segments, .capacity = ECHO_QUEUE_SIZE };
    struct error error = ERROR_INIT;
    struct state *saving;

    (void)state;
    fake_driver_start(&driver, ECHO_FEATURES, 1);
    echo()->hold = true;
    offer(0, 1);
    assert_int_equal(virtqueue_pop(&echo()->virtio.queues[0], &chain), 1);
    assert_int_equal(state_create(&saving, &error), 0);
    driver.device->ops->state(driver.device, saving);
    assert_int_equal(state_finish(saving, &error), -EBUSY);
    assert_non_null(strstr(error.message, "holds 1 chains"));
    state_destroy(saving);
}

/* The device has served it and was saved before it told the driver. */
static void push_unheard(unsigned int queue, uint8_t number)
{
    struct virtqueue *chains = &echo()->virtio.queues[queue];
    struct iovec segments[ECHO_QUEUE_SIZE];
    struct virtio_chain chain = { .segments = segments, .capacity = ECHO_QUEUE_SIZE };
    struct chain_cursor to;

    offer(queue, number);
    assert_int_equal(virtqueue_pop(chains, &chain), 1);
    to = chain_writable(&chain);
    memset(to.chain->segments[to.segment].iov_base, number, 32);
    virtqueue_push(chains, chain.head, 32);
}

/* Loading interrupts nobody, for the controller may come later; each queue hears of its own then. */
static void test_an_interrupt_that_comes_up_while_loading(void **state)
{
    static const struct echo_options notifies = { .notifies_at_once = true };

    (void)state;
    for (unsigned int moves = 1; moves <= 3; moves++) {
        fake_driver_start(&driver, ECHO_FEATURES, 2);
        push_unheard(1, 1);
        fake_driver_interrupts(&driver);
        for (unsigned int i = 0; i < moves; i++) {
            fake_driver_move(&driver, &echo_class, &notifies);
            assert_int_equal(fake_driver_interrupts(&driver), 0);
        }
        fake_driver_run(&driver);
        expect_answer(1, 1);
        assert_true(fake_driver_heard(&driver, 1));
        assert_false(fake_driver_heard(&driver, FAKE_CONFIG));
        /* The third queue is not ready; for the first one a move too many is no loss. */
        assert_in_range(fake_driver_interrupts(&driver), 1, moves == 1 ? 1 : 2);
        fake_driver_run(&driver);
        assert_int_equal(fake_driver_interrupts(&driver), 0);
    }
}

static void test_features_that_the_new_device_lacks_are_named(void **state)
{
    struct error error = ERROR_INIT;
    struct saved saved;

    (void)state;
    fake_driver_start(&driver, ECHO_FEATURES, 1);
    device_save(driver.device, &saved);
    fake_driver_destroy(&driver);
    fake_driver_make(&driver, &echo_class, NULL);
    echo()->virtio.offered &= ~4ull;
    assert_int_equal(device_load(driver.device, &saved, &error), -ENOTSUP);
    assert_non_null(strstr(error.message, "this echo does not offer (0x4)"));
    /* What could not be loaded is as new. */
    fake_driver_start(&driver, ECHO_FEATURES & ~4ull, 1);
    saved_release(&saved);
}

/* ---- entropy and balloon -------------------------------------------------- */

static void *options;

static void start(const struct virtio_device_class *class, const char *text, uint64_t features,
                  unsigned int queues)
{
    struct error error = ERROR_INIT;

    options = NULL;
    assert_int_equal(device_options_parse(class->name, text, &options, &error), 0);
    fixture_init(&fixture);
    fake_driver_create(&driver, &fixture, class, options);
    fake_driver_start(&driver, features, queues);
}

static void finish(void)
{
    fake_driver_destroy(&driver);
    fixture_release(&fixture);
    device_options_release(options);
}

/* A bucket that is empty stays so: a clone is no way to more. */
static void test_entropy_keeps_to_its_rate(void **state)
{
    const struct fake_buffer buffer = { 0x40000, 4096, true };
    struct virtq_used_element used;

    (void)state;
    start(&entropy_class, "on,rate=1K,burst=1K", 0, 1);
    fake_driver_send(&driver, 0, FAKE_DIRECT, 1, &buffer);
    assert_true(fake_driver_used(&driver, 0, &used));
    fake_driver_send(&driver, 0, FAKE_DIRECT, 1, &buffer);
    for (int i = 0; i < 3; i++) {
        fake_driver_move(&driver, &entropy_class, options);
        fake_driver_run(&driver);
        assert_false(fake_driver_used(&driver, 0, &used));
    }
    finish();
}

static void test_entropy_goes_on(void **state)
{
    const struct fake_buffer buffer = { 0x40000, 16, true };
    struct virtq_used_element used;

    (void)state;
    start(&entropy_class, "on", 0, 1);
    fake_driver_add(&driver, 0, FAKE_DIRECT, 1, &buffer);
    fake_driver_move(&driver, &entropy_class, options);
    fake_driver_run(&driver);
    assert_true(fake_driver_used(&driver, 0, &used));
    assert_int_equal(used.length, 16);
    finish();
}

static void test_a_balloon_goes_on(void **state)
{
    static const uint8_t record[] = { 5, 0, 0x88, 0x77, 0, 0, 0, 0, 0, 0 };
    const struct fake_buffer buffer = { 0x40000, sizeof(record) };
    const uint32_t actual = 17;
    struct error error = ERROR_INIT;
    struct virtq_used_element used;
    struct balloon_state account;
    uint32_t pages;

    (void)state;
    start(&balloon_class, "256K,stats=1", 1u << 1, 3);
    assert_int_equal(virtio_balloon_set_target(virtio_device_of(driver.device), 0x20000,
                                               &error), 0);
    fake_driver_write(&driver, VIRTIO_MMIO_CONFIG + 4, actual);
    memcpy(fake_memory(&driver, 0x40000, sizeof(record)), record, sizeof(record));
    fake_driver_send(&driver, 2, FAKE_DIRECT, 1, &buffer);
    for (int i = 0; i < 3; i++) {
        /* The device holds the buffer of the statistics: it stays with it, wherever that is. */
        fake_driver_move(&driver, &balloon_class, options);
        fake_driver_run(&driver);
        assert_false(fake_driver_used(&driver, 2, &used));
        virtio_balloon_state(virtio_device_of(driver.device), &account);
        assert_int_equal(account.target, 0x20000);
        assert_int_equal(account.actual, 17 * 4096);
        assert_int_equal(account.stats[BALLOON_TOTAL], 0x7788);
    }
    fake_driver_config(&driver, 0, &pages, sizeof(pages));
    assert_int_equal(pages, 32);
    /* It comes back when the device wants the next account. */
    assert_true(fake_driver_wait(&driver, 2, &used));
    assert_int_equal(fake_used_index(&driver, 2), 1);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OVER_EACH(test_requests_go_on_over_many_moves),
        OVER_EACH(test_waiting_chains_are_served_without_a_kick),
        OVER_EACH(test_what_is_saved_twice_is_the_same),
        OVER_EACH(test_a_set_up_goes_on),
        OVER_EACH(test_a_broken_device_stays_so_until_its_reset),
        OVER_MMIO(test_a_busy_device_gets_its_shortcuts_again),
        OVER_EACH(test_a_chain_in_use_cannot_be_saved),
        OVER_EACH(test_an_interrupt_that_comes_up_while_loading),
        OVER_EACH(test_features_that_the_new_device_lacks_are_named),
        cmocka_unit_test(test_entropy_keeps_to_its_rate),
        cmocka_unit_test(test_entropy_goes_on),
        cmocka_unit_test(test_a_balloon_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
