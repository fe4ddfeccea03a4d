/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_OWN_DIRECTORY_H
#define MOTE_OWN_DIRECTORY_H

/* A directory that each test of a program finds new and leaves behind for removal. */

#include <stdio.h>

#include "tests/support/test_tool.h"

static struct test_directory directory;

static inline int set_up(void **state)
{
    (void)state;
    test_directory_create(&directory);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    test_directory_remove(&directory);
    return 0;
}

/* Of NAME in it; stays for the next three calls. */
static inline const char *path_of(const char *name)
{
    static char paths[4][400];
    static unsigned int next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", directory.path, name);
    return path;
}

#endif
