/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_DISK_BENCH_H
#define MOTE_DISK_BENCH_H

/*
 * A disk under test: a file, the block device on it, and a driver that sends
 * requests.  Bytes travel through a buffer of the guest at BENCH_DATA.
 */

#include "devices/virtio/block_internal.h"
#include "tests/support/fake_driver.h"

#define BENCH_SECTORS 2048u
#define BENCH_DATA 0x40000u /* up to 256 KiB, far above the rings */
#define BENCH_DATA_SIZE 0x40000u
/* Headers and status bytes of requests in flight, by a number below 256. */
#define BENCH_HEADERS 0x2000u
#define BENCH_STATUS 0x1800u

enum { BLK_IN = 0, BLK_OUT = 1, BLK_FLUSH = 4, BLK_GET_ID = 8, BLK_DISCARD = 11, BLK_ZEROES = 13 };
enum { BLK_OK = 0, BLK_IOERR = 1, BLK_UNSUPP = 2, BLK_NONE = 0xee };

#define BENCH_ALL_FEATURES \
    (VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_BLK_SIZE | VIRTIO_BLK_F_TOPOLOGY | VIRTIO_BLK_F_FLUSH | \
     VIRTIO_BLK_F_CONFIG_WCE | VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES)

struct disk_bench {
    struct fixture fixture;
    struct fake_driver driver;
    struct block *block;
    void *options;
    char path[64];
    int fd; /* the file's, for the test to look */
};

/* One range of discard or write-zeroes, as the driver writes it. */
struct bench_range {
    uint64_t sector;
    uint32_t count;
    uint32_t flags;
};

/* A file of SECTORS sectors whose bytes tell their place. */
void disk_bench_init(struct disk_bench *bench, uint64_t sectors);
/* The device with SETTINGS after the path (",ro" and such), not started. */
void disk_bench_create(struct disk_bench *bench, const char *settings);
/* And started with FEATURES on QUEUES queues. */
void disk_bench_start(struct disk_bench *bench, const char *settings, uint64_t features,
                      unsigned int queues);
void disk_bench_release(struct disk_bench *bench);

/* For tests whose state is one of BENCH_SECTORS. */
int disk_bench_set_up(void **state);
int disk_bench_tear_down(void **state);
#define DISK_TEST(test) \
    cmocka_unit_test_setup_teardown(test, disk_bench_set_up, disk_bench_tear_down)

/* What byte AT of a new file is. */
uint8_t disk_bench_byte(uint64_t at);
/* BYTES must be those of a new file from OFFSET on. */
void disk_bench_assert_bytes(const uint8_t *bytes, uint64_t offset, size_t length);
/* What byte AT of the file is now. */
uint8_t disk_bench_file_byte(struct disk_bench *bench, uint64_t at);
/* BENCH_DATA and on. */
uint8_t *disk_bench_data(struct disk_bench *bench);

/* Offers request NUMBER: header, DATA's LENGTH bytes at BENCH_DATA + OFFSET, status byte. */
void disk_bench_add(struct disk_bench *bench, unsigned int queue, unsigned int number,
                    uint32_t type, uint64_t sector, uint32_t offset, uint32_t length);
uint8_t disk_bench_status(struct disk_bench *bench, unsigned int number);

/* One request from its beginning to its end: the status; *WRITTEN is used.len. */
uint8_t disk_bench_request(struct disk_bench *bench, uint32_t type, uint64_t sector,
                           uint32_t length, uint32_t *written);
uint8_t disk_bench_ranges(struct disk_bench *bench, uint32_t type, size_t count,
                          const struct bench_range *ranges);

#endif
