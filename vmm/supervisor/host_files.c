/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/host_files.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/base/cleanup.h"
#include "vmm/machine/image.h"
#include "vmm/supervisor/host_disk.h"

/* ---- disks ------------------------------------------------------------------ */

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

/* ---- kernel and initrd ------------------------------------------------------ */

static int open_image(int *fd, const char *role, const char *path, struct error *error)
{
    struct image image;
    int result = image_open(&image, role, path, error);

    if (result == 0)
        *fd = image.fd;
    return result;
}

/* Anew for each start: they may have been built again. */
static int open_images(struct vm_config *config, struct error *error)
{
    int result = 0;

    if (config->snapshot)
        return 0;
    if (config->kernel) /* without one vm_config_validate() has refused it, but for monitors of tests, which boot nothing */
        result = open_image(&config->kernel_fd, "kernel", config->kernel, error);
    if (result == 0 && config->initrd && !config->has_initrd_fd)
        result = open_image(&config->initrd_fd, "initrd", config->initrd, error);
    return result;
}

void host_files_inherited(struct vm_config *config)
{
    cleanup_close(&config->kernel_fd);
    config->kernel_fd = -1;
    if (config->has_initrd_fd)
        return;
    cleanup_close(&config->initrd_fd);
    config->initrd_fd = -1;
}

/* ---- all of them ------------------------------------------------------------ */

int host_files_open(struct vm_config *config, struct log *log, struct error *error)
{
    int result = open_images(config, error);

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
