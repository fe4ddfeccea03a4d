/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/disk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/backend/disk_lock.h"
#include "devices/backend/disk_overlay.h"
#include "vmm/base/cleanup.h"

/* Where the host does not tell what O_DIRECT needs: a page suits every device. */
#define DIRECT_ALIGNMENT 4096u

static int refuse_open(const struct disk_file_options *options, struct error *error)
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
                         path, options->read_only ? "read" : "write",
                         options->read_only ? "" : " or add ',ro'");
    case EROFS:
        return error_set(error, number, "disk %s: lies on a read-only file system; add ',ro'",
                         path);
    case EISDIR:
        return error_set(error, number, "disk %s: is a directory; name a file or a block device",
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
    if (S_ISDIR(status->st_mode)) {
        errno = EISDIR;
        return refuse_open(&(struct disk_file_options){ .path = path }, error);
    }
    return error_set(error, EINVAL, "disk %s: is neither a file nor a block device; name one of "
                     "these", path);
}

/* A descriptor that was opened by somebody else, in a way that suits. */
static int take_descriptor(struct disk_file *file, const struct disk_file_options *options,
                           struct error *error)
{
    int flags = fcntl(options->fd, F_GETFL);

    if (flags < 0)
        return error_system(error, errno, "disk %s: descriptor %d", options->path, options->fd);
    if (flags & O_PATH || (flags & O_ACCMODE) == O_WRONLY ||
        (!options->read_only && (flags & O_ACCMODE) != O_RDWR))
        return error_set(error, EBADF, "disk %s: descriptor %d is not open for %s; open it so%s",
                         options->path, options->fd,
                         options->read_only ? "reading" : "reading and writing",
                         options->read_only ? "" : " or add ',ro'");
    file->fd = fcntl(options->fd, F_DUPFD_CLOEXEC, 3);
    return file->fd < 0 ? error_system(error, errno, "disk %s", options->path) : 0;
}

static int open_path(struct disk_file *file, const struct disk_file_options *options,
                     struct error *error)
{
    int flags = (options->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    struct stat status;
    int result;

    if (stat(options->path, &status) < 0)
        return refuse_open(options, error);
    if ((result = check_kind(options->path, &status, error)) < 0)
        return result;
    file->fd = open(options->path, flags | (options->direct ? O_DIRECT : 0));
    return file->fd < 0 ? refuse_open(options, error) : 0;
}

static int open_file(struct disk_file *file, const struct disk_file_options *options,
                     struct error *error)
{
    struct stat status;
    int result = options->opened ? take_descriptor(file, options, error)
                                 : open_path(file, options, error);

