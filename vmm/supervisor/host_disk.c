/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/host_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/backend/disk_overlay.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/nameless_file.h"
#include "vmm/supervisor/disk_lock.h"

/* Where the host does not tell what O_DIRECT needs: a page suits every device. */
#define DIRECT_ALIGNMENT 4096u

/* An image below an overlay is never written, and may be below others too. */
static bool is_read_only(const struct block_options *options)
{
    return options->read_only || options->overlay;
}

/* ---- the file --------------------------------------------------------------- */

static int refuse_open(const struct block_options *options, struct error *error)
{
    const char *path = options->path;
    int number = errno;

    switch (number) {
    case ENOENT:
        return error_set(error, number, "disk %s: does not exist; make it by 'truncate -s SIZE "
                         "FILE' or correct the path", path);
    case EACCES:
    case EPERM:
        return error_set(error, number, "disk %s: this user may not %s it; change its permissions%s",
                         path, is_read_only(options) ? "read" : "write",
                         is_read_only(options) ? "" : " or add ',ro'");
    case EROFS:
        return error_set(error, number, "disk %s: lies on a read-only file system; add ',ro'",
                         path);
    case ETXTBSY:
        return error_set(error, number, "disk %s: is a program that runs; name another file", path);
    case EBUSY:
        return error_set(error, number, "disk %s: is in use by the host; unmount it first", path);
    case EINVAL:
        if (options->direct)
            return error_set(error, number, "disk %s: its file system cannot do direct I/O; "
                             "leave out 'direct'", path);
        break;
    }
    return error_system(error, number, "disk %s", path);
}

/* Checks before opening: a FIFO would block, and some devices act when opened. */
static int check_kind(const char *path, const struct stat *status, struct error *error)
{
    if (S_ISREG(status->st_mode) || S_ISBLK(status->st_mode))
        return 0;
    if (S_ISDIR(status->st_mode))
        return error_set(error, EISDIR, "disk %s: is a directory; name a file or a block device", path);
    return error_set(error, EINVAL, "disk %s: is neither a file nor a block device; name one of "
                     "these", path);
}

/* A descriptor that was opened by somebody else, in a way that suits. */
static int take_descriptor(struct disk_host *host, const struct block_options *options,
                           struct error *error)
{
    int flags = fcntl(options->fd, F_GETFL);

    if (flags < 0)
        return error_system(error, errno, "disk %s: descriptor %d", options->path, options->fd);
    if (flags & O_PATH || (flags & O_ACCMODE) == O_WRONLY ||
        (!is_read_only(options) && (flags & O_ACCMODE) != O_RDWR))
        return error_set(error, EBADF, "disk %s: descriptor %d is not open for %s; open it so%s",
                         options->path, options->fd,
                         is_read_only(options) ? "reading" : "reading and writing",
                         is_read_only(options) ? "" : " or add ',ro'");
    host->fd = fcntl(options->fd, F_DUPFD_CLOEXEC, 3);
    return host->fd < 0 ? error_system(error, errno, "disk %s", options->path) : 0;
}

