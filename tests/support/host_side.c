/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/host_side.h"

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "devices/virtio/block.h"

static int copy_of(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static void give(struct host_side *side)
{
    side->given = side->kept;
    side->given.disk.fd = copy_of(side->kept.disk.fd);
    side->given.disk.overlay_fd = copy_of(side->kept.disk.overlay_fd);
    side->kept.ring = NULL;
}

int host_side_open(struct host_side *side, const struct virtio_device_class *class, const void *options,
                   struct log *log, struct error *error)
{
    int result;

    *side = (struct host_side){ .disk = NULL };
    if (class != &block_class)
        return 0;
    side->disk = (struct block_options *)(uintptr_t)options;
    result = host_disk_open(&side->kept, side->disk, log, error);
    if (result < 0) {
        side->disk = NULL;
        return result;
    }
    give(side);
    side->disk->host = &side->given;
    return 0;
}

void host_side_close(struct host_side *side)
{
    if (!side->disk)
        return;
    side->disk->host = NULL;
    host_disk_close(&side->kept);
    side->disk = NULL;
}

int host_side_open_file(struct disk_file *file, const struct block_options *options, struct log *log,
                        struct error *error)
{
    struct block_options plain = *options;
    struct block_host host;
    int result;

    plain.engine = DISK_ENGINE_SYNC; /* no ring */
    *file = (struct disk_file){ .fd = -1 };
    result = host_disk_open(&host, &plain, log, error);
    if (result < 0)
        return result;
    result = disk_file_open(file, &host.disk, options->path, options->overlay, log, error);
    if (result < 0)
        host_disk_close(&host);
    return result;
}
