/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/output.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/images/entry_path.h"
#include "vmm/images/output_folders.h"
#include "vmm/base/whole_io.h"

#define PIECE (256u << 10)
#define ENTRY_COST 4096
#define MARK 1024        /* zeros that end an archive */
#define PADDING_MAX (1u << 20) /* that may follow them */

struct output {
    int input, root;
    const char *path;
    uint64_t left; /* of the limit */
    mode_t mask;   /* permissions that the caller gives to files */
    struct output_report *report;
    struct archive *tar;
    struct error *error;
    struct output_folders folders;
    uint8_t *piece;
    size_t zeros; /* that the input ends with so far */
};

/* One entry. */
struct item {
    struct archive_entry *entry;
    const char *path;
    int folder; /* that it goes into */
    unsigned int depth;
    char name[ENTRY_NAME_SIZE];
};

/* ---- what is not kept ---- */

static int leave_out(struct output *output, const struct item *item, const char *why)
{
    output->report->left_out++;
    if (output->report->end == OUTPUT_WHOLE) {
        output->report->end = OUTPUT_LEFT_OUT;
        error_set(&output->report->reason, EPERM, "output %s: %s", item->path, why);
    }
    return 0;
}

static int end_as(struct output *output, enum output_end end, const char *what)
{
    output->report->end = end;
    error_set(&output->report->reason, EIO, "output: %s", what);
    return 1;
}

static int host_failed(const struct output *output, const struct item *item)
{
    return error_system(output->error, errno, "%s/%s", output->path, item->path);
}

/* A name that this file system cannot have is the guest's fault, all else the host's. */
static int make_failed(struct output *output, const struct item *item)
{
    switch (errno) {
    case EINVAL:
    case ENAMETOOLONG:
    case EILSEQ:
        return leave_out(output, item, "has a name that this folder's file system cannot have");
    case EISDIR:
    case ENOTDIR:
    case ELOOP:
    case EEXIST:
        return leave_out(output, item, "is in the way of what is there already");
    default:
        return host_failed(output, item);
    }
}

/* ---- paths ---- */

/* The folder NAME in FOLDER, which is closed; made if MAKE.  -1 with errno. */
static int step(int folder, const char *name, bool make)
{
    int next, number;

    if (make && mkdirat(folder, name, 0777) < 0 && errno != EEXIST)
        next = -1;
    else
        next = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    number = errno;
    close(folder);
    errno = number;
    return next;
}

/* Opens what PATH's last component is in; that goes to NAME, "" for the root itself. */
static int open_parent(const struct output *output, const char *path, bool make,
                       char name[ENTRY_NAME_SIZE], unsigned int *depth)
{
    int folder = fcntl(output->root, F_DUPFD_CLOEXEC, 0);

    name[0] = '\0';
    *depth = 0;
    while (folder >= 0 && entry_path_next(&path, name))
        if (!entry_path_ends(path)) {
            folder = step(folder, name, make);
            ++*depth;
        }
    return folder;
}

/* Makes room for a new NAME.  What is there goes, but for a folder. */
static int clear(const struct item *item)
{
    return unlinkat(item->folder, item->name, 0) < 0 && errno != ENOENT ? -1 : 0;
}

/* ---- kinds of entries ---- */

static int keep(struct output *output, uint64_t bytes)
{
    output->report->entries++;
    output->report->bytes += bytes;
    return 0;
}

static struct timespec time_of(struct archive_entry *entry)
{
    long nanoseconds = archive_entry_mtime_nsec(entry);

    return (struct timespec){
        .tv_sec = archive_entry_mtime(entry),
        .tv_nsec = nanoseconds >= 0 && nanoseconds < 1000000000 ? nanoseconds : 0,
    };
}

/* A time that the file system cannot have is none worth failing for. */
static void set_time(int fd, const struct timespec *mtime)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, *mtime };

    (void)!futimens(fd, times);
}

/* Content to FD; 1 when the archive breaks off. */
static int copy_content(struct output *output, const struct item *item, int fd, uint64_t size)
{
    for (;;) {
        const void *bytes;
        size_t length;
        la_int64_t offset;
        int state = archive_read_data_block(output->tar, &bytes, &length, &offset);

        if (state == ARCHIVE_EOF)
            return 0;
        if (state == ARCHIVE_RETRY)
            continue;
        if (state < ARCHIVE_WARN)
            return end_as(output, OUTPUT_CUT, "broke off amid a file; what came is kept");
        if (length == 0)
            continue;
        if (offset < 0 || (uint64_t)offset > size || length > size - (uint64_t)offset)
            return end_as(output, OUTPUT_CUT, "is damaged; what came is kept");
        if (whole_pwrite(fd, bytes, length, (uint64_t)offset) < 0)
            return host_failed(output, item);
    }
}

