/* SPDX-License-Identifier: Apache-2.0 */
/* What is changed of a running VM's devices: the file of a disk, the rate limits of a disk or network. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/host_path.h"
#include "vmm/base/timer.h"
#include "vmm/config/rate.h"
#include "vmm/supervisor/host_disk.h"
#include "vmm/supervisor/vm_control_internal.h"

/* ---- a disk's file ---------------------------------------------------------- */

/* The lock would refuse these with words that lead astray: the other process is this VM's. */
static int check_others(const struct vm_config *vm, const char *path, struct error *error)
{
    for (size_t i = 0; i < vm->device_count; i++) {
        const struct device_config *device = vm->devices[i];

        if (device->type != DEVICE_TYPE_DISK || device->disk.fd >= 0 || !host_path_is_same(device->disk.path, path))
            continue;
        return error_set(error, EBUSY, "disk %s: is a disk of this VM already; name another file", path);
    }
    return 0;
}

static int send_disk(struct vm_control *control, uint32_t index, const char *path, struct error *error)
{
    struct message request = {
        .header.type = REQUEST_REPLACE_DISK,
        .replace_disk = { .device = index, .slot = control->disk.fresh.slot, .disk = control->disk.fresh.disk },
    };

    strcpy(request.replace_disk.path, path);
    return vm_control_send_file(control, &request, control->disk.fresh.disk.fd, control->disk.fresh.disk.size, error);
}

int vm_control_replace_disk(struct vm_control *control, const struct disk_arguments *asked, struct error *error)
{
    struct vm_config *vm = control->owner.vm;
    struct replaced_disk *disk = &control->disk;
    const struct block_options *options;
    uint32_t index;
    int result = vm_config_find_id(vm, DEVICE_TYPE_DISK, asked->disk, &index, error);

    if (result < 0)
        return result;
    options = &vm->devices[index]->disk;
    if (!options->host)
        return error_set(error, EAGAIN, "is being started, or ends; see 'mote ps', and try again");
    if ((result = check_others(vm, asked->path, error)) < 0 ||
        (result = host_disk_open_next(&disk->fresh, options->host, options, asked->path, control->owner.log, error)) < 0)
        return result;
    disk->index = index;
    disk->is_open = true;
    disk->path = config_pool_text(&vm->pool, asked->path);
    result = disk->path ? send_disk(control, index, asked->path, error) : error_system(error, ENOMEM, "disk");
    if (result < 0)
        vm_control_settle_disk(control, false);
    return result;
}

void vm_control_settle_disk(struct vm_control *control, bool taken)
{
    struct replaced_disk *disk = &control->disk;
    struct block_options *options;

    if (!disk->is_open)
        return;
    options = &control->owner.vm->devices[disk->index]->disk;
    host_disk_settle(options->host, &disk->fresh, taken);
    disk->is_open = false;
    if (!taken)
        return;
    options->path = disk->path;
    options->fd = -1;
    options->block_size = options->host->disk.block_size;
}

/* ---- rate limits ------------------------------------------------------------ */

static void set_rates(struct device_config *device, const struct request_set_rate *rates)
{
    if (device->type == DEVICE_TYPE_DISK) {
        device->disk.rate = rates->transmit;
    } else {
        device->net.receive_rate = rates->receive;
        device->net.transmit_rate = rates->transmit;
    }
}

int vm_control_set_rate(struct vm_control *control, const struct rate_arguments *asked, struct error *error)
{
    enum device_type type = asked->kind == RATE_OF_DISK ? DEVICE_TYPE_DISK : DEVICE_TYPE_NET;
    struct message request = { .header.type = REQUEST_SET_RATE };
    struct request_set_rate *rates = &request.set_rate;
    int fds[2], result = vm_config_find_id(control->owner.vm, type, asked->device, &rates->device, error);

    if (result == 0)
        result = type == DEVICE_TYPE_DISK ? rate_parse("disk", asked->rates, &rates->transmit, NULL, error)
                                          : rate_parse("net", asked->rates, &rates->receive, &rates->transmit, error);
    if (result < 0)
        return result;
    /* The jail makes no timers. */
    fds[0] = timer_make_fd();
    fds[1] = timer_make_fd();
    result = fds[0] < 0 || fds[1] < 0 ? error_system(error, fds[0] < 0 ? -fds[0] : -fds[1], "a timer")
                                      : vm_control_send_files(control, &request, fds, 2, error);
    cleanup_close(&fds[0]);
    cleanup_close(&fds[1]);
    return result;
}

void vm_control_rate_is_set(struct vm_control *control)
{
    const struct request_set_rate *rates = &control->request.set_rate;

    set_rates(control->owner.vm->devices[rates->device], rates);
}
