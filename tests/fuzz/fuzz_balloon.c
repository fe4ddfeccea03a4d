/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "devices/virtio/balloon.h"
#include "tests/fuzz/virtio_harness.h"

static bool request(struct fake_driver *driver)
{
    const uint32_t page = 0x50;
    const struct fake_buffer buffer = { 0x40000, sizeof(page) };
    struct virtq_used_element used;

    memcpy(fake_memory(driver, 0x40000, sizeof(page)), &page, sizeof(page));
    memset(fake_memory(driver, 0x50000, 4096), 1, 4096);
    fake_driver_send(driver, 0, FAKE_DIRECT, 1, &buffer);
    return fake_driver_wait(driver, 0, &used) && used.length == 0 &&
           *(uint8_t *)fake_memory(driver, 0x50fff, 1) == 0;
}

static void change_target(struct fake_driver *driver, struct fuzz_input *input)
{
    struct virtio_device *device = virtio_device_of(driver->device);
    struct balloon_state now;
    struct error error;

    virtio_balloon_set_target(device, fuzz_take(input, 5), &error);
    virtio_balloon_state(device, &now);
    fuzz_require(now.target < FIXTURE_LOW_SIZE + FIXTURE_HIGH_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct virtio_fuzz fuzz = {
        .class = &balloon_class,
        .options = "512K,stats=86400,reporting,deflate-on-oom",
        .features = UINT64_MAX,
        .queues = 4,
        .discards = true,
        .operate = change_target,
        .request = request,
    };

    return virtio_fuzz_run(&fuzz, data, size);
}