static int put_regular(struct output *output, const struct item *item)
{
    int64_t told = archive_entry_size_is_set(item->entry) ? archive_entry_size(item->entry) : 0;
    uint64_t size = told < 0 ? UINT64_MAX : (uint64_t)told;
    struct timespec mtime = time_of(item->entry);
    cleanup_fd int fd = -1;
    int result;

    if (size > output->left)
        return end_as(output, OUTPUT_LIMIT, "is larger than its limit; what came before is kept");
    output->left -= size;
    if (clear(item) < 0)
        return make_failed(output, item);
    fd = openat(item->folder, item->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                0600);
    if (fd < 0)
        return make_failed(output, item);
    result = copy_content(output, item, fd, size);
    if (result < 0)
        return result;
    if ((result == 0 && ftruncate(fd, (off_t)size) < 0) ||
        fchmod(fd, archive_entry_perm(item->entry) & output->mask) < 0)
        return host_failed(output, item);
    set_time(fd, &mtime);
    /* Some file systems tell only here that they had no room. */
    if (close(steal_fd(&fd)) < 0)
        return host_failed(output, item);
    keep(output, size);
    return result;
}

/* Its mode and time are set when nothing more is written into it. */
static int add_pending(struct output *output, const struct item *item)
{
    const struct timespec mtime = time_of(item->entry);
    int result = output_folders_add(&output->folders, item->path,
                                    archive_entry_perm(item->entry) & output->mask, &mtime,
                                    output->error);

    if (result != -E2BIG)
        return result;
    *output->error = (struct error)ERROR_INIT;
    return end_as(output, OUTPUT_LIMIT, "has too many folders, or too long paths of these; what came "
                  "before is kept");
}

