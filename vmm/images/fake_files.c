/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/fake_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

static FILE *create(int folder, const char *name)
{
    cleanup_fd int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                               0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

    if (file)
        steal_fd(&fd);
    return file;
}

static int failed(struct error *error)
{
    return error_system(error, errno, "the cache");
}

int fake_files_open(struct fake_files *files, int folder, struct error *error)
{
    *files = (struct fake_files){ .state = create(folder, FAKE_STATE) };
    if (files->state)
        files->xattrs = create(folder, FAKE_XATTRS);
    return files->xattrs ? 0 : failed(error);
}

int fake_files_close(struct fake_files *files, int result, struct error *error)
{
    if (files->state && fclose(files->state) != 0 && result == 0)
        result = failed(error);
    if (files->xattrs && fclose(files->xattrs) != 0 && result == 0)
        result = failed(error);
    return result;
}

#define STATE_LINE 128 /* the longest, some more */

uint64_t fake_files_size(const char *path, const struct file_inode *inode)
{
    uint64_t size = STATE_LINE, each = strlen(path) + 1;
    const char *name;
    const void *value;
    size_t at = 0, length;

    while (xattrs_next(&inode->xattrs, &at, &name, &value, &length))
        size += each;
    return size + inode->xattrs.length + (inode->opaque ? each + sizeof(XATTR_OPAQUE) + 4 : 0);
}

static int tell_xattr(const struct fake_files *files, const char *path, const char *name,
                      const void *value, size_t length, struct error *error)
{
    uint16_t told = (uint16_t)length;

    if (fprintf(files->xattrs, "%s%c%s%c", path, 0, name, 0) < 0 ||
        fwrite(&told, sizeof(told), 1, files->xattrs) != 1 ||
        fwrite(value, 1, length, files->xattrs) != length)
        return failed(error);
    return 0;
}

int fake_files_tell(const struct fake_files *files, const char *path, const struct stat *status,
                    const struct file_inode *inode, struct error *error)
{
    bool device = S_ISCHR(inode->mode) || S_ISBLK(inode->mode);
    const char *name;
    const void *value;
    size_t at = 0, length;

    if (fprintf(files->state, "dev=%llx,ino=%llu,mode=%o,uid=%u,gid=%u,nlink=%u,rdev=%llu\n",
                (unsigned long long)status->st_dev, (unsigned long long)status->st_ino,
                (unsigned int)inode->mode, inode->uid, inode->gid, inode->users,
                device ? (unsigned long long)inode->rdev : 0) < 0)
        return failed(error);
    while (xattrs_next(&inode->xattrs, &at, &name, &value, &length))
        if (tell_xattr(files, path, name, value, length, error) < 0)
            return -error->number;
    return inode->opaque ? tell_xattr(files, path, XATTR_OPAQUE, "y", 1, error) : 0;
}
