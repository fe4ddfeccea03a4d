/* SPDX-License-Identifier: Apache-2.0 */
/* Properties: any mix of requests leaves the disk as a plain array would be. */
#include "tests/support/disk_bench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUESTS 70000u
#define MODEL_ROUNDS 600
/* A sector is in at most one request of a batch: their order is free. */
#define BATCH 12
#define SHARE (BENCH_SECTORS / BATCH)

struct model {
    struct disk_bench bench;
    uint8_t *bytes;  /* what the disk holds */
    uint64_t random;
};

static int set_up(void **state)
{
    struct model *model = calloc(1, sizeof(*model));

    disk_bench_init(&model->bench, BENCH_SECTORS);
    model->bytes = malloc(BENCH_SECTORS * 512);
    for (uint64_t i = 0; i < BENCH_SECTORS * 512; i++)
        model->bytes[i] = disk_bench_byte(i);
    model->random = 42;
    *state = model;
    return 0;
}

static int tear_down(void **state)
{
    struct model *model = *state;

    disk_bench_release(&model->bench);
    free(model->bytes);
    free(model);
    return 0;
}

struct planned {
    uint32_t type;
    uint64_t sector;
    uint32_t count;  /* sectors */
    uint32_t offset; /* of its data, in the guest's buffer */
    uint8_t fill;
};

static uint32_t below(struct model *model, uint32_t limit)
{
    return (uint32_t)(next_random(&model->random) % limit);
}

/* A request of place PLACE, on that place's share of the disk. */
static struct planned plan(struct model *model, unsigned int place)
{
    static const uint32_t types[] = { BLK_IN, BLK_OUT, BLK_IN, BLK_OUT, BLK_DISCARD, BLK_ZEROES };
    struct planned planned = {
        .type = types[below(model, 6)],
        .count = 1 + below(model, 40),
        .offset = place * 40 * 512,
        .fill = (uint8_t)below(model, 256),
    };

    planned.sector = place * SHARE + below(model, SHARE - planned.count);
    return planned;
}

static void send_planned(struct model *model, unsigned int place, const struct planned *planned)
{
    uint8_t *data = disk_bench_data(&model->bench) + planned->offset;
    struct bench_range range = { planned->sector, planned->count, 0 };
    uint32_t length = planned->count * 512;

    if (planned->type == BLK_DISCARD || planned->type == BLK_ZEROES) {
        range.flags = planned->type == BLK_ZEROES ? planned->fill & 1 : 0;
        memcpy(data, &range, sizeof(range));
        length = sizeof(range);
    } else {
        memset(data, planned->type == BLK_OUT ? planned->fill : 0xee, length);
    }
    disk_bench_add(&model->bench, 0, place, planned->type, planned->sector, planned->offset,
                   length);
}

static void check_planned(struct model *model, unsigned int place, const struct planned *planned)
{
    const uint8_t *data = disk_bench_data(&model->bench) + planned->offset;
    uint8_t *bytes = model->bytes + planned->sector * 512;
    uint32_t length = planned->count * 512;

    assert_int_equal(disk_bench_status(&model->bench, place), BLK_OK);
    if (planned->type == BLK_IN)
        assert_memory_equal(data, bytes, length);
    else
        memset(bytes, planned->type == BLK_OUT ? planned->fill : 0, length);
}

static void check_against_model(struct model *model)
{
    struct virtq_used_element used;
    struct planned planned[BATCH];
    uint8_t *file = malloc(BENCH_SECTORS * 512);

    for (int round = 0; round < MODEL_ROUNDS; round++) {
        unsigned int count = 1 + below(model, BATCH);

        for (unsigned int i = 0; i < count; i++) {
            planned[i] = plan(model, i);
            send_planned(model, i, &planned[i]);
        }
        fake_driver_write(&model->bench.driver, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        for (unsigned int i = 0; i < count; i++)
            assert_true(fake_driver_wait(&model->bench.driver, 0, &used));
        for (unsigned int i = 0; i < count; i++)
            check_planned(model, i, &planned[i]);
    }
    assert_int_equal(pread(model->bench.fd, file, BENCH_SECTORS * 512, 0), BENCH_SECTORS * 512);
    assert_memory_equal(file, model->bytes, BENCH_SECTORS * 512);
    free(file);
}

static void test_a_mix_of_requests_by_uring(void **state)
{
    struct model *model = *state;

    disk_bench_start(&model->bench, ",engine=uring", BENCH_ALL_FEATURES, 1);
    check_against_model(model);
}

static void test_a_mix_of_requests_by_threads(void **state)
{
    struct model *model = *state;

    disk_bench_start(&model->bench, ",engine=sync", BENCH_ALL_FEATURES, 1);
    check_against_model(model);
}

static void test_a_mix_of_requests_with_a_bounce_buffer(void **state)
{
    struct model *model = *state;

    disk_bench_start(&model->bench, "", BENCH_ALL_FEATURES, 1);
    model->bench.block->file.direct = true;
    model->bench.block->file.memory_alignment = 1u << 20; /* suits hardly any buffer */
    model->bench.block->file.offset_alignment = 512;
    check_against_model(model);
}

/* The rings' indices wrap at 65,536: no request is lost or answered twice. */
static void count_requests(struct model *model, const char *settings)
{
    struct disk_bench *bench = &model->bench;
    unsigned int sent = 0, done = 0;

    disk_bench_start(bench, settings, BENCH_ALL_FEATURES, 1);
    while (done < REQUESTS) {
        struct virtq_used_element used;
        unsigned int batch = 1 + below(model, 64);

        for (unsigned int i = 0; i < batch && sent < REQUESTS; i++, sent++)
            disk_bench_add(bench, 0, i, sent % 3 ? BLK_IN : BLK_GET_ID, sent % BENCH_SECTORS,
                           512 * i, 512);
        fake_driver_write(&bench->driver, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        while (done < sent) {
            assert_true(fake_driver_wait(&bench->driver, 0, &used));
            assert_true(used.length == 513 || used.length == 21);
            done++;
        }
        assert_false(fake_driver_used(&bench->driver, 0, &used));
    }
    assert_int_equal(bench->driver.queues[0].used_index, (uint16_t)REQUESTS);
    assert_int_equal(bench->block->virtio.queues[0].in_use, 0);
}

static void test_seventy_thousand_requests_by_uring(void **state)
{
    count_requests(*state, ",engine=uring");
}

static void test_seventy_thousand_requests_by_threads(void **state)
{
    count_requests(*state, ",engine=sync");
}

#define WITH_MODEL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MODEL(test_a_mix_of_requests_by_uring),
        WITH_MODEL(test_a_mix_of_requests_by_threads),
        WITH_MODEL(test_a_mix_of_requests_with_a_bounce_buffer),
        WITH_MODEL(test_seventy_thousand_requests_by_uring),
        WITH_MODEL(test_seventy_thousand_requests_by_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
