/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/virtio_harness.h"
#include "tests/support/fake_uplink.h"

#define PAIRS 2
#define TX 1

static struct fake_uplink *uplink_of(struct fake_driver *driver)
{
    return (struct fake_uplink *)((struct net *)virtio_device_of(driver->device))->uplink;
}

static struct fake_fault take_fault(struct fuzz_input *input)
{
    static const int results[] = {
        0, -EAGAIN, -EIO, -ENETDOWN, -ENOBUFS, -EINVAL, -ENOMEM, -EPIPE,
    };
    uint64_t choice = fuzz_take(input, 2);

    return (struct fake_fault){
        .result = results[choice & 7], .failures = (unsigned int)(choice >> 3 & 0x7f),
    };
}

/* A frame of any length, header and all; a full socket loses it, as a wire does. */
static void put_frame(struct fake_uplink *uplink, struct fuzz_input *input)
{
    static const uint8_t frame[sizeof(struct uplink_header) + UPLINK_FRAME_MAX];
    uint64_t choice = fuzz_take(input, 4);
    size_t length = 1 + (choice >> 8) % (choice & 1 ? sizeof(frame) : 3000);

    if (write(uplink->peers[choice >> 1 & 1], frame, length) < 0)
        return;
}

static void take_frames(struct fake_uplink *uplink)
{
    static uint8_t frame[sizeof(struct uplink_header) + UPLINK_FRAME_MAX];

    for (unsigned int pair = 0; pair < PAIRS; pair++)
        while (fake_uplink_take(uplink, pair, frame, sizeof(frame)) > 0)
            ;
}

static void operate(struct fake_driver *driver, struct fuzz_input *input)
{
    struct fake_uplink *uplink = uplink_of(driver);

    switch (fuzz_take(input, 1) % 6) {
    case 0:
        uplink->receive = take_fault(input);
        break;
    case 1:
        uplink->send = take_fault(input);
        break;
    case 2:
        uplink->unflushed = fuzz_take(input, 1) & 1;
        break;
    case 3:
        take_frames(uplink);
        break;
    default:
        put_frame(uplink, input);
    }
    fake_driver_run(driver);
}

/* A frame is taken from the guest also when its uplink has ended. */
static bool request(struct fake_driver *driver)
{
    const struct fake_buffer frame = { 0x40000, 100, false };
    struct fake_uplink *uplink = uplink_of(driver);
    struct virtq_used_element used;

    uplink->send.failures = uplink->receive.failures = 0;
    take_frames(uplink);
    memset(fake_memory(driver, frame.address, frame.length), 0, frame.length);
    fake_driver_send(driver, TX, FAKE_DIRECT, 1, &frame);
    return fake_driver_used(driver, TX, &used) && used.length == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct virtio_fuzz fuzz = {
        .class = &fake_net_class,
        .options = "2",
        .make = fake_net_make,
        .features = ~(VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC),
        .queues = 2 * PAIRS + 1,
        .operate = operate,
        .request = request,
    };

    return virtio_fuzz_run(&fuzz, data, size);
}
