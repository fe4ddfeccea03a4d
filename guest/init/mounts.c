/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job's root file system: the layers' disks, read-only, one above the
 * other; over them a writable layer in memory or on a scratch disk.  It becomes
 * our own root before anything in it is used, so that a link in a hostile image
 * leads nowhere but into that image.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "guest/init/init.h"

#define LAYERS "/layers"
#define UPPER "/upper"
#define FILES "/files"
#define NEW_ROOT "/root"

struct mount_row {
    const char *source, *target, *type, *options;
    unsigned long flags;
};

#define SAFE (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static const struct mount_row early[] = {
    { "proc", "/proc", "proc", NULL, SAFE },
    { "sys", "/sys", "sysfs", NULL, SAFE },
    { "dev", "/dev", "devtmpfs", "mode=755", MS_NOSUID },
};

static const struct mount_row late[] = {
    { "devpts", "/dev/pts", "devpts", "mode=620,ptmxmode=666,gid=5", MS_NOSUID | MS_NOEXEC },
    { "shm", "/dev/shm", "tmpfs", "mode=1777", MS_NOSUID | MS_NODEV },
    { "mqueue", "/dev/mqueue", "mqueue", NULL, SAFE },
};

static const struct {
    const char *name, *target;
} links[] = {
    { "/dev/fd", "/proc/self/fd" },
    { "/dev/stdin", "/proc/self/fd/0" },
    { "/dev/stdout", "/proc/self/fd/1" },
    { "/dev/stderr", "/proc/self/fd/2" },
    { "/dev/ptmx", "pts/ptmx" },
};

void mounts_early(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(early); i++) {
        const struct mount_row *row = &early[i];

        mkdir(row->target, 0755);
        /* EBUSY: the kernel has mounted /dev itself. */
        if (mount(row->source, row->target, row->type, row->flags, row->options) < 0 &&
            errno != EBUSY)
            init_failed(errno, "mount %s", row->target);
    }
}

int mounts_make_directory(const char *path, mode_t mode)
{
    char copy[4096];

    if (strlen(path) >= sizeof(copy)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(copy, path);
    for (char *at = copy + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return -1;
        *at = '/';
    }
    return mkdir(copy, mode) < 0 && errno != EEXIST ? -1 : 0;
}

/* Where the link PATH, of which the last part begins at LAST, leads to; -1 with errno. */
static int read_link(const char *path, const char *last, char to[PATH_MAX])
{
    char text[PATH_MAX];
    ssize_t length = readlink(path, text, sizeof(text) - 1);
    int whole;

    if (length < 0)
        return -1;
    text[length] = '\0';
    whole = text[0] == '/' ? snprintf(to, PATH_MAX, "%s", text)
                           : snprintf(to, PATH_MAX, "%.*s%s", (int)(last - path), path, text);
    if (whole < PATH_MAX)
        return 0;
    errno = ENAMETOOLONG;
    return -1;
}

/* Links that lead to nothing are gone along, 40 at most: stat(2) finds more of them to be a loop. */
int mounts_make_file(const char *path)
{
    const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
    char other[PATH_MAX];
    struct stat status;
    int fd;

    if (stat(path, &status) == 0) {
        errno = EISDIR;
        return S_ISDIR(status.st_mode) ? -1 : 0;
    }
    if (errno != ENOENT)
        return -1;
    if (lstat(path, &status) == 0)
        return read_link(path, last, other) < 0 ? -1 : mounts_make_file(other);
    snprintf(other, sizeof(other), "%.*s", slash ? (int)(slash - path) : 0, path);
    if (other[0] && mounts_make_directory(other, 0755) < 0)
        return -1;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    return fd < 0 ? -1 : close(fd);
}

int mounts_make_directory_for(const char *path, uid_t uid, gid_t gid)
{
    struct stat status;

    if (lstat(path, &status) == 0)
        return 0;
    if (mounts_make_directory(path, 0755) < 0)
        return -1;
    return chown(path, uid, gid);
}

/* The path of virtio disk INDEX: vda to vdz, then vdaa. */
static void disk_path(uint32_t index, char path[16])
{
    if (index < 26)
        snprintf(path, 16, "/dev/vd%c", 'a' + (int)index);
    else
        snprintf(path, 16, "/dev/vd%c%c", 'a' + (int)(index / 26 - 1), 'a' + (int)(index % 26));
}

static void mount_disk(uint32_t index, const char *target, const char *type, bool read_only)
{
    unsigned long flags = read_only ? MS_RDONLY : MS_NOATIME;
    char disk[16];

    disk_path(index, disk);
    if (mount(disk, target, type, flags, NULL) == 0)
        return;
    /* An ext4 image that was copied while it was in use. */
    if (errno == EROFS && strcmp(type, "ext4") == 0 &&
        mount(disk, target, type, flags, "noload") == 0)
        return;
    if (errno == ENODEV)
        init_failed(errno, "this kernel has no file system %s, which a disk of the job needs; "
                    "use another kernel or another image", type);
    init_failed(errno, "mount %s (%s)", disk, type);
}

static void mount_layers(const struct job *job)
{
    mkdir(LAYERS, 0755);
    for (uint32_t i = 0; i < job->head.layers; i++) {
        char target[32];

        snprintf(target, sizeof(target), LAYERS "/%u", i);
        mkdir(target, 0755);
        mount_disk(i, target, job->layers[i], true);
    }
}

static void mount_upper(const struct job *job)
{
    char options[64];

    mkdir(UPPER, 0755);
    if (job->head.flags & RUN_SCRATCH) {
        mount_disk(job->head.layers + job->head.volumes, UPPER, "ext4", false);
    } else {
        if (job->head.disk_limit > 0)
            snprintf(options, sizeof(options), "mode=755,size=%llu",
                     (unsigned long long)job->head.disk_limit);
        else
            snprintf(options, sizeof(options), "mode=755,size=50%%");
        if (mount("upper", UPPER, "tmpfs", MS_NOATIME, options) < 0)
            init_failed(errno, "the writable layer");
    }
    if (mkdir(UPPER "/files", 0755) < 0 || mkdir(UPPER "/work", 0755) < 0)
        init_failed(errno, "the writable layer");
    umask(0);
    mkdir(UPPER "/output", 01777);
    umask(022);
}

/* Layers by short names, as the options have to fit into a page. */
static void mount_overlay(const struct job *job)
{
    char options[1024] = "lowerdir=";
    size_t used = strlen(options);

    for (uint32_t i = job->head.layers; i-- > 0;)
        used += (size_t)snprintf(options + used, sizeof(options) - used, "%u%s", i, i ? ":" : "");
    snprintf(options + used, sizeof(options) - used,
             ",upperdir=" UPPER "/files,workdir=" UPPER "/work");
    mkdir(NEW_ROOT, 0755);
    if (chdir(LAYERS) < 0 || mount("root", NEW_ROOT, "overlay", MS_NOATIME, options) < 0)
        init_failed(errno, "the job's root (overlay)");
}

static void move_into(const char *path)
{
    char target[64];

    snprintf(target, sizeof(target), NEW_ROOT "%s", path);
    if (mkdir(target, 0755) < 0 && errno != EEXIST)
        init_failed(errno, "the image's %s", path);
    if (mount(path, target, NULL, MS_MOVE, NULL) < 0)
        init_failed(errno, "the image's %s", path);
}

static void enter_root(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(early); i++)
        move_into(early[i].target);
    if (chdir(NEW_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
        chdir("/") < 0)
        init_failed(errno, "the job's root");
}

/* What only the job wants; an image or a kernel that has no place for it can do without. */
static void mount_late(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(late); i++) {
        mkdir(late[i].target, 0755);
        mount(late[i].source, late[i].target, late[i].type, late[i].flags, late[i].options);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(links); i++) {
        unlink(links[i].name);
        if (symlink(links[i].target, links[i].name) < 0)
            continue;
    }
    umask(0);
    mkdir("/tmp", 01777);
    umask(022);
}

