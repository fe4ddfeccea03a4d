/* SPDX-License-Identifier: Apache-2.0 */
/* Resets amid requests, more requests than slots, and a guest that offers each chain again at once. */
#include "tests/support/disk_faults.h"

#include <semaphore.h>
#include <string.h>
#include <unistd.h>

/* ---- a guest that offers each chain again as soon as it is used ---------- */

static struct fake_driver *refilling;
static unsigned int pushes;

void __real_virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written);
void __wrap_virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written);
void __wrap_virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written)
{
    __real_virtqueue_push(queue, head, written);
    pushes++;
    /* A million is as good as for ever. */
    if (refilling && pushes < 1000000)
        fake_offer(refilling, 0, head);
}

/* ---- in flight ---------------------------------------------------------- */

/* Serves the queue as the loop would, and nothing else. */
static void kick_now(struct disk_bench *bench)
{
    struct virtio_device *virtio = &bench->block->virtio;

    pthread_mutex_lock(&bench->driver.device->lock);
    virtio->class->kick(virtio, 0);
    pthread_mutex_unlock(&bench->driver.device->lock);
}

static void *release_soon(void *context)
{
    struct faults *faults = context;

    usleep(50000);
    faults->hold = false;
    for (int i = 0; i < 1000; i++)
        sem_post(&faults->released);
    return NULL;
}

static void test_a_reset_waits_for_threads_at_work(void **state)
{
    struct faulty *faulty = *state;
    struct virtq_used_element used;
    pthread_t thread;

    restart(faulty, engines[1], BENCH_ALL_FEATURES);
    faulty->faults.hold = true;
    for (unsigned int i = 0; i < 60; i++)
        disk_bench_add(&faulty->bench, 0, i, BLK_IN, i, 512 * i, 512);
    fake_driver_kick(&faulty->bench.driver, 0);
    while (atomic_load(&faulty->faults.held) == 0)
        run_loop_for(faulty->bench.fixture.env.loop, 1);
    assert_false(fake_driver_used(&faulty->bench.driver, 0, &used));
    pthread_create(&thread, NULL, release_soon, &faulty->faults);
    fake_driver_reset(&faulty->bench.driver);
    assert_int_equal(atomic_load(&faulty->faults.held), 0);
    memset(disk_bench_data(&faulty->bench), 0xee, 60 * 512);
    pthread_join(thread, NULL);
    usleep(20000);
    for (int i = 0; i < 60 * 512; i++)
        assert_int_equal(disk_bench_data(&faulty->bench)[i], 0xee);
    /* Nothing of the time before shows up after. */
    fake_driver_start(&faulty->bench.driver, BENCH_ALL_FEATURES, 1);
    assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 8, 512, NULL), BLK_OK);
    run_loop_for(faulty->bench.fixture.env.loop, 5);
    assert_false(fake_driver_used(&faulty->bench.driver, 0, &used));
}

/* Many times, with all kinds of requests in whatever state they happen to be. */
static void test_resets_amid_requests(void **state)
{
    struct faulty *faulty = *state;
    struct virtq_used_element used;
    uint64_t random = 1;

    for (int engine = 0; engine < 2; engine++) {
        restart(faulty, engines[engine], BENCH_ALL_FEATURES);
        for (int round = 0; round < 100; round++) {
            unsigned int count = 1 + (unsigned int)(next_random(&random) % 80);

            for (unsigned int i = 0; i < count; i++) {
                static const uint32_t types[] = { BLK_IN, BLK_OUT, BLK_FLUSH, BLK_IN };
                uint32_t type = types[next_random(&random) % 4];

                disk_bench_add(&faulty->bench, 0, i, type, 8 * i, 512 * i,
                               type == BLK_FLUSH ? 0 : 512);
            }
            fake_driver_write(&faulty->bench.driver, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
            if (round % 3 == 0)
                run_loop_for(faulty->bench.fixture.env.loop, 1);
            else if (round % 3 == 1)
                kick_now(&faulty->bench); /* and the engine has hardly begun */
            fake_driver_start(&faulty->bench.driver, BENCH_ALL_FEATURES, 1);
            assert_int_equal(disk_bench_request(&faulty->bench, BLK_IN, 0, 512, NULL), BLK_OK);
            assert_false(fake_driver_used(&faulty->bench.driver, 0, &used));
        }
    }
}

/* More than there are slots: the rest waits in the ring, and none is lost. */
static void test_requests_in_flight_are_bounded(void **state)
{
    struct faulty *faulty = *state;
    struct disk_bench *bench = &faulty->bench;
    struct virtq_used_element used;
    unsigned int count = 0;
    pthread_t thread;

    disk_bench_start(bench, ",engine=sync,queues=2", BENCH_ALL_FEATURES | VIRTIO_BLK_F_MQ, 2);
    bench->block->file.fault = fault;
    bench->block->file.fault_context = &faulty->faults;
    faulty->faults.hold = true;
    for (unsigned int i = 0; i < 160; i++)
        disk_bench_add(bench, i % 2, i, BLK_FLUSH, 0, 0, 0);
    fake_driver_kick(&bench->driver, 0);
    fake_driver_kick(&bench->driver, 1);
    assert_int_equal(bench->block->slots_in_working_set, DISK_IN_FLIGHT_MAX);
    assert_int_not_equal(bench->block->waiting, 0);
    pthread_create(&thread, NULL, release_soon, &faulty->faults);
    while (count < 80 && fake_driver_wait(&bench->driver, 0, &used))
        count++;
    while (count < 160 && fake_driver_wait(&bench->driver, 1, &used))
        count++;
    pthread_join(thread, NULL);
    assert_int_equal(count, 160);
    assert_int_equal(bench->block->slots_in_working_set, DISK_IN_FLIGHT_MAX);
}

static void test_a_refilling_guest_has_one_round_at_a_time(void **state)
{
    static const uint32_t types[] = { BLK_GET_ID, BLK_IN };
    struct faulty *faulty = *state;
    struct disk_bench *bench = &faulty->bench;

    for (int engine = 0; engine < 2; engine++) {
        for (int type = 0; type < 2; type++) {
            restart(faulty, engines[engine], BENCH_ALL_FEATURES);
            for (unsigned int i = 0; i < 8; i++)
                disk_bench_add(bench, 0, i, types[type], i, 512 * i, 512);
            refilling = &bench->driver;
            pushes = 0;
            kick_now(bench);
            assert_in_range(pushes, 0, BLOCK_QUEUE_SIZE);
            if (types[type] == BLK_IN) {
                /* All were taken and notifications are on: each brings another round. */
                for (int i = 0; i < 1000 && pushes < 16; i++) {
                    fake_driver_kick(&bench->driver, 0);
                    run_loop_for(bench->fixture.env.loop, 1);
                }
                assert_in_range(pushes, 16, 999999);
            } else {
                /* Cut short it goes on by itself. */
                assert_int_equal(pushes, BLOCK_QUEUE_SIZE);
                run_loop_for(bench->fixture.env.loop, 20);
                assert_in_range(pushes, 2 * BLOCK_QUEUE_SIZE, 999999);
            }
            refilling = NULL;
        }
    }
}

#define FAULTY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULTY(test_a_reset_waits_for_threads_at_work),
        FAULTY(test_resets_amid_requests),
        FAULTY(test_requests_in_flight_are_bounded),
        FAULTY(test_a_refilling_guest_has_one_round_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