    if (result < 0)
        return result;
    if (fstat(file->fd, &status) < 0)
        return refuse_open(options, error);
    /* The path may lead elsewhere by now. */
    if ((result = check_kind(options->path, &status, error)) < 0)
        return result;
    file->block_device = S_ISBLK(status.st_mode);
    file->physical_size = status.st_blksize >= (blksize_t)DISK_SECTOR && status.st_blksize <= 1 << 20
                              ? (uint32_t)status.st_blksize : DISK_SECTOR;
    return 0;
}

static int lock_file(const struct disk_file *file, struct error *error)
{
    int result = disk_lock(file->fd, file->read_only ? F_RDLCK : F_WRLCK);

    if (result == 0)
        return 0;
    if (result == -EAGAIN)
        return error_set(error, EBUSY, "disk %s: is in use by another process%s; end that one or "
                         "use a copy", file->path, file->read_only ? ", which writes to it" : "");
    return error_system(error, -result, "disk %s: cannot be locked", file->path);
}

static int read_size(const struct disk_file *file, uint64_t *size)
{
    off_t end = lseek(file->fd, 0, SEEK_END);

    if (end < 0)
        return -errno;
    *size = (uint64_t)end;
    return 0;
}

/* What O_DIRECT wants, as far as the host tells. */
static void read_alignment(struct disk_file *file)
{
    file->memory_alignment = file->offset_alignment = 1;
    if (!file->direct)
        return;
    file->memory_alignment = file->offset_alignment = DIRECT_ALIGNMENT;
#ifdef STATX_DIOALIGN
    struct statx status;

    if (statx(file->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
        (status.stx_mask & STATX_DIOALIGN) && status.stx_dio_offset_align &&
        status.stx_dio_offset_align <= DIRECT_ALIGNMENT &&
        status.stx_dio_mem_align <= DIRECT_ALIGNMENT) {
        file->memory_alignment = status.stx_dio_mem_align;
        file->offset_alignment = status.stx_dio_offset_align;
        return;
    }
#endif
    int sector;

    if (file->block_device && ioctl(file->fd, BLKSSZGET, &sector) == 0 && sector > 0 &&
        sector <= (int)DIRECT_ALIGNMENT)
        file->memory_alignment = file->offset_alignment = (uint32_t)sector;
}

static int choose_block_size(struct disk_file *file, uint32_t wanted, struct error *error)
{
    uint32_t needed = file->offset_alignment > DISK_SECTOR ? file->offset_alignment : DISK_SECTOR;

    if (wanted != 0 && wanted < needed)
        return error_set(error, EINVAL, "disk %s: direct I/O needs blocks of %u bytes here; give "
                         "block-size=%u or leave out 'direct'", file->path, needed, needed);
    file->block_size = wanted ? wanted : needed;
    if (file->physical_size < file->block_size)
        file->physical_size = file->block_size;
    return 0;
}

/* Whole blocks, of a file of BYTES: the last one is filled up where nobody writes, else left out. */
static void set_size(struct disk_file *file, uint64_t bytes)
{
    uint32_t rest = (uint32_t)(bytes % file->block_size);

    file->padding = rest && file->pad ? file->block_size - rest : 0;
    file->size = file->padding ? bytes + file->padding : bytes - rest;
}

static int check_size(struct disk_file *file, bool overlay, struct error *error)
{
    uint64_t bytes = 0;
    int result = read_size(file, &bytes);

    if (result < 0)
        return error_system(error, -result, "disk %s: its size", file->path);
    if (bytes == 0)
        return error_set(error, EINVAL, "disk %s: is empty; give it a size by 'truncate -s SIZE'",
                         file->path);
    file->pad = file->read_only && !overlay;
    set_size(file, bytes);
    if (file->size == 0)
        return error_set(error, EINVAL, "disk %s: %llu bytes make no block of %u; extend it by "
                         "'truncate -s %%%u'", file->path, (unsigned long long)bytes, file->block_size,
                         file->block_size);
    if (file->size < bytes)
        log_warn(file->log, "disk %s: %llu bytes are no multiple of %u: the guest does not see the last "
                 "%llu; extend it by 'truncate -s %%%u', or add ',ro'", file->path,
                 (unsigned long long)bytes, file->block_size, (unsigned long long)(bytes - file->size),
                 file->block_size);
    else if (file->padding)
        log_warn(file->log, "disk %s: %llu bytes are no multiple of %u: the guest sees %u zeroes behind them",
                 file->path, (unsigned long long)bytes, file->block_size, file->padding);
    return 0;
}

/* Punching beyond the end changes nothing, but tells whether it can be done. */
static bool probe_discard(const struct disk_file *file)
{
    /* A file may have a rest behind its last block. */
    uint64_t end = file->overlay ? disk_overlay_start(file->overlay) + file->size
                                 : file->size + file->block_size;

    if (file->read_only)
        return false;
    return (file->block_device && !file->overlay) ||
           fallocate(disk_file_fd(file, file->overlay), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     (off_t)end, 4096) == 0;
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

/*
 * Where the file system lets files share their blocks, a copy without a name takes
 * the image's place: no time, no space, and no overlay.
 */
static bool become_copy(struct disk_file *file)
{
    const char *slash = strrchr(file->path, '/');
    cleanup_free char *folder = slash == file->path ? strdup("/")
                                : slash ? strndup(file->path, (size_t)(slash - file->path))
                                        : strdup(".");
    cleanup_fd int fd = folder ? open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;

    if (fd < 0 || ioctl(fd, FICLONE, file->fd) < 0)
        return false;
    close(file->fd);
    file->fd = steal_fd(&fd);
    return true;
}

static int open_overlay(struct disk_file *file, const char *overlay, bool opened,
                        struct error *error)
{
    struct stat image;

    if (strcmp(overlay, DISK_OVERLAY_TEMPORARY) == 0 && !opened && !file->block_device &&
        become_copy(file))
        return 0;
    if (fstat(file->fd, &image) < 0)
        return error_system(error, errno, "disk %s", file->path);
    if (file->block_device)
        image.st_mtim = (struct timespec){ 0 }; /* of its node, which tells nothing */
    return disk_overlay_open(&file->overlay, overlay, file->path, &image, file->size, error);
}

int disk_file_open(struct disk_file *file, const struct disk_file_options *given,
                   struct error *error)
{
    struct disk_file_options copy = *given, *options = &copy;
    int result;

    /* An image below an overlay is never written, and may be below others too. */
    options->read_only = given->read_only || given->overlay;
    *file = (struct disk_file){
        .fd = -1,
        .path = options->path,
        .read_only = options->read_only,
        .direct = options->direct,
        .log = options->log,
        .sync = DISK_SYNC_INIT,
    };
    result = open_file(file, options, error);
    if (result == 0)
        result = lock_file(file, error);
    if (result == 0) {
        read_alignment(file);
        result = choose_block_size(file, options->block_size, error);
    }
    if (result == 0)
        result = check_size(file, options->overlay != NULL, error);
    if (result == 0 && options->overlay)
        result = open_overlay(file, options->overlay, options->opened, error);
    if (result < 0) {
        disk_file_close(file);
        return result;
    }
    file->read_only = given->read_only;
    file->can_discard = probe_discard(file);
    hint_at_format(file);
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
    if (file->fd < 0)
        return;
    disk_unlock(file->fd);
    close(file->fd);
    file->fd = -1;
}

int disk_file_refresh(struct disk_file *file)
{
    uint64_t bytes = 0, before = file->size;
    uint32_t padding_before = file->padding;
    int result = read_size(file, &bytes);

    if (result < 0 || file->overlay)
        return result;
    set_size(file, bytes);
    if (file->size > 0)
        return file->size != before;
    file->size = before;
    file->padding = padding_before;
    return -EINVAL;
}

bool disk_file_same(const char *path, const char *other)
{
    struct stat a, b;

    if (stat(path, &a) < 0 || stat(other, &b) < 0)
        return strcmp(path, other) == 0;
    if (S_ISBLK(a.st_mode) && S_ISBLK(b.st_mode))
        return a.st_rdev == b.st_rdev;
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}