/* Of each volume that is one file: what is bound to its target. */
static int files[RUN_VOLUMES_MAX];

/* Where the job has no path to, as its layers are. */
static void mount_files(const struct job *job)
{
    mkdir(FILES, 0755);
    for (uint32_t i = 0; i < job->head.volumes; i++) {
        struct stat status;
        char path[48];

        if (!job->volumes[i].file)
            continue;
        snprintf(path, sizeof(path), FILES "/%u", i);
        mkdir(path, 0755);
        mount_disk(job->head.layers + i, path, job->volumes[i].file_system, true);
        snprintf(path, sizeof(path), FILES "/%u/" RUN_VOLUME_FILE, i);
        files[i] = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (files[i] < 0 || fstat(files[i], &status) < 0)
            init_failed(errno, "volume %s", job->volumes[i].target);
        if (!S_ISREG(status.st_mode))
            init_failed(EPROTO, "volume %s", job->volumes[i].target);
    }
}

static void show_file(const char *target, int file)
{
    char source[32];

    if (mounts_make_file(target) < 0) {
        if (errno == EISDIR)
            init_failed(0, "volume %s: is one file, and a folder is there; name a file's path", target);
        init_failed(errno, "volume %s", target);
    }
    snprintf(source, sizeof(source), "/proc/self/fd/%d", file);
    if (mount(source, target, NULL, MS_BIND, NULL) < 0)
        init_failed(errno, "volume %s", target);
    close(file);
}

static void show_folder(const char *target, uint32_t disk, const char *file_system)
{
    struct stat status;

    if (mounts_make_directory(target, 0755) < 0)
        init_failed(errno, "volume %s", target);
    if (stat(target, &status) == 0 && !S_ISDIR(status.st_mode))
        init_failed(0, "volume %s: is a folder, and a file is there; name a folder's path", target);
    mount_disk(disk, target, file_system, true);
}

/* In the order of the command line: one may lie in another. */
static void mount_volumes(const struct job *job)
{
    for (uint32_t i = 0; i < job->head.volumes; i++) {
        const struct volume *volume = &job->volumes[i];

        if (volume->file)
            show_file(volume->target, files[i]);
        else
            show_folder(volume->target, job->head.layers + i, volume->file_system);
    }
}

/* The writable layer's folder, which no path leads to any more. */
static int output = -1;

/* Only what the job writes there comes back, not what the image has. */
void mounts_output(void)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", output);
    if (mounts_make_directory("/output", 0755) < 0 ||
        mount(path, "/output", NULL, MS_BIND, NULL) < 0)
        init_failed(errno, "/output");
}

void mounts_root(const struct job *job)
{
    mount_layers(job);
    mount_upper(job);
    mount_overlay(job);
    mount_files(job);
    output = open(UPPER "/output", O_PATH | O_DIRECTORY | O_CLOEXEC);
    enter_root();
    mount_late();
    mount_volumes(job);
}
