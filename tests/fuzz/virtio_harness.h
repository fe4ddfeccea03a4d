/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_HARNESS_H
#define MOTE_VIRTIO_HARNESS_H

/*
 * A hostile driver on a virtio device, without KVM: the input is a list of
 * operations on its registers, rings and memory, and on the back end by a hook.
 * Half of the inputs start from a device that is up (DRIVER_OK).
 *
 * A target for another device is one small file:
 *
 *     int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
 *     {
 *         static const struct virtio_fuzz fuzz = {
 *             .class = &entropy_class, .options = "on", .queues = 1, .request = request,
 *         };
 *         return virtio_fuzz_run(&fuzz, data, size);
 *     }
 *
 * Oracles, besides the sanitizers and libFuzzer's bounds on time and memory:
 * nothing is written outside of device-writable buffers; used.len is at most
 * what the chain has to write; no more chains come back than were offered; the
 * log stays short; and after a reset a valid request succeeds.
 *
 * Chains may stand in two queues at once, all queues be notified of before the loop
 * hears of any, the device's fields of the rings be overwritten, and a reset come
 * amid requests, after which no ring may change.
 *
 * A byte of the input chooses a moment amid the device's work at which another
 * CPU changes a descriptor: double fetches become crashes or wrong writes.
 */

#include "tests/fuzz/fuzz.h"
#include "tests/support/device_options.h"
#include "tests/support/fake_driver.h"

struct virtio_fuzz {
    const struct virtio_device_class *class;
    const char *options;  /* as the command line has them; NULL for none */
    void *(*make)(const char *options); /* what free() ends, where the class is none of the command line's; or NULL */
    uint64_t features;    /* what an input may choose from, the ring's aside */
    unsigned int queues;  /* at most; what the device has with all features */
    bool discards;        /* whole pages may become zero, wherever the driver says */
    bool registers_only;  /* start from a device that nobody set up */

    /* An operation on the back end: data arrives, a call fails, time passes.  May be NULL. */
    void (*operate)(struct fake_driver *driver, struct fuzz_input *input);
    /* Before the device is saved and loaded: the back end is as it was for the device.  May be NULL. */
    void (*settle)(struct fake_driver *driver);
    /* A valid request on a device that is up with all features; whether it succeeded. */
    bool (*request)(struct fake_driver *driver);
};

int virtio_fuzz_run(const struct virtio_fuzz *fuzz, const uint8_t *data, size_t size);

#endif
