/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder as a tar archive, in the POSIX.1-2001 (pax) format: ustar headers,
 * and before those of an entry whose name, link or size does not fit one, an
 * extended header with what did not.
 *
 * The job may have left anything there, and nobody changes it any more: names
 * of any bytes, holes, links that lead nowhere, sockets.  Sockets have no place
 * in an archive and are left out.  A file is sent with the size that it had
 * when it was opened, whatever it yields.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "guest/init/init.h"

#define BLOCK 512u
#define NAME_SIZE 100u
#define SIZE_MAX_OCTAL 077777777777ull /* eleven digits */
#define PATH_SIZE 4096u
#define DEPTH_MAX 64u

struct ustar {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
    char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
static_assert(sizeof(struct ustar) == BLOCK, "POSIX.1-2001, pax");

struct archive {
    int fd;
    char path[PATH_SIZE]; /* of the entry, as the archive has it */
    uint8_t bytes[64u << 10];
};

/* Of what is longer than its field the extended header tells. */
static void put_octal(char *field, size_t size, uint64_t value)
{
    uint64_t most = (1ull << (3 * (size - 1))) - 1;

    snprintf(field, size, "%0*llo", (int)size - 1,
             (unsigned long long)(value <= most ? value : 0));
}

static void put_name(char field[NAME_SIZE], const char *name)
{
    size_t length = strlen(name);

    memcpy(field, name, length < NAME_SIZE ? length : NAME_SIZE);
}

static void put_checksum(struct ustar *header)
{
    const uint8_t *bytes = (const uint8_t *)header;
    unsigned int sum = 0;

    memset(header->checksum, ' ', sizeof(header->checksum));
    for (size_t i = 0; i < BLOCK; i++)
        sum += bytes[i];
    snprintf(header->checksum, sizeof(header->checksum) - 1, "%06o", sum);
}

static int write_padded(const struct archive *archive, const void *bytes, size_t length)
{
    static const uint8_t zeros[BLOCK];

    if (channel_write(archive->fd, bytes, length) < 0)
        return -1;
    return length % BLOCK ? channel_write(archive->fd, zeros, BLOCK - length % BLOCK) : 0;
}

static void fill_header(struct ustar *header, const char *name, char type,
                        const struct stat *status, uint64_t size)
{
    memset(header, 0, sizeof(*header));
    put_name(header->name, name);
    put_octal(header->mode, sizeof(header->mode), status->st_mode & 07777);
    put_octal(header->uid, sizeof(header->uid), status->st_uid);
    put_octal(header->gid, sizeof(header->gid), status->st_gid);
    put_octal(header->size, sizeof(header->size), size);
    put_octal(header->mtime, sizeof(header->mtime),
              status->st_mtime > 0 ? (uint64_t)status->st_mtime : 0);
    header->type = type;
    memcpy(header->magic, "ustar", sizeof(header->magic));
    memcpy(header->version, "00", sizeof(header->version));
    put_octal(header->major, sizeof(header->major), major(status->st_rdev));
    put_octal(header->minor, sizeof(header->minor), minor(status->st_rdev));
}

/* "LENGTH key=value\n", where LENGTH counts itself. */
static size_t put_record(char *at, const char *key, const char *value)
{
    size_t rest = strlen(key) + strlen(value) + 3, length = rest + 1;

    while ((size_t)snprintf(NULL, 0, "%zu", length) + rest != length)
        length++;
    return (size_t)sprintf(at, "%zu %s=%s\n", length, key, value);
}

static int write_extended(const struct archive *archive, const char *link, uint64_t size)
{
    static char records[3 * PATH_SIZE];
    static const struct stat none = { .st_mode = 0644 };
    size_t length = 0;
    struct ustar header;
    char digits[24];

    if (strlen(archive->path) > NAME_SIZE)
        length += put_record(records + length, "path", archive->path);
    if (strlen(link) > NAME_SIZE)
        length += put_record(records + length, "linkpath", link);
    if (size > SIZE_MAX_OCTAL) {
        snprintf(digits, sizeof(digits), "%llu", (unsigned long long)size);
        length += put_record(records + length, "size", digits);
    }
    if (length == 0)
        return 0;
    fill_header(&header, "pax", 'x', &none, length);
    put_checksum(&header);
    if (write_padded(archive, &header, sizeof(header)) < 0)
        return -1;
    return write_padded(archive, records, length);
}

static int write_header(const struct archive *archive, char type, const struct stat *status,
                        uint64_t size, const char *link)
{
    struct ustar header;

    if (write_extended(archive, link, size) < 0)
        return -1;
    fill_header(&header, archive->path, type, status, size);
    put_name(header.link, link);
    put_checksum(&header);
    return write_padded(archive, &header, sizeof(header));
}

/* SIZE bytes, whatever the file yields: what it lacks is sent as zeros. */
static int write_content(struct archive *archive, int fd, uint64_t size)
{
    while (size > 0) {
        size_t want = size < sizeof(archive->bytes) ? (size_t)size : sizeof(archive->bytes);
        ssize_t count = channel_read(fd, archive->bytes, want);

        if (count <= 0)
            memset(archive->bytes, 0, want);
        if (write_padded(archive, archive->bytes, want) < 0)
            return -1;
        size -= want;
    }
    return 0;
}

static int write_file(struct archive *archive, int folder, const char *name,
                      const struct stat *status)
{
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), result;
    uint64_t size = (uint64_t)status->st_size;