static int open_path(struct disk_host *host, const struct block_options *options,
                     struct error *error)
{
    int flags = (is_read_only(options) ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    struct stat status;
    int result;

    if (stat(options->path, &status) < 0)
        return refuse_open(options, error);
    if ((result = check_kind(options->path, &status, error)) < 0)
        return result;
    host->fd = open(options->path, flags | (options->direct ? O_DIRECT : 0));
    return host->fd < 0 ? refuse_open(options, error) : 0;
}

static int open_file(struct disk_host *host, const struct block_options *options, struct error *error)
{
    struct stat status;
    int result = options->fd >= 0 ? take_descriptor(host, options, error)
                                 : open_path(host, options, error);

    if (result < 0)
        return result;
    if (fstat(host->fd, &status) < 0)
        return refuse_open(options, error);
    /* The path may lead elsewhere by now. */
    if ((result = check_kind(options->path, &status, error)) < 0)
        return result;
    host->block_device = S_ISBLK(status.st_mode);
    host->physical_size = status.st_blksize >= (blksize_t)DISK_SECTOR && status.st_blksize <= 1 << 20
                              ? (uint32_t)status.st_blksize : DISK_SECTOR;
    return 0;
}

static int lock_file(const struct disk_host *host, const struct block_options *options, struct error *error)
{
    int result = disk_lock(host->fd, is_read_only(options) ? F_RDLCK : F_WRLCK);

    if (result == 0)
        return 0;
    if (result == -EAGAIN)
        return error_set(error, EBUSY, "disk %s: is in use by another process%s; end that one or "
                         "use a copy", options->path, is_read_only(options) ? ", which writes to it" : "");
    return error_system(error, -result, "disk %s: cannot be locked", options->path);
}

/* ---- what it is like -------------------------------------------------------- */

/* What O_DIRECT wants, as far as the host tells. */
static void read_alignment(struct disk_host *host)
{
    host->memory_alignment = host->offset_alignment = 1;
    if (!host->direct)
        return;
    host->memory_alignment = host->offset_alignment = DIRECT_ALIGNMENT;
#ifdef STATX_DIOALIGN
    struct statx status;

    if (statx(host->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
        (status.stx_mask & STATX_DIOALIGN) && status.stx_dio_offset_align &&
        status.stx_dio_offset_align <= DIRECT_ALIGNMENT &&
        status.stx_dio_mem_align <= DIRECT_ALIGNMENT) {
        host->memory_alignment = status.stx_dio_mem_align;
        host->offset_alignment = status.stx_dio_offset_align;
        return;
    }
#endif
    int sector;

    if (host->block_device && ioctl(host->fd, BLKSSZGET, &sector) == 0 && sector > 0 &&
        sector <= (int)DIRECT_ALIGNMENT)
        host->memory_alignment = host->offset_alignment = (uint32_t)sector;
}

static int choose_block_size(struct disk_host *host, const struct block_options *options, struct error *error)
{
    uint32_t wanted = options->block_size;
    uint32_t needed = host->offset_alignment > DISK_SECTOR ? host->offset_alignment : DISK_SECTOR;

    if (wanted != 0 && wanted < needed)
        return error_set(error, EINVAL, "disk %s: direct I/O needs blocks of %u bytes here; give "
                         "block-size=%u or leave out 'direct'", options->path, needed, needed);
    host->block_size = wanted ? wanted : needed;
    if (host->physical_size < host->block_size)
        host->physical_size = host->block_size;
    return 0;
}

static int check_size(struct disk_host *host, const struct block_options *options, struct log *log,
                      struct error *error)
{
    off_t end = lseek(host->fd, 0, SEEK_END);
    unsigned long long bytes = (unsigned long long)end;

    if (end < 0)
        return error_system(error, errno, "disk %s: its size", options->path);
    if (bytes == 0)
        return error_set(error, EINVAL, "disk %s: is empty; give it a size by 'truncate -s SIZE'",
                         options->path);
    host->pad = options->read_only;
    host->size = disk_file_size(bytes, host->block_size, host->pad, &host->padding);
    if (host->size == 0)
        return error_set(error, EINVAL, "disk %s: %llu bytes make no block of %u; extend it by "
                         "'truncate -s %%%u'", options->path, bytes, host->block_size, host->block_size);
    if (host->size < bytes)
        log_warn(log, "disk %s: %llu bytes are no multiple of %u: the guest does not see the last "
                 "%llu; extend it by 'truncate -s %%%u', or add ',ro'", options->path, bytes,
                 host->block_size, bytes - (unsigned long long)host->size, host->block_size);
    else if (host->padding)
        log_warn(log, "disk %s: %llu bytes are no multiple of %u: the guest sees %u zeroes behind them",
                 options->path, bytes, host->block_size, host->padding);
    return 0;
}

static int examine(struct disk_host *host, const struct block_options *options, struct log *log,
                   struct error *error)
{
    int result;

    read_alignment(host);
    result = choose_block_size(host, options, error);
    return result < 0 ? result : check_size(host, options, log, error);
}

/* Punching beyond the end changes nothing, but tells whether it can be done. */
static bool probe_discard(const struct disk_host *host)
{
    bool overlay = host->overlay_fd >= 0;
    /* A file may have a rest behind its last block. */
    uint64_t end = overlay ? disk_overlay_length(host->size) : host->size + host->block_size;

    if (host->read_only)
        return false;
    return (host->block_device && !overlay) ||
           fallocate(overlay ? host->overlay_fd : host->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     (off_t)end, 4096) == 0;
}

/* ---- its overlay ------------------------------------------------------------ */

/*
 * Where the file system lets files share their blocks, a copy without a name takes
 * the image's place: no time, no space, and no overlay.
 */
static bool become_copy(struct disk_host *host, const char *path)
{
    const char *slash = strrchr(path, '/');
    cleanup_free char *folder = slash == path ? strdup("/")
                                : slash ? strndup(path, (size_t)(slash - path))
                                        : strdup(".");
    cleanup_fd int fd = folder ? open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;

    if (fd < 0 || ioctl(fd, FICLONE, host->fd) < 0)
        return false;
    close(host->fd);
    host->fd = steal_fd(&fd);
    return true;
}

static bool is_temporary(const struct block_options *options)
{
    return options->overlay && strcmp(options->overlay, DISK_OVERLAY_TEMPORARY) == 0;
}

/* Its name too is on the disk, or what the guest flushes could be lost with it; as far as folder and system let us. */
static int sync_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    cleanup_free char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    cleanup_fd int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    return (fd < 0 && errno != EACCES) || (fd >= 0 && fsync(fd) < 0 && errno != EINVAL) ? -errno : 0;
}

/* 1: it is new; 0: it was there. */
static int open_overlay_path(struct disk_host *host, const char *path, struct error *error)
{
    const int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int created = 0;

    host->overlay_fd = open(path, flags);
    if (host->overlay_fd < 0 && errno == ENOENT) {
        host->overlay_fd = open(path, flags | O_CREAT | O_EXCL, 0600);
        created = 1;
    }
    if (host->overlay_fd < 0)
        return error_system(error, errno, "overlay %s", path);
    if (disk_lock(host->overlay_fd, F_WRLCK) < 0)
        return error_set(error, EBUSY, "overlay %s: is in use by another process; end that one or "
                         "name another file", path);
    return created;
}

static int open_temporary(struct disk_host *host, struct error *error)
{
    host->overlay_is_temporary = true;
    host->overlay_fd = nameless_file("overlay", "set TMPDIR to a folder with room", error);
    return host->overlay_fd < 0 ? host->overlay_fd : 1;
}

static int make_overlay(const struct disk_host *host, const struct block_options *options, struct error *error)
{
    struct disk_overlay_file file = {
        .fd = host->overlay_fd, .is_temporary = host->overlay_is_temporary, .path = options->overlay,
    };
    struct disk_overlay_image image = { .path = options->path, .size = host->size };
    int result;

    if (fstat(host->fd, &image.status) < 0)
        return error_system(error, errno, "disk %s", options->path);
    result = disk_overlay_make(&file, &image, error);
    if (result < 0 || file.is_temporary)
        return result;
    result = sync_name(file.path);
    return result < 0 ? error_system(error, -result, "overlay %s", file.path) : 0;
}

/* What an overlay has that was there is for the one to read who serves the disk. */
static int open_overlay(struct disk_host *host, const struct block_options *options, struct error *error)
{
    int result;

    if (!options->overlay)
        return 0;
    if (is_temporary(options) && options->fd < 0 && !host->block_device && become_copy(host, options->path))
        return 0;
    result = is_temporary(options) ? open_temporary(host, error) : open_overlay_path(host, options->overlay, error);
    if (result <= 0)
        return result;
    result = make_overlay(host, options, error);
    /* Half of one is none. */
    if (result < 0 && !host->overlay_is_temporary)
        unlink(options->overlay);
    return result;
}

/* ---- all of it -------------------------------------------------------------- */

/* A monitor's own: in its jail it could make none any more. */
static void open_ring(struct block_host *host, const struct block_options *options, struct log *log)
{
    int result;

    if (options->engine != DISK_ENGINE_URING)
        return;
    result = disk_ring_create(&host->ring, &host->disk, host->slot);
    if (result < 0)
        log_info(log, "disk %s: io_uring cannot be used (%s): threads do its work", options->path,
                 strerror(-result));
}

static void close_file(int *fd)
{
    if (*fd < 0)
        return;
    disk_unlock(*fd);
    close(*fd);
    *fd = -1;
}

void host_disk_close(struct block_host *host)
{
    disk_ring_destroy(host->ring);
    host->ring = NULL;
    close_file(&host->disk.fd);
    close_file(&host->disk.overlay_fd);
}

static int open_disk(struct disk_host *host, const struct block_options *options, struct log *log,
                     struct error *error)
{
    int result;

