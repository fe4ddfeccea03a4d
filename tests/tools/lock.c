/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock read|write
 *
 * Locks the file on standard input for reading or writing.  The lock belongs to
 * the open file: it stays until the last process that has it closes it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct flock lock = { .l_whence = SEEK_SET };

    if (argc != 2 || (strcmp(argv[1], "read") != 0 && strcmp(argv[1], "write") != 0)) {
        fprintf(stderr, "lock: give read or write\n");
        return 2;
    }
    lock.l_type = strcmp(argv[1], "read") == 0 ? F_RDLCK : F_WRLCK;
    if (fcntl(STDIN_FILENO, F_OFD_SETLK, &lock) < 0) {
        perror("lock");
        return 1;
    }
    return 0;
}
