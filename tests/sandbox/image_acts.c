/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mote-image in an archive's hands: the whole of it, linked so that it tries an
 * act (acts.h) where it is about to read one.
 *
 *   MOTE_ACTS_WHERE=unpack|make|output   in the process that unpacks a layer, in
 *                                        the one that makes its image, or in that
 *                                        which unpacks a guest's output
 *   MOTE_ACTS_NUMBERS="N…"               which, one after the other
 *   MOTE_ACTS_FILE=PATH                  a file of the user's to attack, instead of a system's
 *   MOTE_ACTS_CACHED=PATH                another image of the cache, to be changed or replaced by the process that
 *                                        unpacks
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sandbox/acts.h"
#include "vmm/images/erofs_image.h"
#include "vmm/images/layer.h"
#include "vmm/images/output.h"

int __real_layer_unpack(struct layer *layer, struct archive *tar, struct staging *staging, struct error *error);
int __wrap_layer_unpack(struct layer *layer, struct archive *tar, struct staging *staging, struct error *error);
int __real_erofs_image_check(struct error *error);
int __wrap_erofs_image_check(struct error *error);
int __real_output_unpack(int fd, const char *path, uint64_t limit, struct output_report *report, struct error *error);
int __wrap_output_unpack(int fd, const char *path, uint64_t limit, struct output_report *report, struct error *error);

static void act_in(const char *here)
{
    const char *where = getenv("MOTE_ACTS_WHERE"), *numbers = getenv("MOTE_ACTS_NUMBERS");
    char *rest;

    if (!where || !numbers || strcmp(where, here) != 0)
        return;
    for (unsigned long number = strtoul(numbers, &rest, 10); rest != numbers;
         number = strtoul(numbers, &rest, 10)) {
        acts_try(number, -1);
        numbers = rest;
    }
}

static void tell(long result)
{
    if (result < 0)
        dprintf(STDERR_FILENO, "act: denied: %s\n", strerror(errno));
    else
        dprintf(STDERR_FILENO, "act: allowed\n");
}

/* By the calls that unpacking has to make anyway. */
static void attack_cached(int own)
{
    const char *cached = getenv("MOTE_ACTS_CACHED");

    if (!cached)
        return;
    tell(openat(AT_FDCWD, cached, O_WRONLY | O_CLOEXEC));
    tell(openat(AT_FDCWD, cached, O_RDONLY | O_TRUNC | O_CLOEXEC));
    tell(unlinkat(AT_FDCWD, cached, 0));
    tell(renameat(AT_FDCWD, cached, own, "stolen"));
    tell(linkat(AT_FDCWD, cached, own, "linked", 0));
    tell(openat(own, "bait", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 ? 0
         : renameat(own, "bait", AT_FDCWD, cached));
}

int __wrap_layer_unpack(struct layer *layer, struct archive *tar, struct staging *staging, struct error *error)
{
    act_in("unpack");
    attack_cached(staging->fd);
    return __real_layer_unpack(layer, tar, staging, error);
}

int __wrap_erofs_image_check(struct error *error)
{
    act_in("make");
    return __real_erofs_image_check(error);
}

int __wrap_output_unpack(int fd, const char *path, uint64_t limit, struct output_report *report, struct error *error)
{
    act_in("output");
    return __real_output_unpack(fd, path, limit, report, error);
}