static int put_folder(struct output *output, const struct item *item)
{
    cleanup_fd int fd = -1;

    if (item->name[0] == '\0')
        return 0; /* the user's own folder stays as it is */
    if (mkdirat(item->folder, item->name, 0700) < 0 && errno != EEXIST)
        return make_failed(output, item);
    fd = openat(item->folder, item->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return make_failed(output, item);
    keep(output, 0);
    return add_pending(output, item);
}

static int put_symlink(struct output *output, const struct item *item)
{
    const char *target = archive_entry_symlink(item->entry);

    if (!target || !link_stays_inside(target, item->depth))
        return leave_out(output, item, "is a symbolic link that leads outside");
    if (clear(item) < 0 || symlinkat(target, item->folder, item->name) < 0)
        return make_failed(output, item);
    return keep(output, 0);
}

static int put_hard_link(struct output *output, const struct item *item, const char *target)
{
    char name[ENTRY_NAME_SIZE];
    struct error ignored = ERROR_INIT;
    struct stat status, there;
    cleanup_fd int folder = -1;
    unsigned int depth;

    if (entry_path_check(target, &ignored) == 0)
        folder = open_parent(output, target, false, name, &depth);
    if (folder < 0 || fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISREG(status.st_mode))
        return leave_out(output, item, "is a hard link to what did not come");
    if (fstatat(item->folder, item->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
        there.st_dev == status.st_dev && there.st_ino == status.st_ino)
        return 0;
    if (clear(item) < 0 || linkat(folder, name, item->folder, item->name, 0) < 0)
        return make_failed(output, item);
    return keep(output, 0);
}

static int put_item(struct output *output, const struct item *item)
{
    const char *link = archive_entry_hardlink(item->entry);

    if (item->name[0] == '\0' && (link || archive_entry_filetype(item->entry) != AE_IFDIR))
        return leave_out(output, item, "would replace the folder itself");
    if (link)
        return put_hard_link(output, item, link);
    switch (archive_entry_filetype(item->entry)) {
    case AE_IFREG:
        return put_regular(output, item);
    case AE_IFDIR:
        return put_folder(output, item);
    case AE_IFLNK:
        return put_symlink(output, item);
    default:
        return leave_out(output, item, "is neither a file nor a folder nor a link");
    }
}

/* ---- the archive ---- */

/* What umask(2) leaves of rwxrwxrwx; it can only be read by setting it. */
static mode_t permitted(void)
{
    mode_t mask = umask(077);

    umask(mask);
    return 0777 & ~mask;
}

static la_ssize_t read_input(struct archive *archive, void *context, const void **bytes)
{
    struct output *output = context;
    ssize_t got, at;

    do
        got = read(output->input, output->piece, PIECE);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        archive_set_error(archive, errno, "%s", strerror(errno));
        return ARCHIVE_FATAL;
    }
    for (at = got; at > 0 && output->piece[at - 1] == 0; at--)
        ;
    output->zeros = at > 0 ? (size_t)(got - at) : output->zeros + (size_t)got;
    *bytes = output->piece;
    return got;
}

static int take_entry(struct output *output, struct archive_entry *entry)
{
    struct item item = { .entry = entry, .path = archive_entry_pathname(entry), .folder = -1 };
    struct error why = ERROR_INIT;
    int result;

    if (output->left < ENTRY_COST)
        return end_as(output, OUTPUT_LIMIT, "is larger than its limit; what came before is kept");
    output->left -= ENTRY_COST;
    if (!item.path) {
        item.path = "?";
        return leave_out(output, &item, "has no name");
    }
    if (entry_path_check(item.path, &why) < 0)
        return leave_out(output, &item, "climbs out of the folder, or its name is too long");
    item.folder = open_parent(output, item.path, true, item.name, &item.depth);
    if (item.folder < 0)
        return make_failed(output, &item);
    result = put_item(output, &item);
    close(item.folder);
    return result;
}

/* A whole archive ends with zeros; some more may pad it. */
static void check_end(struct output *output)
{
    size_t padding = 0;
    const void *bytes;
    la_ssize_t got;

    while ((got = read_input(output->tar, output, &bytes)) > 0 && padding < PADDING_MAX)
        padding += (size_t)got;
    if (got != 0 || output->zeros < MARK)
        end_as(output, OUTPUT_CUT, "broke off; what came is kept");
}

static int read_entries(struct output *output)
{
    for (;;) {
        struct archive_entry *entry;
        int state = archive_read_next_header(output->tar, &entry), result;

        if (state == ARCHIVE_RETRY)
            continue;
        if (state == ARCHIVE_EOF) {
            check_end(output);
            return 0;
        }
        if (state < ARCHIVE_WARN) {
            if (archive_errno(output->tar) == ENOMEM)
                end_as(output, OUTPUT_LIMIT, "has an entry that takes more memory than there is for "
                       "one; what came before is kept");
            else
                end_as(output, OUTPUT_CUT, "broke off or is damaged; what came is kept");
            return 0;
        }
        result = take_entry(output, entry);
        if (result != 0)
            return result < 0 ? result : 0;
    }
}

static void finish_folder(void *context, const char *path, mode_t mode, const struct timespec *mtime)
{
    const struct output *output = context;
    char name[ENTRY_NAME_SIZE];
    unsigned int depth;
    int parent = open_parent(output, path, false, name, &depth);
    int fd = parent < 0 ? -1 : step(parent, name, false);

    /* One that is gone was replaced by a later entry. */
    if (fd < 0)
        return;
    (void)!fchmod(fd, mode);
    set_time(fd, mtime);
    close(fd);
}

static int unpack(struct output *output)
{
    int result;

    archive_read_support_format_tar(output->tar);
    if (archive_read_open2(output->tar, output, NULL, read_input, NULL, NULL) != ARCHIVE_OK) {
        end_as(output, OUTPUT_CUT, "is no tar archive");
        return 0;
    }
    result = read_entries(output);
    output_folders_each(&output->folders, finish_folder, output);
    output_folders_release(&output->folders);
    return result;
}

int output_check_empty(const char *path, struct error *error)
{
    DIR *stream = opendir(path);
    const struct dirent *entry;
    int result = 0;

    if (!stream)
        return error_set(error, errno, "%s: %s; give a folder", path, strerror(errno));
    while (result == 0 && (entry = readdir(stream)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = error_set(error, ENOTEMPTY, "%s: holds files already (%s), which the guest's could "
                               "replace or join; give an empty folder, or say --merge", path,
                               entry->d_name);
    closedir(stream);
    return result;
}

int output_unpack(int fd, const char *path, uint64_t limit, struct output_report *report,
                  struct error *error)
{
    cleanup_free uint8_t *piece = malloc(PIECE);
    cleanup_fd int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct output output = { .input = fd, .root = root, .path = path, .left = limit,
                             .mask = permitted(), .report = report, .error = error,
                             .piece = piece };
    int result;

    *report = (struct output_report){ .end = OUTPUT_WHOLE };
    if (root < 0)
        return error_set(error, errno, "%s: %s; give a folder", path, strerror(errno));
    output.tar = archive_read_new();
    if (!output.tar || !piece) {
        if (output.tar)
            archive_read_free(output.tar);
        return error_system(error, ENOMEM, "%s", path);
    }
    result = unpack(&output);
    archive_read_free(output.tar);
    return result;
}
