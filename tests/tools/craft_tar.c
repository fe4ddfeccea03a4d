/* SPDX-License-Identifier: Apache-2.0 */
/*
 * craft_tar ENTRY…
 *
 * Writes a tar archive to standard output.  ENTRY is TYPE:NAME[:REST]: TYPE is
 * that of POSIX ('0' file, '1' hard link, '2' symbolic link, '3' '4' devices,
 * '5' folder, '6' FIFO), REST a file's content or where a link leads.  Names may
 * have no colon.  "mode=OCTAL" and "size=N", a size that lies, go to the next
 * entry, "open" leaves the end out.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/tar.h"

static void add(struct tar *tar, char *word, struct tar_entry *entry)
{
    char *rest = strchr(word + 2, ':');

    if (rest)
        *rest++ = '\0';
    entry->type = word[0];
    entry->name = word + 2;
    if (entry->type == '0' && rest) {
        entry->content = rest;
        entry->size = strlen(rest);
    } else {
        entry->link = rest;
    }
    if (entry->type == '3' || entry->type == '4')
        entry->major = 1, entry->minor = 3;
    tar_add(tar, entry);
    *entry = (struct tar_entry){ .type = '0' };
}

int main(int argc, char **argv)
{
    struct tar tar = { .length = 0 };
    struct tar_entry entry = { .type = '0' };
    bool open = false;

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "mode=", 5) == 0)
            entry.mode = (unsigned int)strtoul(argv[i] + 5, NULL, 8);
        else if (strncmp(argv[i], "size=", 5) == 0)
            entry.told_size = strtoull(argv[i] + 5, NULL, 10);
        else if (strcmp(argv[i], "open") == 0)
            open = true;
        else if (strlen(argv[i]) > 1 && argv[i][1] == ':')
            add(&tar, argv[i], &entry);
        else
            return fprintf(stderr, "craft_tar: '%s' is no entry\n", argv[i]), 2;
    }
    if (!open)
        tar_end(&tar);
    if (fwrite(tar.bytes, 1, tar.length, stdout) != tar.length || fflush(stdout) != 0) {
        perror("craft_tar");
        return 1;
    }
    return 0;
}
