/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices loaded from what an attacker made of a snapshot.  The input names a
 * device and alters bytes of what it saved after some work, or is all of a state
 * itself; checksums are made to fit.  Oracles: the load comes to an end; a device
 * that took the state runs, and can be saved and loaded once more; and whatever
 * came of it, after a reset the device works.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/support/saved_devices.h"

#define KINDS_MAX 16
#define RAW 1u   /* of the second byte: the input is the sections themselves */
#define SHORT 2u /* the last bytes are left out: so many as the next byte says */

static struct saved bases[KINDS_MAX];

/* What the kind saves, made once. */
static const struct saved *base_of(const struct saved_kind *kind, size_t number)
{
    if (!bases[number].bytes) {
        struct saved_world world;

        saved_world_open(&world, kind);
        saved_world_save(&world, kind, &bases[number]);
        saved_world_close(&world, kind);
    }
    return &bases[number];
}

static struct saved make_state(const struct saved *base, struct fuzz_input *input)
{
    uint8_t way = (uint8_t)fuzz_take(input, 1);
    struct saved saved;

    if (way & RAW) {
        saved.length = SAVED_HEADER + input->size;
        saved.bytes = malloc(saved.length);
        fuzz_require(saved.bytes != NULL);
        memcpy(saved.bytes, base->bytes, SAVED_HEADER);
        memcpy(saved.bytes + SAVED_HEADER, input->bytes, input->size);
    } else {
        saved = saved_copy(base);
        if (way & SHORT)
            saved.length -= fuzz_take(input, 1) % saved.length;
        while (input->size > 0) {
            size_t at = fuzz_take(input, 2) % saved.length;

            saved.bytes[at] = (uint8_t)fuzz_take(input, 1);
        }
    }
    saved_seal(&saved);
    return saved;
}

/* The driver that the state tells of: it notifies, reads and writes. */
static void run_driver(struct saved_world *world, const struct saved_kind *kind)
{
    uint8_t bytes[8] = { 0 };

    for (uint64_t offset = 0; kind->class && offset < 0x110; offset += 4)
        device_read(world->device, offset, bytes, 4);
    for (unsigned int i = 0; kind->class && i < kind->queues; i++)
        fake_driver_kick(&world->driver, i);
    if (!kind->class) {
        device_read(world->device, 0, bytes, 4);
        device_write(world->device, 0, bytes, 4);
    }
}

static void go_on(struct saved_world *world, const struct saved_kind *kind)
{
    struct error error = ERROR_INIT;
    struct saved saved;

    run_driver(world, kind);
    device_save(world->device, &saved);
    saved_world_end(world, kind);
    saved_world_make(world, kind);
    fuzz_require(device_load(world->device, &saved, &error) == 0);
    run_driver(world, kind);
    saved_release(&saved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, size };
    size_t count, number;
    const struct saved_kind *kinds = saved_kinds(&count), *kind;
    struct error error = ERROR_INIT;
    struct saved_world world;
    struct saved saved;

    fuzz_require(count <= KINDS_MAX);
    number = fuzz_take(&input, 1) % count;
    kind = &kinds[number];
    saved = make_state(base_of(kind, number), &input);
    saved_world_open(&world, kind);
    saved_world_make(&world, kind);
    if (device_load(world.device, &saved, &error) == 0)
        go_on(&world, kind);
    else
        fuzz_require(error.message[0] != '\0');
    if (kind->class) {
        fake_driver_start(&world.driver, kind->features, kind->queues);
        fuzz_require(!fake_driver_needs_reset(&world.driver));
    }
    saved_world_end(&world, kind);
    saved_world_close(&world, kind);
    saved_release(&saved);
    return 0;
}
