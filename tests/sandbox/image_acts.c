/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mote-image in an archive's hands: the whole of it, linked so that it tries an
 * act (acts.h) where it is about to read one.
 *
 *   MOTE_ACTS_WHERE=documents|verify|unpack|make|build|output|kernel
 *                                        in the process that reads an image's
 *                                        documents, that checks a layer, that
 *                                        unpacks it, that has its image made, that
 *                                        makes it (under fakeroot), or that
 *                                        unpacks a guest's output, or a kernel
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
#include "vmm/images/image_config.h"
#include "vmm/images/kernel_payload.h"
#include "vmm/images/layer.h"
#include "vmm/images/layer_stream.h"
#include "vmm/images/output.h"

int __real_layer_unpack(struct layer *layer, struct archive *tar, struct staging *staging, struct error *error);
int __wrap_layer_unpack(struct layer *layer, struct archive *tar, struct staging *staging, struct error *error);
int __real_erofs_image_check(struct error *error);
int __wrap_erofs_image_check(struct error *error);
int __real_output_unpack(int fd, const char *path, uint64_t limit, struct output_report *report, struct error *error);
int __wrap_output_unpack(int fd, const char *path, uint64_t limit, struct output_report *report, struct error *error);

int __real_image_config_read(struct image_config *config, const char *name, const void *text, size_t length,
                             struct error *error);
int __wrap_image_config_read(struct image_config *config, const char *name, const void *text, size_t length,
                             struct error *error);
int __real_layer_stream_open(struct layer_stream *stream, const struct byte_source *source, uint64_t limit,
                             struct progress *progress, struct error *error);
int __wrap_layer_stream_open(struct layer_stream *stream, const struct byte_source *source, uint64_t limit,
                             struct progress *progress, struct error *error);
int __wrap_erofs_image_build(const char *const *command, struct error *error);
int __real_erofs_image_build(const char *const *command, struct error *error);
int __real_kernel_payload_unpack(int from, int to, struct error *error);
int __wrap_kernel_payload_unpack(int from, int to, struct error *error);

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

int __wrap_image_config_read(struct image_config *config, const char *name, const void *text, size_t length,
                             struct error *error)
{
    act_in("documents");
    return __real_image_config_read(config, name, text, length, error);
}

int __wrap_layer_stream_open(struct layer_stream *stream, const struct byte_source *source, uint64_t limit,
                             struct progress *progress, struct error *error)
{
    act_in("verify");
    return __real_layer_stream_open(stream, source, limit, progress, error);
}

/* What it says is told on in the words of a failure, of which there is a line. */
int __wrap_erofs_image_build(const char *const *command, struct error *error)
{
    const char *where = getenv("MOTE_ACTS_WHERE");

    act_in("build");
    return where && strcmp(where, "build") == 0 ? -1 : __real_erofs_image_build(command, error);
}

int __wrap_kernel_payload_unpack(int from, int to, struct error *error)
{
    act_in("kernel");
    return __real_kernel_payload_unpack(from, to, error);
}
