/* SPDX-License-Identifier: Apache-2.0 */
/* Writes that the host really loses: nobody is told that they are stable. */
#include "tests/support/disk_faults.h"
#include "tests/support/device_options.h"
#include "tests/support/lossy_disk.h"

#include <errno.h>
#include <sys/stat.h>

#include "vmm/base/cleanup.h"

#define DISK_BYTES (8u << 20)
#define ROOM (1u << 20)
#define PIECE 65536u
#define PIECES 30u
#define FLUSHES 4u
#define FIRST_FLUSH 100u /* their numbers among the requests */

struct lossy {
    struct faulty faulty;
    struct lossy_disk disk;
    char own_path[64];
};

static bool possible;
static uint8_t pattern; /* of the pieces that were written last */

static int lossy_set_up(void **state)
{
    struct lossy *lossy = calloc(1, sizeof(*lossy));

    disk_bench_init(&lossy->faulty.bench, 1);
    memcpy(lossy->own_path, lossy->faulty.bench.path, sizeof(lossy->own_path));
    *state = lossy;
    return possible && !lossy_disk_make(&lossy->disk, DISK_BYTES, ROOM) ? -1 : 0;
}

static void stop(struct lossy *lossy)
{
    struct disk_bench *bench = &lossy->faulty.bench;

    if (bench->block)
        fake_driver_destroy(&bench->driver);
    if (bench->options)
        device_options_release(bench->options);
    bench->block = NULL;
    bench->options = NULL;
}

static int lossy_tear_down(void **state)
{
    struct lossy *lossy = *state;

    stop(lossy);
    if (possible)
        lossy_disk_remove(&lossy->disk);
    memcpy(lossy->faulty.bench.path, lossy->own_path, sizeof(lossy->own_path));
    disk_bench_release(&lossy->faulty.bench);
    free(lossy);
    return 0;
}

static void start(struct lossy *lossy, const char *path, const char *settings, uint64_t features)
{
    struct disk_bench *bench = &lossy->faulty.bench;

    stop(lossy);
    snprintf(bench->path, sizeof(bench->path), "%s", path);
    disk_bench_start(bench, settings, features, 1);
}

/* Serves the queue until COUNT more requests are used. */
static void await(struct disk_bench *bench, unsigned int count)
{
    struct virtq_used_element used;

    while (count-- > 0)
        assert_true(fake_driver_wait(&bench->driver, 0, &used));
}

