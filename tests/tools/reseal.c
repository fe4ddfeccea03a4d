/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reseal FOLDER: makes the seal of a snapshot fit its memory as that is now.  So a test can alter the memory and see
 * what comes of the guest, where the checksum would have told before.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "vmm/supervisor/snapshot/seal.h"

static int reseal(int folder, struct error *error)
{
    int seal_fd = openat(folder, "seal", O_RDONLY), memory = openat(folder, "memory", O_RDONLY);
    struct seal seal;
    int result = seal_read(&seal, seal_fd, error);

    if (result == 0)
        result = seal_memory(&seal, memory, error);
    if (result < 0)
        return result;
    unlinkat(folder, "seal", 0);
    result = seal_write(&seal, openat(folder, "seal", O_WRONLY | O_CREAT | O_EXCL, 0400), error);
    seal_release(&seal);
    return result;
}

int main(int argc, char **argv)
{
    struct error error = ERROR_INIT;

    if (argc == 2 && reseal(open(argv[1], O_RDONLY | O_DIRECTORY), &error) == 0)
        return 0;
    fprintf(stderr, "reseal: %s\n", argc == 2 ? error.message : "name a snapshot's folder");
    return 1;
}
