/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/host_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "vmm/base/cleanup.h"

#define NAMES_MAX (64u << 10) /* the kernel's own bound on a list of names */
#define VALUE_MAX (64u << 10)

int host_file_changed(struct error *error)
{
    return error_set(error, EAGAIN, "changed while it was read; try again when no program writes there");
}

int host_file_failed(int number, struct error *error)
{
    return error_set(error, number, "cannot be read (%s); %s", strerror(number),
                     number == EACCES || number == EPERM ? "make it readable, or run this as its owner"
                                                         : "check it");
}

void host_file_attributes(struct file_inode *inode, const struct stat *status)
{
    inode->mode = status->st_mode;
    inode->uid = status->st_uid;
    inode->gid = status->st_gid;
    inode->rdev = status->st_rdev;
    inode->size = S_ISDIR(status->st_mode) ? 0 : (uint64_t)status->st_size;
    inode->mtime = status->st_mtim;
    inode->ctime = status->st_ctim;
}

static bool is_host_label(const char *name)
{
    return strcmp(name, "security.selinux") == 0 || strcmp(name, "security.ima") == 0 ||
           strcmp(name, "security.evm") == 0;
}

/* LIST has the names of LENGTH bytes. */
static int add_all(const char *path, bool follow, struct xattrs *xattrs, const char *list,
                   size_t length, struct error *error)
{
    ssize_t (*get)(const char *, const char *, void *, size_t) = follow ? getxattr : lgetxattr;
    cleanup_free uint8_t *value = malloc(VALUE_MAX);

    if (!value)
        return error_system(error, ENOMEM, "extended attributes");
    for (size_t at = 0; at < length; at += strlen(list + at) + 1) {
        ssize_t got;

        if (is_host_label(list + at))
            continue;
        got = get(path, list + at, value, VALUE_MAX);
        if (got < 0)
            return errno == ENODATA ? host_file_changed(error) : host_file_failed(errno, error);
        if (xattrs_add(xattrs, list + at, value, (size_t)got, error) < 0)
            return -error->number;
    }
    return 0;
}

int host_file_xattrs(const char *path, bool follow, struct xattrs *xattrs, struct error *error)
{
    ssize_t (*names)(const char *, char *, size_t) = follow ? listxattr : llistxattr;
    cleanup_free char *list = NULL;
    ssize_t length = names(path, NULL, 0);

    if (length == 0 || (length < 0 && errno == EOPNOTSUPP))
        return 0;
    list = malloc(NAMES_MAX);
    if (!list)
        return error_system(error, ENOMEM, "extended attributes");
    length = names(path, list, NAMES_MAX);
    if (length < 0)
        return host_file_failed(errno, error);
    return add_all(path, follow, xattrs, list, (size_t)length, error);
}
