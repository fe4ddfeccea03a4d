/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/host_files.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/supervisor/host_disk.h"

static int open_disk(struct block_options *options, struct log *log, struct error *error)
{
    struct block_host *host = options->host;
    int result;

    if (host)
        return host_disk_reopen(host, options, log, error);
    host = calloc(1, sizeof(*host));
    if (!host)
        return error_system(error, ENOMEM, "disk %s", options->path);
    result = host_disk_open(host, options, log, error);
    if (result < 0)
        free(host);
    else
        options->host = host;
    return result;
}

static void close_disk(struct block_options *options)
{
    if (options->host)
        host_disk_close(options->host);
    free(options->host);
    options->host = NULL;
}

int host_files_open(struct vm_config *config, struct log *log, struct error *error)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < config->device_count; i++) {
        struct device_config *device = config->devices[i];

        if (device->type == DEVICE_TYPE_DISK)
            result = open_disk(&device->disk, log, error);
    }
    return result;
}

void host_files_close(struct vm_config *config)
{
    for (size_t i = 0; i < config->device_count; i++)
        if (config->devices[i]->type == DEVICE_TYPE_DISK)
            close_disk(&config->devices[i]->disk);
}
