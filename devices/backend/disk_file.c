/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/disk_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/backend/disk_overlay.h"
#include "vmm/base/cleanup.h"

/* What no host needs more of for O_DIRECT: a page. */
#define DIRECT_ALIGNMENT 4096u

static int read_size(const struct disk_file *file, uint64_t *size)
{
    off_t end = lseek(file->fd, 0, SEEK_END);

    if (end < 0)
        return -errno;
    *size = (uint64_t)end;
    return 0;
}

uint64_t disk_file_size(uint64_t bytes, uint32_t block_size, bool pad, uint32_t *padding)
{
    uint32_t rest = (uint32_t)(bytes % block_size);

    *padding = rest && pad ? block_size - rest : 0;
    return *padding ? bytes + *padding : bytes - rest;
}

/*
 * A word to a user who gave an image of another format.  It changes nothing: a
 * guest that writes such bytes itself gets the same disk.
 */
static void hint_at_format(const struct disk_file *file)
{
    static const struct { const char *magic, *name; } formats[] = {
        { "QFI\xfb", "qcow2" }, { "KDMV", "VMDK" }, { "vhdxfile", "VHDX" }, { "conectix", "VHD" },
    };
    _Alignas(DIRECT_ALIGNMENT) char head[DIRECT_ALIGNMENT] = "";

    if (pread(file->fd, head, sizeof(head), 0) < (ssize_t)DISK_SECTOR)
        return;
    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++)
        if (memcmp(head, formats[i].magic, strlen(formats[i].magic)) == 0)
            log_info(file->log, "disk %s: begins as a %s image does, but is used as it is (raw); "
                     "'qemu-img convert -O raw' makes a raw one", file->path, formats[i].name);
}

int disk_file_fd(const struct disk_file *file, bool in_overlay)
{
    if (!in_overlay)
        return file->fd;
    return file->overlay ? disk_overlay_fd(file->overlay) : -1;
}

static bool is_power_of_two(uint32_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* Who opened it is trusted: this is against mistakes. */
static bool is_sound(const struct disk_host *host)
{
    return host->fd >= 0 && is_power_of_two(host->block_size) && host->block_size >= DISK_SECTOR &&
           host->physical_size >= host->block_size && is_power_of_two(host->memory_alignment) &&
           is_power_of_two(host->offset_alignment) && host->offset_alignment <= DIRECT_ALIGNMENT &&
           host->memory_alignment <= DIRECT_ALIGNMENT && host->size > 0 && host->size % host->block_size == 0 &&
           host->padding < host->block_size;
}

static int check_host(const struct disk_host *host, const char *path, struct error *error)
{
    if (!is_sound(host) || lseek(host->fd, 0, SEEK_END) < 0)
        return error_set(error, EINVAL, "disk %s: what was opened is no disk; this is an error of mote's: report it",
                         path);
    return 0;
}

static int load_overlay(struct disk_file *file, const struct disk_host *host, const char *overlay,
                        struct error *error)
{
    struct disk_overlay_file opened = {
        .fd = host->overlay_fd, .is_temporary = host->overlay_is_temporary, .path = overlay,
    };
    struct disk_overlay_image image = { .path = file->path, .size = host->size };

    if (fstat(host->fd, &image.status) < 0)
        return error_system(error, errno, "disk %s", file->path);
    return disk_overlay_load(&file->overlay, &opened, &image, error);
}

static void take(struct disk_file *file, const struct disk_host *host, const char *path)
{
    file->fd = host->fd;
    file->path = path;
    file->read_only = host->read_only;
    file->direct = host->direct;
    file->block_device = host->block_device;
    file->pad = host->pad;
    file->can_discard = host->can_discard;
    file->block_size = host->block_size;
    file->physical_size = host->physical_size;
    file->memory_alignment = host->memory_alignment;
    file->offset_alignment = host->offset_alignment;
    file->size = host->size;
    file->padding = host->padding;
    hint_at_format(file);
}

int disk_file_open(struct disk_file *file, const struct disk_host *host, const char *path, const char *overlay,
                   struct log *log, struct error *error)
{
    int result = check_host(host, path, error);

    *file = (struct disk_file){ .fd = -1, .path = path, .log = log, .sync = DISK_SYNC_INIT };
    if (result == 0 && host->overlay_fd >= 0)
        result = load_overlay(file, host, overlay, error);
    if (result == 0)
        take(file, host, path);
    return result;
}

int disk_file_replace(struct disk_file *file, const struct disk_host *host, const char *path, struct error *error)
{
    int result = check_host(host, path, error);

    /* What a driver has learned of the disk, its size aside. */
    if (result == 0 && (file->overlay || host->overlay_fd >= 0 || host->block_size != file->block_size ||
                        host->read_only != file->read_only))
        result = error_set(error, EINVAL, "disk %s: is of another kind than %s; this is an error of mote's: report it",
                           path, file->path);
    if (result < 0)
        return result;
    close(file->fd);
    take(file, host, path);
    disk_sync_renew(&file->sync);
    return 0;
}

void disk_file_close(struct disk_file *file)
{
    /* After a lost write nobody knows which sectors are stable: the map stays as the last good flush left it. */
    int result = disk_overlay_close(file->overlay, !disk_sync_has_failed(&file->sync));

    file->overlay = NULL;
    if (result < 0)
        log_warn(file->log, "disk %s: its overlay lacks what was written since the last flush that "
                 "succeeded: %s", file->path, strerror(-result));
    cleanup_close(&file->fd);
    file->fd = -1;
}

int disk_file_refresh(struct disk_file *file)
{
    uint64_t bytes = 0, before = file->size;
    uint32_t padding_before = file->padding;
    int result = read_size(file, &bytes);

    if (result < 0 || file->overlay)
        return result;
    file->size = disk_file_size(bytes, file->block_size, file->pad, &file->padding);
    if (file->size > 0)
        return file->size != before;
    file->size = before;
    file->padding = padding_before;
    return -EINVAL;
}