/* All pieces, in one batch; their statuses stay with the requests. */
static void write_pieces(struct disk_bench *bench)
{
    memset(disk_bench_data(bench), ++pattern, PIECE);
    for (unsigned int i = 0; i < PIECES; i++)
        disk_bench_add(bench, 0, i, BLK_OUT, i * PIECE * 2 / 512, 0, PIECE);
    fake_driver_write(&bench->driver, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    await(bench, PIECES);
}

static void flush_at_once(struct disk_bench *bench)
{
    for (unsigned int i = 0; i < FLUSHES; i++)
        disk_bench_add(bench, 0, FIRST_FLUSH + i, BLK_FLUSH, 0, 0, 0);
    fake_driver_write(&bench->driver, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    await(bench, FLUSHES);
}

/* How many of the pieces the device below really has, of those whose write was answered with OK. */
static void count_pieces(struct lossy *lossy, unsigned int *claimed, unsigned int *kept)
{
    uint8_t *bytes = malloc(PIECE);

    *claimed = *kept = 0;
    for (unsigned int i = 0; i < PIECES; i++) {
        bool there = true;

        if (disk_bench_status(&lossy->faulty.bench, i) != BLK_OK)
            continue;
        assert_int_equal(pread(lossy->disk.backing, bytes, PIECE, (off_t)i * PIECE * 2), PIECE);
        for (unsigned int at = 0; at < PIECE; at++)
            there &= bytes[at] == pattern;
        *claimed += 1;
        *kept += there;
    }
    free(bytes);
}

static void test_no_flush_of_a_batch_hides_the_loss(void **state)
{
    struct lossy *lossy = *state;
    struct disk_bench *bench = &lossy->faulty.bench;

    if (!possible)
        skip();
    for (int engine = 0; engine < 2; engine++) {
        unsigned int claimed, kept;

        start(lossy, lossy->disk.device, engines[engine], BENCH_ALL_FEATURES);
        write_pieces(bench);
        flush_at_once(bench);
        count_pieces(lossy, &claimed, &kept);
        assert_int_equal(claimed, PIECES);
        assert_in_range(kept, 0, PIECES - 1); /* or nothing was shown here */
        for (unsigned int i = 0; i < FLUSHES; i++)
            assert_int_equal(disk_bench_status(bench, FIRST_FLUSH + i), BLK_IOERR);
        assert_int_equal(disk_bench_request(bench, BLK_FLUSH, 0, 0, NULL), BLK_IOERR);
        /* A driver's reset tells the disk nothing new. */
        fake_driver_start(&bench->driver, BENCH_ALL_FEATURES, 1);
        assert_int_equal(disk_bench_request(bench, BLK_FLUSH, 0, 0, NULL), BLK_IOERR);
    }
}

/* Without FLUSH, and with the cache switched off: a write that is answered with OK is there. */
static void test_write_through_claims_nothing_that_is_lost(void **state)
{
    struct lossy *lossy = *state;
    struct disk_bench *bench = &lossy->faulty.bench;

    if (!possible)
        skip();
    for (int engine = 0; engine < 2; engine++)
        for (int switched = 0; switched < 2; switched++) {
            unsigned int claimed, kept;
            uint8_t writeback = 0;

            start(lossy, lossy->disk.device, engines[engine], switched ? BENCH_ALL_FEATURES : 0);
            if (switched)
                device_write(bench->driver.device, VIRTIO_MMIO_CONFIG + 32, &writeback, 1);
            write_pieces(bench);
            count_pieces(lossy, &claimed, &kept);
            assert_int_equal(claimed, kept);
            assert_in_range(claimed, 0, PIECES - 1);
        }
}

/* A reset while the sync is at work: its error is the disk's, though nobody is told any more. */
static void test_a_reset_amid_the_flush_keeps_the_error(void **state)
{
    struct lossy *lossy = *state;
    struct disk_bench *bench = &lossy->faulty.bench;

    if (!possible)
        skip();
    for (int engine = 0; engine < 2; engine++) {
        struct virtio_device *virtio;

        start(lossy, lossy->disk.device, engines[engine], BENCH_ALL_FEATURES);
        virtio = &bench->block->virtio;
        write_pieces(bench);
        for (unsigned int i = 0; i < FLUSHES; i++)
            disk_bench_add(bench, 0, FIRST_FLUSH + i, BLK_FLUSH, 0, 0, 0);
        pthread_mutex_lock(&bench->driver.device->lock);
        virtio->class->kick(virtio, 0);
        pthread_mutex_unlock(&bench->driver.device->lock);
        usleep(20000); /* a worker has begun */
        fake_driver_start(&bench->driver, BENCH_ALL_FEATURES, 1);
        assert_int_equal(disk_bench_request(bench, BLK_FLUSH, 0, 0, NULL), BLK_IOERR);
    }
}

/* ---- an overlay in a file system on such a device ------------------------- */

static bool mount_below(const struct lossy *lossy, char *where, size_t size)
{
    char command[160];

    snprintf(where, size, "%s/mounted", lossy->disk.folder);
    snprintf(command, sizeof(command), "mke2fs -q -t ext2 %s >/dev/null 2>&1", lossy->disk.device);
    return system(command) == 0 && mkdir(where, 0700) == 0 &&
           mount(lossy->disk.device, where, "ext2", 0, NULL) == 0;
}

/* Bits of the map in the overlay's file. */
static unsigned int bits_in_file(const char *path)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t map[4096];
    unsigned int bits = 0;

    assert_int_equal(pread(fd, map, sizeof(map), 4096), sizeof(map));
    for (size_t i = 0; i < sizeof(map); i++)
        bits += (unsigned int)__builtin_popcount(map[i]);
    return bits;
}

static void lose_below_overlay(struct lossy *lossy, const char *engine)
{
    struct disk_bench *bench = &lossy->faulty.bench;
    char where[64], overlay[80], settings[120];

    if (!possible || !mount_below(lossy, where, sizeof(where)))
        skip();
    assert_int_equal(ftruncate(bench->fd, 4 << 20), 0);
    snprintf(overlay, sizeof(overlay), "%s/overlay", where);
    snprintf(settings, sizeof(settings), ",overlay=%s%s", overlay, engine);
    start(lossy, lossy->own_path, settings, BENCH_ALL_FEATURES);
    write_pieces(bench);
    flush_at_once(bench);
    for (unsigned int i = 0; i < FLUSHES; i++)
        assert_int_equal(disk_bench_status(bench, FIRST_FLUSH + i), BLK_IOERR);
    assert_int_equal(disk_bench_request(bench, BLK_FLUSH, 0, 0, NULL), BLK_IOERR);
    assert_int_equal(bits_in_file(overlay), 0);
    stop(lossy);
    assert_int_equal(bits_in_file(overlay), 0);
    umount2(where, MNT_DETACH);
}

static void test_an_overlay_names_no_sector_that_was_lost_by_uring(void **state)
{
    lose_below_overlay(*state, engines[0]);
}

static void test_an_overlay_names_no_sector_that_was_lost_by_threads(void **state)
{
    lose_below_overlay(*state, engines[1]);
}

#define LOSSY(test) cmocka_unit_test_setup_teardown(test, lossy_set_up, lossy_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOSSY(test_no_flush_of_a_batch_hides_the_loss),
        LOSSY(test_write_through_claims_nothing_that_is_lost),
        LOSSY(test_a_reset_amid_the_flush_keeps_the_error),
        LOSSY(test_an_overlay_names_no_sector_that_was_lost_by_uring),
        LOSSY(test_an_overlay_names_no_sector_that_was_lost_by_threads),
    };

    possible = lossy_disk_possible();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
