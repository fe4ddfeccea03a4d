/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/entropy.h"
#include "tests/fuzz/virtio_harness.h"

static bool request(struct fake_driver *driver)
{
    const struct fake_buffer buffer = { 0x40000, 256, true };
    struct virtq_used_element used;

    fake_driver_send(driver, 0, FAKE_DIRECT, 1, &buffer);
    return fake_driver_used(driver, 0, &used) && used.length == 256;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* No rate: the clock would decide what an input does. */
    static const struct virtio_fuzz fuzz = {
        .class = &entropy_class,
        .options = "on,rate=1T,ops=1000000000",
        .queues = 1,
        .request = request,
    };

    return virtio_fuzz_run(&fuzz, data, size);
}
