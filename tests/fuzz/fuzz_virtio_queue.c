/* SPDX-License-Identifier: Apache-2.0 */
/* Queues and chains, by a device that copies what it reads into what it may write. */
#include <string.h>

#include "tests/fuzz/virtio_harness.h"
#include "tests/support/echo_device.h"

static bool request(struct fake_driver *driver)
{
    const struct fake_buffer buffers[] = { { 0x40000, 100 }, { 0x50000, 100, true } };
    struct virtq_used_element used;

    memset(fake_memory(driver, 0x40000, 100), 'x', 100);
    fake_driver_send(driver, ECHO_QUEUES - 1, FAKE_INDIRECT, 2, buffers);
    return fake_driver_used(driver, ECHO_QUEUES - 1, &used) && used.length == 100 &&
           memcmp(fake_memory(driver, 0x50000, 100), fake_memory(driver, 0x40000, 100), 100) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct virtio_fuzz fuzz = {
        .class = &echo_class, .features = ECHO_FEATURES, .queues = ECHO_QUEUES, .request = request,
    };

    return virtio_fuzz_run(&fuzz, data, size);
}
