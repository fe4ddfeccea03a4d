/* SPDX-License-Identifier: Apache-2.0 */
/* `mote-image resolve`: from an image's name to disk images and configuration, as JSON. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "vmm/cleanup.h"
#include "vmm/command.h"
#include "vmm/images/command.h"
#include "vmm/images/resolve.h"

struct options {
    const char *cache;
    bool progress;
    uint64_t limit;
};

static const struct option_row rows[] = {
    { "Options", "cache", "DIR", "where images are kept (default: $XDG_CACHE_HOME/mote)",
      option_set_text, .offset = offsetof(struct options, cache) },
    { NULL, "limit", "SIZE", "the largest image that may be made (default: 64G)", option_set_size,
      .offset = offsetof(struct options, limit) },
    { NULL, "progress", NULL, "on a terminal, tell what takes longer than half a second",
      option_set_flag, .offset = offsetof(struct options, progress) },
};

static const struct option_table table = {
    .usage = "mote-image resolve [OPTION]... IMAGE",
    .summary = "Makes the disk images of IMAGE that are not in the cache, and prints a JSON object\n"
               "with their paths, bottom layer first, and the image's configuration.\n\n"
               "IMAGE is oci:PATH[:TAG], docker-archive:FILE[:TAG], dir:PATH or disk:FILE.",
    .examples = "  mote-image resolve dir:rootfs\n"
                "  mote-image resolve oci:images/python:3.12\n",
    .rows = rows,
    .count = ARRAY_LENGTH(rows),
};

static int print(struct json_object *result, struct error *error)
{
    if (puts(json_object_to_json_string_ext(result, JSON_C_TO_STRING_PLAIN |
                                                        JSON_C_TO_STRING_NOSLASHESCAPE)) < 0 ||
        fflush(stdout) != 0)
        return error_system(error, errno, "standard output");
    return 0;
}

static int run(const struct options *options, const char *spec, struct error *error)
{
    struct cache cache;
    struct progress progress;
    struct resolution resolution = { .cache = &cache, .progress = &progress,
                                     .limit = options->limit };
    int result = cache_open(&cache, options->cache, error);

    progress_init(&progress, options->progress);
    if (result == 0)
        result = resolve(&resolution, spec, error);
    progress_end(&progress);
    if (result == 0)
        result = print(resolution.result, error);
    resolution_release(&resolution);
    cache_close(&cache);
    return result;
}

int image_cmd_resolve(int argc, char **argv)
{
    struct options options = { .limit = 64ull << 30 };
    struct error error = ERROR_INIT;
    const char *spec;
    bool helped;

    if (parse_with_word(&table, &options, argc, argv, "IMAGE", &spec, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    if (run(&options, spec, &error) < 0)
        return command_failed(&error);
    return STATUS_OK;
}
