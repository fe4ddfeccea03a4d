/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The modules of a stock kernel, which the host put beside us: /modules.list
 * names them, each after those that it needs.  A module that the running
 * kernel has built in, or has not, is no failure: what it was for will tell.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/init/init.h"

#define LIST "/modules.list"
#define COMPRESSED 4 /* MODULE_INIT_COMPRESSED_FILE: the kernel unpacks it itself */

static void load(const char *path)
{
    size_t length = strlen(path);
    bool plain = length > 3 && strcmp(path + length - 3, ".ko") == 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (syscall(SYS_finit_module, fd, "", plain ? 0 : COMPRESSED) < 0 && errno != EEXIST)
        dprintf(STDERR_FILENO, "mote-init: module %s: %s\n", path, strerror(errno));
    close(fd);
}

void modules_load(void)
{
    char line[256];
    FILE *list = fopen(LIST, "re");

    if (!list)
        return;
    while (fgets(line, sizeof(line), list)) {
        line[strcspn(line, "\n")] = '\0';
        load(line);
        unlink(line); /* its memory is the job's */
    }
    fclose(list);
}
