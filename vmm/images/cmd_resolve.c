/* SPDX-License-Identifier: Apache-2.0 */
/* `mote-image resolve`: from an image's name to disk images and configuration, as JSON. */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/program.h"
#include "vmm/images/command.h"
#include "vmm/images/jail.h"
#include "vmm/images/reference.h"
#include "vmm/images/resolve.h"

struct options {
    const char *cache;
    bool progress;
    uint64_t limit;
    struct jail_options jail;
};

static const struct option_row rows[] = {
    { "Options", "cache", "DIR", "where images are kept (default: $XDG_CACHE_HOME/mote)",
      option_set_text, .offset = offsetof(struct options, cache) },
    { NULL, "limit", "SIZE", "the largest image that may be made (default: 64G)", option_set_size,
      .offset = offsetof(struct options, limit) },
    { NULL, "progress", NULL, "on a terminal, tell what takes longer than half a second",
      option_set_flag, .offset = offsetof(struct options, progress) },
    JAIL_OPTION_ROWS(struct options, jail),
};

static const struct option_table table = {
    .usage = "mote-image resolve [OPTION]... IMAGE",
    .summary = "Makes the disk images of IMAGE that are not in the cache, and prints a JSON object\n"
               "with their paths, bottom layer first, and the image's configuration.\n\n"
               "IMAGE is oci:PATH[:TAG], docker-archive:FILE[:TAG], dir:PATH, disk:FILE or, as an\n"
               "image that has this one file, file:FILE.",
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

struct request {
    const struct options *options;
    struct cache cache;
    const char *spec;
};

static int run(const struct request *request, struct sandbox *sandbox, struct error *error)
{
    struct progress progress;
    struct resolution resolution = { .cache = &request->cache, .progress = &progress,
                                     .limit = request->options->limit, .sandbox = sandbox };
    int result;

    progress_init(&progress, request->options->progress);
    result = resolve(&resolution, request->spec, error);
    progress_end(&progress);
    if (result == 0)
        result = print(resolution.result, error);
    resolution_release(&resolution);
    return result;
}

/* The supervisor has heard what ended that; if not, it tells of this. */
static int end_like_its_child(void)
{
    signal(SIGSYS, SIG_DFL);
    raise(SIGSYS);
    return STATUS_FAILED;
}

static int in_jail(void *context, struct sandbox *sandbox)
{
    struct request *request = context;
    struct error error = ERROR_INIT;

    /* As it is in here: outside it cannot be written. */
    if (cache_open_anew(&request->cache, &error) == 0 && run(request, sandbox, &error) == 0)
        return STATUS_OK;
    return error.message[0] ? command_failed(&error) : end_like_its_child();
}

/*
 * A folder or file is no archive, but wants to be told as it is: in a user namespace all
 * owners but one are nobody, and only root's CAP_SYS_ADMIN sees trusted attributes.
 */
static void make_way_for_files(struct jail *jail)
{
    jail->capabilities = 1u << CAP_SYS_ADMIN;
    if (geteuid() != 0)
        jail->no_namespaces = "in a user namespace a file's owner cannot be told; run this as "
                              "root";
}

/* The cache is opened first, as who owns it could not be told inside. */
static int run_jailed(struct request *request, struct error *error)
{
    const char *what = strchr(request->spec, ':');
    struct reference reference = { .path = NULL };
    struct jail jail = {
        .options = &request->options->jail,
        .programs = true,
        /* What tells where files are comes on top. */
        .file_size = request->options->limit < UINT64_MAX / 2 ? 2 * request->options->limit
                                                              : UINT64_MAX,
    };
    int status;

    if (cache_open(&request->cache, request->options->cache, error) < 0)
        return -error->number;
    if (strncmp(request->spec, "dir:", 4) == 0 || strncmp(request->spec, "file:", 5) == 0)
        make_way_for_files(&jail);
    /* One that is not there is named by who looks for it. */
    if (what && reference_read(&reference, what + 1, &(struct error)ERROR_INIT) < 0)
        reference.path = NULL;
    jail.reads = reference.path;
    jail.writes = request->cache.path;
    status = jail_run(&jail, in_jail, request);
    free(reference.path);
    return status;
}

int image_cmd_resolve(int argc, char **argv)
{
    struct options options = { .limit = 64ull << 30 };
    struct request request = { .options = &options, .cache = { .fd = -1 } };
    struct error error = ERROR_INIT;
    bool helped;
    int status;

    if (parse_with_word(&table, &options, argc, argv, "IMAGE", &request.spec, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    status = run_jailed(&request, &error);
    cache_close(&request.cache);
    return status < 0 ? command_failed(&error) : status;
}
