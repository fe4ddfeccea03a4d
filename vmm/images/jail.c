/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/jail.h"

#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/program.h"

#define PATHS_MAX 40
/* A tree of all that an image may have, and mkfs.erofs' own of it. */
#define MEMORY (4ull << 30)
/* Root reads archives and folders, and unpacks into folders, that are other users'. */
#define ROOTS_OWN (1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER)

struct paths {
    struct sandbox_path list[PATHS_MAX];
    size_t count;
};

static void add(struct paths *paths, const char *path, enum sandbox_access access)
{
    if (path && path[0] && paths->count < PATHS_MAX)
        paths->list[paths->count++] = (struct sandbox_path){ path, access };
}

/* Libraries, and what these look into; the programs that are to be found there. */
static void add_system(struct paths *paths, enum sandbox_access access)
{
    static const char *const folders[] = {
        "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store",
    };
    static const char *const files[] = {
        "/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime", "/dev/urandom",
    };

    for (size_t i = 0; i < ARRAY_LENGTH(folders); i++)
        add(paths, folders[i], access);
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++)
        add(paths, files[i], SANDBOX_READ);
    add(paths, "/dev/null", SANDBOX_WRITE);
}

/* PROGRAMS is $PATH's copy, which is cut up; OWN has room for this program's path. */
static void add_programs(struct paths *paths, char *programs, char own[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", own, PATH_MAX - 1);
    char *folder;

    if (length > 0)
        add(paths, own, SANDBOX_RUN);
    while ((folder = strsep(&programs, ":")))
        if (folder[0] == '/')
            add(paths, folder, SANDBOX_RUN);
}

static int run(const struct jail *jail, const struct paths *paths,
               int (*body)(void *context, struct sandbox *sandbox), void *context)
{
    struct sandbox_config config = SANDBOX_CONFIG_DEFAULT;
    struct error error = ERROR_INIT;
    struct log log = LOG_INIT;
    struct sandbox *sandbox;
    int result;

    config.mode = jail->options->mode;
    config.required = jail->options->required;
    config.memory = jail->memory ? jail->memory : MEMORY;
    config.kind = SANDBOX_ARCHIVES;
    config.no_namespaces = jail->no_namespaces;
    config.capabilities = ROOTS_OWN | jail->capabilities;
    config.file_size = jail->file_size;
    config.paths = paths->list;
    config.path_count = paths->count;
    if (jail->options->verbose)
        log.level = LOG_DEBUG;
    if (sandbox_create(&sandbox, &config, &log, &error) < 0)
        return command_failed(&error);
    fflush(NULL); /* or the child would print it again */
    result = sandbox_fork(sandbox, &error);
    if (result == 0)
        _exit(sandbox_enter(sandbox, &error) < 0 ? command_failed(&error)
                                                 : body(context, sandbox));
    if (result > 0)
        result = sandbox_wait(sandbox, &error);
    sandbox_destroy(sandbox);
    return result < 0 ? command_failed(&error) : result;
}

int jail_run(const struct jail *jail, int (*body)(void *context, struct sandbox *sandbox),
             void *context)
{
    const char *path = getenv("PATH");
    cleanup_free char *programs = strdup(path ? path : "/usr/bin:/bin");
    struct paths paths = { .count = 0 };
    char own[PATH_MAX] = "";

    add(&paths, jail->writes, SANDBOX_WRITE);
    add(&paths, jail->reads, SANDBOX_READ);
    add_system(&paths, jail->programs ? SANDBOX_RUN : SANDBOX_READ);
    if (jail->programs)
        add_programs(&paths, programs, own);
    return run(jail, &paths, body, context);
}