    if (fd < 0)
        return -1;
    result = write_header(archive, '0', status, size, "");
    if (result == 0)
        result = write_content(archive, fd, size);
    close(fd);
    return result;
}

static int write_link(const struct archive *archive, int folder, const char *name,
                      const struct stat *status)
{
    static char target[PATH_SIZE];
    ssize_t length = readlinkat(folder, name, target, sizeof(target) - 1);

    if (length < 0)
        return -1;
    target[length] = '\0';
    return write_header(archive, '2', status, 0, target);
}

static int write_folder(struct archive *archive, int fd, size_t length, unsigned int depth);

static int write_entry(struct archive *archive, int folder, const char *name, size_t length,
                       unsigned int depth)
{
    struct stat status;
    int fd;

    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    switch (status.st_mode & S_IFMT) {
    case S_IFREG:
        return write_file(archive, folder, name, &status);
    case S_IFLNK:
        return write_link(archive, folder, name, &status);
    case S_IFDIR:
        break;
    case S_IFIFO:
        return write_header(archive, '6', &status, 0, "");
    default: /* a socket, or a device, which nobody has a use for outside */
        return 0;
    }
    if (write_header(archive, '5', &status, 0, "") < 0)
        return -1;
    if (depth == DEPTH_MAX) {
        errno = ELOOP;
        return -1;
    }
    fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : write_folder(archive, fd, length, depth + 1);
}

/* Takes FD.  LENGTH is that of the folder's own path in the archive. */
static int write_folder(struct archive *archive, int fd, size_t length, unsigned int depth)
{
    DIR *entries = fdopendir(fd);
    struct dirent *entry;
    int result = 0;

    if (!entries) {
        close(fd);
        return -1;
    }
    while (result == 0 && (errno = 0, entry = readdir(entries))) {
        int printed;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        printed = snprintf(archive->path + length, PATH_SIZE - length, "%s%s", length ? "/" : "",
                           entry->d_name);
        if ((size_t)printed >= PATH_SIZE - length) {
            errno = ENAMETOOLONG;
            result = -1;
        } else {
            result = write_entry(archive, fd, entry->d_name, length + (size_t)printed, depth);
        }
    }
    if (result == 0 && errno != 0)
        result = -1;
    archive->path[length] = '\0';
    closedir(entries);
    return result;
}

int tar_write(int fd, const char *path)
{
    static struct archive archive; /* too large for the stack */
    static const uint8_t end[2 * BLOCK];
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0)
        return -1;
    archive.fd = fd;
    archive.path[0] = '\0';
    if (write_folder(&archive, folder, 0, 0) < 0)
        return -1;
    return channel_write(fd, end, sizeof(end));
}
