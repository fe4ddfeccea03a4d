/* SPDX-License-Identifier: Apache-2.0 */
/* A disk of 64 KiB in memory, by the synchronous engine: what an input does is done in order. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/registry.h"
#include "tests/fuzz/virtio_harness.h"

#define DISK_SIZE 0x10000
#define HEADER 0x40000u
#define DATA 0x50000u

static int disk = -1;

/* Reads sector 3, which must be what the file holds. */
static bool request(struct fake_driver *driver)
{
    const struct fake_buffer buffers[] = {
        { HEADER, 16 }, { DATA, 512, true }, { DATA + 512, 1, true },
    };
    const uint64_t header[2] = { 0, 3 };
    struct virtq_used_element used;
    uint8_t sector[512];

    memcpy(fake_memory(driver, HEADER, 16), header, 16);
    memset(fake_memory(driver, DATA, 513), 0x77, 513);
    fuzz_require(pread(disk, sector, sizeof(sector), 3 * 512) == (ssize_t)sizeof(sector));
    fake_driver_send(driver, 0, FAKE_DIRECT, 3, buffers);
    return fake_driver_wait(driver, 0, &used) && used.length == 513 &&
           *(uint8_t *)fake_memory(driver, DATA + 512, 1) == 0 &&
           memcmp(fake_memory(driver, DATA, 512), sector, 512) == 0;
}

/* No request may change the size of the disk's file. */
static void check_size(struct fake_driver *driver, struct fuzz_input *input)
{
    (void)driver;
    (void)input;
    fuzz_require(lseek(disk, 0, SEEK_END) == DISK_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char options[64];
    const struct virtio_fuzz fuzz = {
        .class = &block_class,
        .options = options,
        .features = UINT64_MAX,
        .queues = 1,
        .operate = check_size,
        .request = request,
    };

    if (disk < 0) {
        disk = memfd_create("disk", MFD_CLOEXEC);
        snprintf(options, sizeof(options), "/proc/self/fd/%d,engine=sync", disk);
    }
    fuzz_require(ftruncate(disk, 0) == 0 && ftruncate(disk, DISK_SIZE) == 0);
    virtio_fuzz_run(&fuzz, data, size);
    fuzz_require(lseek(disk, 0, SEEK_END) == DISK_SIZE);
    return 0;
}
