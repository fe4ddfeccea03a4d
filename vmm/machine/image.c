/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/page_size.h"
#include "vmm/base/whole_io.h"


/* From this length on, it pays to ask where a file's holes are. */
#define HOLES_FROM (1u << 20)

/* What stands in the user's way, in their words. */
static int open_failed(const char *role, const char *path, int number, struct error *error)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
        return error_set(error, number, "%s %s: %s; check the path", role, path, strerror(number));
    case EACCES:
    case EPERM:
        return error_set(error, number, "%s %s: %s; make it readable for this user", role, path,
                         strerror(number));
    default:
        return error_system(error, number, "%s %s", role, path);
    }
}

int image_adopt(struct image *image, const char *role, const char *path, int adopted, struct error *error)
{
    cleanup_fd int fd = adopted;
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        return open_failed(role, path, errno, error);
    if (S_ISDIR(status.st_mode))
        return error_set(error, EISDIR, "%s %s: is a directory; name the %s file in it", role, path,
                         role);
    if (!S_ISREG(status.st_mode))
        return error_set(error, EINVAL, "%s %s: is not a regular file; copy it to one first", role,
                         path);
    if (status.st_size == 0)
        return error_set(error, EINVAL, "%s %s: the file is empty; fetch or build it again", role,
                         path);
    *image = (struct image){
        .role = role,
        .path = path,
        .fd = steal_fd(&fd),
        .size = (uint64_t)status.st_size,
        .constant = !(status.st_mode & 0222),
    };
    return 0;
}

int image_open(struct image *image, const char *role, const char *path, struct error *error)
{
    if (path[0] == '\0')
        return error_set(error, EINVAL, "%s: the file name is empty; name a file", role);
    /* Without O_NONBLOCK a FIFO would hold us here until somebody writes. */
    return image_adopt(image, role, path, open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), error);
}

void image_close(struct image *image)
{
    if (image->fd >= 0)
        close(image->fd);
    image->fd = -1;
}

static int truncated(const struct image *image, struct error *error)
{
    return error_set(error, EINVAL,
                     "%s %s: the file ends too early (truncated); fetch or build it again",
                     image->role, image->path);
}

int image_read(const struct image *image, uint64_t offset, void *bytes, size_t length,
               struct error *error)
{
    int result;

    if (offset > image->size || length > image->size - offset)
        return truncated(image, error);
    result = whole_pread(image->fd, bytes, length, offset);
    if (result == -ENODATA)
        return truncated(image, error);
    return result < 0 ? error_system(error, -result, "%s %s: read", image->role, image->path) : 0;
}

/*
 * Where the next data of [offset, end) begins, and in *STOP where it ends; END
 * and nothing if only a hole is left.  A file system that knows no holes says
 * that all is data; an answer that makes no sense is taken for the same.
 */
static uint64_t next_data(const struct image *image, uint64_t offset, uint64_t end, uint64_t *stop)
{
    off_t data = lseek(image->fd, (off_t)offset, SEEK_DATA), hole;

    *stop = end;
    if (data < 0)
        return errno == ENXIO ? end : offset;
    if ((uint64_t)data < offset)
        return offset;
    if ((uint64_t)data >= end)
        return end;
    hole = lseek(image->fd, data, SEEK_HOLE);
    if (hole > data && (uint64_t)hole < end)
        *stop = (uint64_t)hole;
    return (uint64_t)data;
}

/* Reads [offset, offset + length), the holes left out: BYTES are zero. */
static int read_data(const struct image *image, uint64_t offset, uint8_t *bytes, uint64_t length,
                     struct error *error)
{
    uint64_t end = offset + length, at = offset, stop;
    uint8_t last;

    for (; at < end; at = stop) {
        int result;

        at = next_data(image, at, end, &stop);
        result = image_read(image, at, bytes + (at - offset), stop - at, error);
        if (result < 0)
            return result;
    }
    /* A file that shrank meanwhile must not look like one that ends in a hole. */
    return image_read(image, end - 1, &last, 1, error);
}

int image_load(const struct image *image, uint64_t offset, uint64_t length,
               struct guest_memory *memory, uint64_t address, struct error *error)
{
    struct guest_slice slice;

    if (guest_memory_slice(memory, address, length, &slice) < 0)
        return error_set(error, EINVAL,
                         "%s %s: 0x%llx bytes at 0x%llx do not lie in the guest's memory; "
                         "give it more --memory",
                         image->role, image->path, (unsigned long long)length,
                         (unsigned long long)address);
    if (offset > image->size || length > image->size - offset)
        return truncated(image, error);
    if (length < HOLES_FROM)
        return image_read(image, offset, slice.bytes, slice.length, error);
    return read_data(image, offset, slice.bytes, length, error);
}

int image_place(const struct image *image, uint64_t offset, uint64_t length,
                struct guest_memory *memory, uint64_t address, struct error *error)
{
    uint64_t page = page_size(), head = -address % page, pages;
    struct error ignored = ERROR_INIT;
    int result = 0;

    if (!image->constant || address % page != offset % page || length < head + page)
        return image_load(image, offset, length, memory, address, error);
    if (offset > image->size || length > image->size - offset)
        return truncated(image, error);
    pages = (length - head) & ~(page - 1);
    /* A file of a kind that cannot be mapped can be read still. */
    if (guest_memory_map_file(memory, address + head, pages, image->fd, offset + head, &ignored) < 0)
        return image_load(image, offset, length, memory, address, error);
    if (head)
        result = image_load(image, offset, head, memory, address, error);
    if (result == 0 && length > head + pages)
        result = image_load(image, offset + head + pages, length - head - pages, memory,
                            address + head + pages, error);
    return result;
}
