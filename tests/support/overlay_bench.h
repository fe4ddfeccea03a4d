/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_OVERLAY_BENCH_H
#define MOTE_OVERLAY_BENCH_H

/* A disk bench whose disk is an image under an overlay, and what the guest must see of both. */

#include "tests/support/disk_bench.h"
#include "tests/support/device_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#define DISK_BYTES (BENCH_SECTORS * 512)

/* The bench's disk is the image. */
struct world {
    struct disk_bench bench;
    char overlay[80];
    uint8_t *model; /* what the guest must see */
    uint64_t random;
};

static inline int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    disk_bench_init(&world->bench, BENCH_SECTORS);
    snprintf(world->overlay, sizeof(world->overlay), "%s.ovl", world->bench.path);
    world->model = malloc(DISK_BYTES);
    for (uint64_t i = 0; i < DISK_BYTES; i++)
        world->model[i] = disk_bench_byte(i);
    world->random = 7;
    *state = world;
    return 0;
}

static inline int tear_down(void **state)
{
    struct world *world = *state;

    disk_bench_release(&world->bench);
    unlink(world->overlay);
    free(world->model);
    free(world);
    return 0;
}

static inline void start(struct world *world, const char *where, const char *settings)
{
    char text[192];

    snprintf(text, sizeof(text), ",overlay=%s%s", where, settings);
    disk_bench_start(&world->bench, text, BENCH_ALL_FEATURES, 1);
}

/* The VM is over, in good order. */
static inline void stop(struct world *world)
{
    fake_driver_destroy(&world->bench.driver);
    device_options_release(world->bench.options);
    world->bench.options = NULL;
    world->bench.block = NULL;
}

static inline void assert_image_is_as_it_was(struct world *world)
{
    uint8_t *bytes = malloc(DISK_BYTES);

    assert_int_equal(pread(world->bench.fd, bytes, DISK_BYTES, 0), DISK_BYTES);
    for (uint64_t i = 0; i < DISK_BYTES; i++)
        if (bytes[i] != disk_bench_byte(i))
            fail_msg("byte %llu of the image was written", (unsigned long long)i);
    free(bytes);
}

static inline void assert_disk_is_the_model(struct world *world)
{
    for (uint32_t sector = 0; sector < BENCH_SECTORS; sector += 256) {
        assert_int_equal(disk_bench_request(&world->bench, BLK_IN, sector, 256 * 512, NULL),
                         BLK_OK);
        assert_memory_equal(disk_bench_data(&world->bench), world->model + sector * 512,
                            256 * 512);
    }
}

static inline int open_disk(struct world *world, struct disk_file *file, const char *overlay,
                            struct error *error)
{
    char *where = overlay ? strdup(overlay) : NULL;
    struct block_options options = { .path = world->bench.path, .fd = -1, .overlay = where };
    int result = host_side_open_file(file, &options, &world->bench.fixture.log, error);

    free(where);
    return result;
}

#endif
