/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/kernel_choice.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/helper_program.h"

#define DEBIAN_KERNELS "/boot/vmlinuz-"
#define DEBIAN_MODULES "/lib/modules/"

static bool is_readable(const char *path)
{
    return access(path, R_OK) == 0;
}

/* The modules of the kernel at PATH, if there are any. */
static int find_modules(const char *path, char **modules)
{
    cleanup_free char *folder = NULL, *list = NULL;
    const char *slash = strrchr(path, '/');
    int printed;

    if (strncmp(path, DEBIAN_KERNELS, strlen(DEBIAN_KERNELS)) == 0)
        printed = asprintf(&folder, DEBIAN_MODULES "%s", path + strlen(DEBIAN_KERNELS));
    else
        printed = asprintf(&folder, "%.*smodules", slash ? (int)(slash + 1 - path) : 0, path);
    if (printed < 0 || asprintf(&list, "%s/modules.dep", folder) < 0)
        return -ENOMEM;
    if (is_readable(list))
        *modules = steal_pointer(&folder);
    return 0;
}

/* The match of PATTERN that is newest by its time, or by its version. */
static char *newest(const char *pattern, bool by_version)
{
    struct timespec best_time = { 0 };
    const char *best = NULL;
    char *path = NULL;
    glob_t found;

    if (glob(pattern, 0, NULL, &found) != 0)
        return NULL;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *candidate = found.gl_pathv[i];
        struct stat status;
        bool newer;

        if (!is_readable(candidate) || stat(candidate, &status) < 0)
            continue;
        newer = by_version ? best && strverscmp(candidate, best) > 0
                           : status.st_mtim.tv_sec > best_time.tv_sec;
        if (best && !newer)
            continue;
        best = candidate;
        best_time = status.st_mtim;
    }
    if (best)
        path = strdup(best);
    globfree(&found);
    return path;
}

/* The cache folder of scripts/lib.sh. */
char *kernel_cache_base(void)
{
    const char *own = getenv("MOTE_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    char *folder = NULL;
    int printed;

    if (own && *own)
        return strdup(own);
    if (xdg && *xdg)
        printed = asprintf(&folder, "%s/mote", xdg);
    else
        printed = asprintf(&folder, "%s/.cache/mote", home && *home ? home : "/var/tmp");
    return printed < 0 ? NULL : folder;
}

static char *built_kernel(void)
{
    cleanup_free char *cache = kernel_cache_base(), *pattern = NULL;

    /* Not the packed one beside it: that would unpack itself first. */
    if (!cache || asprintf(&pattern, "%s/guest-kernels/*/vmlinux", cache) < 0)
        return NULL;
    return newest(pattern, false);
}

static char *installed_kernel(void)
{
    char *path;

    return helper_program_at("../share/mote", "guest-kernel", &path) ? path : NULL;
}

int kernel_choose(const char *named, struct kernel_choice *choice, struct error *error)
{
    const char *variable = getenv("MOTE_KERNEL");
    bool own = false;

    *choice = (struct kernel_choice){ .path = NULL };
    if (!named && variable && *variable)
        named = variable;
    if (named) {
        choice->path = strdup(named);
    } else if ((choice->path = installed_kernel()) || (choice->path = built_kernel())) {
        own = true;
    } else {
        choice->path = newest(DEBIAN_KERNELS "*", true);
    }
    if (!choice->path)
        return error_set(error, ENOENT, "--kernel: none is given, and none was found; build Mote's "
                         "own by scripts/guest-kernel or name one by --kernel FILE");
    if (!own && find_modules(choice->path, &choice->modules) < 0)
        return error_system(error, ENOMEM, "kernel %s", choice->path);
    return 0;
}

void kernel_choice_release(struct kernel_choice *choice)
{
    free(choice->path);
    free(choice->modules);
    *choice = (struct kernel_choice){ .path = NULL };
}
