/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/disk_bench.h"
#include "tests/support/device_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/virtio/block.h"

uint8_t disk_bench_byte(uint64_t at)
{
    return (uint8_t)(at / 512 * 7 + at % 512 + 1);
}

void disk_bench_init(struct disk_bench *bench, uint64_t sectors)
{
    uint8_t bytes[512];

    *bench = (struct disk_bench){ .path = "/tmp/mote-disk-XXXXXX" };
    fixture_init(&bench->fixture);
    bench->fd = mkstemp(bench->path);
    assert_true(bench->fd >= 0);
    for (uint64_t sector = 0; sector < sectors; sector++) {
        for (unsigned int i = 0; i < sizeof(bytes); i++)
            bytes[i] = disk_bench_byte(sector * 512 + i);
        assert_int_equal(pwrite(bench->fd, bytes, sizeof(bytes), (off_t)sector * 512),
                         sizeof(bytes));
    }
}

void disk_bench_create(struct disk_bench *bench, const char *settings)
{
    struct error error = ERROR_INIT;
    char text[256];

    snprintf(text, sizeof(text), "%s%s", bench->path, settings);
    if (device_options_parse("disk", text, &bench->options, &error) < 0)
        fail_msg("%s", error.message);
    fake_driver_create(&bench->driver, &bench->fixture, &block_class, bench->options);
    bench->block = (struct block *)virtio_device_of(bench->driver.device);
}

void disk_bench_start(struct disk_bench *bench, const char *settings, uint64_t features,
                      unsigned int queues)
{
    disk_bench_create(bench, settings);
    fake_driver_start(&bench->driver, features, queues);
}

void disk_bench_release(struct disk_bench *bench)
{
    if (bench->block)
        fake_driver_destroy(&bench->driver);
    if (bench->options)
        device_options_release(bench->options);
    close(bench->fd);
    unlink(bench->path);
    fixture_release(&bench->fixture);
}

int disk_bench_set_up(void **state)
{
    struct disk_bench *bench = calloc(1, sizeof(*bench));

    disk_bench_init(bench, BENCH_SECTORS);
    *state = bench;
    return 0;
}

int disk_bench_tear_down(void **state)
{
    disk_bench_release(*state);
    free(*state);
    return 0;
}

void disk_bench_assert_bytes(const uint8_t *bytes, uint64_t offset, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != disk_bench_byte(offset + i))
            fail_msg("byte %zu is %u, not %u", i, bytes[i], disk_bench_byte(offset + i));
}

uint8_t disk_bench_file_byte(struct disk_bench *bench, uint64_t at)
{
    uint8_t byte;

    assert_int_equal(pread(bench->fd, &byte, 1, (off_t)at), 1);
    return byte;
}

uint8_t *disk_bench_data(struct disk_bench *bench)
{
    return fake_memory(&bench->driver, BENCH_DATA, BENCH_DATA_SIZE);
}

static void put_header(struct disk_bench *bench, unsigned int number, uint32_t type,
                       uint64_t sector)
{
    uint8_t *header = fake_memory(&bench->driver, BENCH_HEADERS + 16 * number, 16);

    memset(header, 0, 16);
    memcpy(header, &type, sizeof(type));
    memcpy(header + 8, &sector, sizeof(sector));
    *(uint8_t *)fake_memory(&bench->driver, BENCH_STATUS + number, 1) = BLK_NONE;
}

void disk_bench_add(struct disk_bench *bench, unsigned int queue, unsigned int number,
                    uint32_t type, uint64_t sector, uint32_t offset, uint32_t length)
{
    bool reads = type == BLK_IN || type == BLK_GET_ID;
    struct fake_buffer buffers[3] = { { BENCH_HEADERS + 16 * number, 16, false } };
    size_t count = 1;

    put_header(bench, number, type, sector);
    if (length > 0)
        buffers[count++] = (struct fake_buffer){ BENCH_DATA + offset, length, reads };
    buffers[count++] = (struct fake_buffer){ BENCH_STATUS + number, 1, true };
    fake_driver_add(&bench->driver, queue, FAKE_DIRECT, count, buffers);
}

uint8_t disk_bench_status(struct disk_bench *bench, unsigned int number)
{
    return *(uint8_t *)fake_memory(&bench->driver, BENCH_STATUS + number, 1);
}

uint8_t disk_bench_request(struct disk_bench *bench, uint32_t type, uint64_t sector,
                           uint32_t length, uint32_t *written)
{
    struct virtq_used_element used;

    disk_bench_add(bench, 0, 0, type, sector, 0, length);
    fake_driver_write(&bench->driver, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    if (!fake_driver_wait(&bench->driver, 0, &used))
        fail_msg("request of type %u got no answer", type);
    if (written)
        *written = used.length;
    return disk_bench_status(bench, 0);
}

uint8_t disk_bench_ranges(struct disk_bench *bench, uint32_t type, size_t count,
                          const struct bench_range *ranges)
{
    memcpy(disk_bench_data(bench), ranges, count * sizeof(*ranges));
    return disk_bench_request(bench, type, 0, (uint32_t)(count * sizeof(*ranges)), NULL);
}
