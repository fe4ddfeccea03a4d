/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/small_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

bool small_file_read(const char *path, char *text, size_t size)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);

    if (length < 0)
        return false;
    text[length] = '\0';
    return true;
}
