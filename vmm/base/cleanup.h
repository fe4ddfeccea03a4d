/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CLEANUP_H
#define MOTE_CLEANUP_H

/*
 * Scope-bound ownership.  A local marked `cleanup_fd` or `cleanup_free` is
 * released when its scope ends, on every way out; steal_fd() and
 * steal_pointer() hand the ownership on and disarm the clean-up.
 */

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_free_pointer(void *pointer)
{
    free(*(void **)pointer);
}

#define cleanup_fd __attribute__((cleanup(cleanup_close)))
#define cleanup_free __attribute__((cleanup(cleanup_free_pointer)))

static inline int steal_fd(int *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}

static inline void *steal_pointer_(void **pointer)
{
    void *stolen = *pointer;
    *pointer = NULL;
    return stolen;
}

#define steal_pointer(pointer) ((__typeof__(*(pointer)))steal_pointer_((void **)(pointer)))

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#endif
