/* SPDX-License-Identifier: Apache-2.0 */
/* The block device on a memory file, whose calls fail and whose size changes amid requests. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/virtio/block_internal.h"
#include "tests/fuzz/virtio_harness.h"

#define DISK_SIZE (256 << 10)

/* What the host does with its next calls; set while no request is in flight. */
static struct {
    int disk_fd;
    int64_t result; /* below 0: a call fails by it; above: it moves no more bytes */
} host;

static int64_t fault(void *context, const struct disk_step *step, int64_t result)
{
    (void)context;
    if (host.result < 0)
        return host.result;
    return host.result > 0 && result > host.result && step->count > 0 ? host.result : result;
}

static void change_host(struct fake_driver *driver, struct fuzz_input *input)
{
    static const int errors[] = { EIO, ENOSPC, EINTR, EAGAIN, EOPNOTSUPP };
    struct virtio_device *device = virtio_device_of(driver->device);
    uint32_t choice = (uint32_t)fuzz_take(input, 2);

    pthread_mutex_lock(&driver->device->lock);
    /* Requests in flight would race with the change. */
    disk_engine_cancel(((struct block *)device)->engine);
    ((struct block *)device)->file.fault = fault;
    if (choice & 1) {
        host.result = choice & 2 ? -errors[choice / 4 % 5] : choice / 4 % 1024;
    } else {
        fuzz_require(ftruncate(host.disk_fd, choice * 8) == 0);
        if (choice & 2)
            device->class->refresh(device);
    }
    pthread_mutex_unlock(&driver->device->lock);
}

/* A disk that shrank would be refused. */
static void settle(struct fake_driver *driver)
{
    struct block *block = (struct block *)virtio_device_of(driver->device);

    pthread_mutex_lock(&driver->device->lock);
    disk_engine_drain(block->engine);
    fuzz_require(ftruncate(host.disk_fd, (off_t)block->file.size) == 0);
    pthread_mutex_unlock(&driver->device->lock);
}

static bool request(struct fake_driver *driver)
{
    struct virtio_device *device = virtio_device_of(driver->device);
    const struct fake_buffer buffers[] = {
        { 0x40000, 16 }, { 0x50000, 512, true }, { 0x60000, 1, true },
    };
    struct virtq_used_element used;

    host.result = 0;
    fuzz_require(ftruncate(host.disk_fd, DISK_SIZE) == 0);
    device->class->refresh(device);
    memset(fake_memory(driver, 0x40000, 16), 0, 16);
    memset(fake_memory(driver, 0x60000, 1), 0xee, 1);
    fake_driver_send(driver, 0, FAKE_INDIRECT, 3, buffers);
    return fake_driver_wait(driver, 0, &used) && used.length == 513 &&
           *(uint8_t *)fake_memory(driver, 0x60000, 1) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char options[64];
    const struct virtio_fuzz fuzz = {
        .class = &block_class,
        .options = options,
        .features = UINT64_MAX,
        .queues = 2,
        .operate = change_host,
        .settle = settle,
        .request = request,
    };

    if (host.disk_fd == 0)
        host.disk_fd = memfd_create("disk", MFD_CLOEXEC);
    fuzz_require(host.disk_fd > 0 && ftruncate(host.disk_fd, DISK_SIZE) == 0);
    host.result = 0;
    snprintf(options, sizeof(options), "/proc/self/fd/%d,queues=2,engine=%s", host.disk_fd,
             size % 2 ? "uring" : "sync");
    return virtio_fuzz_run(&fuzz, data, size);
}
