/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/run/disk_format.h"

#include <stddef.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "vmm/cleanup.h"

#define MAGIC_MAX 4

static const struct {
    const char *name;
    off_t offset;
    const char *magic;
    size_t length;
} formats[] = {
    { "erofs", 1024, "\xe2\xe1\xf5\xe0", 4 },
    { "squashfs", 0, "hsqs", 4 },
    { "ext4", 1024 + 56, "\x53\xef", 2 },
};

const char *disk_format_detect(int fd)
{
    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++) {
        char bytes[MAGIC_MAX];

        if (pread(fd, bytes, formats[i].length, formats[i].offset) == (ssize_t)formats[i].length &&
            memcmp(bytes, formats[i].magic, formats[i].length) == 0)
            return formats[i].name;
    }
    return NULL;
}

const char *disk_format_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++)
        if (strcmp(formats[i].name, name) == 0)
            return formats[i].name;
    return NULL;
}