    *host = (struct disk_host)DISK_HOST_INIT;
    host->direct = options->direct;
    if ((result = open_file(host, options, error)) < 0 ||
        (result = lock_file(host, options, error)) < 0 ||
        (result = examine(host, options, log, error)) < 0 ||
        (result = open_overlay(host, options, error)) < 0)
        return result;
    host->read_only = options->read_only;
    host->can_discard = probe_discard(host);
    return 0;
}

int host_disk_open(struct block_host *host, const struct block_options *options, struct log *log,
                   struct error *error)
{
    int result;

    *host = (struct block_host){ .ring = NULL };
    result = open_disk(&host->disk, options, log, error);
    if (result < 0)
        host_disk_close(host);
    else
        open_ring(host, options, log);
    return result;
}

int host_disk_reopen(struct block_host *host, const struct block_options *options, struct log *log,
                     struct error *error)
{
    struct block_host fresh;
    int result;

    disk_ring_destroy(host->ring);
    host->ring = NULL;
    if (!is_temporary(options)) {
        result = examine(&host->disk, options, log, error);
        if (result == 0)
            open_ring(host, options, log);
        return result;
    }
    result = host_disk_open(&fresh, options, log, error);
    if (result < 0)
        return result;
    host_disk_close(host);
    *host = fresh;
    return 0;
}

/* ---- the next one ----------------------------------------------------------- */

int host_disk_open_next(struct block_host *fresh, const struct block_host *present, const struct block_options *options,
                        const char *path, struct log *log, struct error *error)
{
    struct block_options next = *options;
    int result;

    if (options->overlay)
        return error_set(error, ENOTSUP, "disk %s: its overlay (%s) belongs to that image; only a disk without overlay= "
                         "gets another file", options->path, options->overlay);
    next.path = path;
    next.fd = -1;
    next.block_size = present->disk.block_size; /* as its driver knows it */
    *fresh = (struct block_host){ .slot = present->slot == 0 ? 1 : 0 };
    result = open_disk(&fresh->disk, &next, log, error);
    if (result == 0 && present->ring && (result = disk_ring_set_file(present->ring, fresh->slot, fresh->disk.fd)) < 0)
        error_system(error, -result, "disk %s: io_uring", path);
    if (result < 0)
        host_disk_close(fresh);
    return result;
}

void host_disk_settle(struct block_host *present, struct block_host *fresh, bool taken)
{
    struct block_host gone = taken ? *present : *fresh;

    /* The ring is the disk's. */
    if (present->ring)
        disk_ring_set_file(present->ring, gone.slot, -1);
    gone.ring = NULL;
    host_disk_close(&gone);
    if (taken) {
        fresh->ring = present->ring;
        *present = *fresh;
    }
    *fresh = (struct block_host){ .disk = DISK_HOST_INIT };
}
