/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root: an empty tmpfs, read-only, in which nothing can be made.  pivot_root
 * of "." onto "." puts the old root on top of the new one, from where it is
 * unmounted: no folder for it is needed, and nothing of it can be reached.
 *
 * Who reads archives keeps the file system, but for the folders that it is to
 * write it becomes read-only: to change a file's mode or owner takes no more than
 * being its owner, and Landlock does not see it.  What was opened before is not
 * part of this: such a folder is to be opened anew.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/jail/layers.h"

/* A folder that every host has; what is mounted there is seen by us alone. */
#define PLACE "/proc"
#define READ_ONLY 1u /* of mount_setattr(2) */
#define NO_SETUID 2u
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#define FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static int failed(const char *what, struct error *error)
{
    return error_set(error, errno, "%s: %s; allow mounts in own namespaces here", what,
                     strerror(errno));
}

static int make_empty(struct error *error)
{
    if (mount("none", PLACE, "tmpfs", FLAGS, "size=4k,nr_inodes=1,mode=0555") < 0)
        return failed("tmpfs", error);
    if (chdir(PLACE) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
        return failed("pivot_root", error);
    if (umount2(".", MNT_DETACH) < 0)
        return failed("the old root", error);
    if (chdir("/") < 0 || mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | FLAGS, NULL) < 0)
        return failed("read-only root", error);
    return 0;
}

/* The kernel's; older C libraries do not have it. */
struct attributes {
    uint64_t set, clear, propagation, user_namespace;
};

static int set_attributes(const char *path, unsigned int flags, const struct attributes *attributes)
{
    return (int)syscall(SYS_mount_setattr, AT_FDCWD, path, flags, attributes, sizeof(*attributes));
}

static bool is_written(const struct sandbox_path *path)
{
    struct stat status;

    return path->access == SANDBOX_WRITE && stat(path->path, &status) == 0 &&
           S_ISDIR(status.st_mode);
}

static int make_read_only(const struct sandbox_config *config, struct error *error)
{
    const struct attributes closed = { .set = READ_ONLY | NO_SETUID }, open = { .clear = READ_ONLY };

    for (size_t i = 0; i < config->path_count; i++)
        if (is_written(&config->paths[i]) &&
            mount(config->paths[i].path, config->paths[i].path, NULL, MS_BIND, NULL) < 0)
            return failed(config->paths[i].path, error);
    if (set_attributes("/", AT_RECURSIVE, &closed) < 0)
        return failed("read-only mounts", error);
    for (size_t i = 0; i < config->path_count; i++)
        if (is_written(&config->paths[i]) && set_attributes(config->paths[i].path, 0, &open) < 0)
            return failed(config->paths[i].path, error);
    return 0;
}

int layer_root(struct sandbox *sandbox, struct error *error)
{
    if (!sandbox->active[LAYER_NAMESPACES])
        return error_set(error, EPERM, "needs the namespaces; see there");
    /* Nothing of what follows may reach the host's own mounts. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return failed("private mounts", error);
    return sandbox->config.kind == SANDBOX_MONITOR ? make_empty(error)
                                                   : make_read_only(&sandbox->config, error);
}
