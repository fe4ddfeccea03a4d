/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/disk_format.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

#define HEAD 2048

struct magic {
    const char *name;
    size_t offset, length;
    const char *bytes;
};

static const struct magic file_systems[] = {
    { "ext4", 1024 + 0x38, 2, "\x53\xef" }, /* ext2 and ext3 too: the same driver mounts them */
    { "erofs", 1024, 4, "\xe2\xe1\xf5\xe0" },
    { "squashfs", 0, 4, "hsqs" },
};

static const struct {
    struct magic magic;
    const char *remedy;
} others[] = {
    { { "a qcow2 image", 0, 4, "QFI\xfb" }, "convert it: qemu-img convert -O raw FILE NEW" },
    { { "a VMDK image", 0, 4, "KDMV" }, "convert it: qemu-img convert -O raw FILE NEW" },
    { { "a VHDX image", 0, 8, "vhdxfile" }, "convert it: qemu-img convert -O raw FILE NEW" },
    { { "compressed by gzip", 0, 2, "\x1f\x8b" }, "unpack it: gunzip FILE" },
    { { "compressed by xz", 0, 6, "\xfd" "7zXZ" }, "unpack it: unxz FILE" },
    { { "compressed by zstd", 0, 4, "\x28\xb5\x2f\xfd" }, "unpack it: unzstd FILE" },
    { { "a tar archive", 257, 5, "ustar" }, "if docker save wrote it: --image docker-archive:FILE" },
    { { "an XFS file system", 0, 4, "XFSB" }, "give ext4, erofs or squashfs" },
    { { "a partitioned disk", 510, 2, "\x55\xaa" }, "take the partition out of it, by dd or losetup" },
};

/* What the file begins with; shorter files are zeros to the end. */
static int read_head(int fd, const char *name, uint8_t head[HEAD], struct error *error)
{
    size_t at = 0;

    memset(head, 0, HEAD);
    while (at < HEAD) {
        ssize_t got = pread(fd, head + at, HEAD - at, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_system(error, errno, "%s", name);
        if (got == 0)
            break;
        at += (size_t)got;
    }
    if (at == 0)
        return error_set(error, ENODATA, "%s: is empty; give an image with ext4, erofs or squashfs",
                         name);
    return 0;
}

static bool has(const uint8_t *head, const struct magic *magic)
{
    return memcmp(head + magic->offset, magic->bytes, magic->length) == 0;
}

int disk_format_detect(int fd, const char *name, const char **format, struct error *error)
{
    uint8_t head[HEAD];

    if (read_head(fd, name, head, error) < 0)
        return -error->number;
    for (size_t i = 0; i < ARRAY_LENGTH(file_systems); i++)
        if (has(head, &file_systems[i])) {
            *format = file_systems[i].name;
            return 0;
        }
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
        if (has(head, &others[i].magic))
            return error_set(error, EINVAL, "%s: is %s; %s", name, others[i].magic.name,
                             others[i].remedy);
    return error_set(error, ENODATA, "%s: has no file system that a guest knows; make an ext4, "
                     "erofs or squashfs image, without partitions", name);
}

const char *disk_format_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(file_systems); i++)
        if (strcmp(file_systems[i].name, name) == 0)
            return file_systems[i].name;
    return NULL;
}
