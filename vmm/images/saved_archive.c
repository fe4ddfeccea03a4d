/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/saved_archive.h"

#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/images/document.h"
#include "vmm/images/entry_path.h"
#include "vmm/images/layer_stream.h"
#include "vmm/base/whole_io.h"

#define FILES_MAX 8192u
#define LINKS_MAX 8 /* a layer that is a link to another's */
#define PIECE (256u << 10)

/* ---- the index ---- */

/* "./a//b" as "a/b": the form that names are compared in.  NULL when it climbs or memory is short. */
static char *plain_name(const char *path)
{
    struct error error = ERROR_INIT;
    char name[ENTRY_NAME_SIZE], *plain;
    size_t at = 0;

    if (entry_path_check(path, &error) < 0)
        return NULL;
    plain = calloc(1, strlen(path) + 2);
    while (plain && entry_path_next(&path, name))
        at += (size_t)sprintf(plain + at, "%s%s", at ? "/" : "", name);
    return plain;
}

/* A symbolic link's target, seen from the archive's root; docker wrote "../ID/layer.tar". */
static char *link_target(const char *name, const char *target)
{
    const char *slash = strrchr(name, '/');
    size_t folder = slash ? (size_t)(slash - name) : 0;
    cleanup_free char *whole = NULL;

    while (strncmp(target, "../", 3) == 0) {
        if (folder == 0)
            return NULL;
        while (folder > 0 && name[--folder] != '/')
            ;
        target += 3;
    }
    if (asprintf(&whole, "%.*s%s%s", (int)folder, name, folder ? "/" : "", target) < 0) {
        whole = NULL;
        return NULL;
    }
    return plain_name(whole);
}

static int add_member(struct saved_archive *saved, struct archive *tar, struct archive_entry *entry,
                      struct error *error)
{
    const char *path = archive_entry_pathname(entry), *hard = archive_entry_hardlink(entry);
    mode_t type = archive_entry_filetype(entry);
    struct saved_member *member;

    if (!path || (type != AE_IFREG && type != AE_IFLNK && !hard))
        return 0;
    if (saved->count == FILES_MAX)
        return error_set(error, E2BIG, "%s: holds more than %u files; save fewer images at once",
                         saved->reference.path, FILES_MAX);
    member = &saved->members[saved->count];
    *member = (struct saved_member){ .name = plain_name(path) };
    if (!member->name)
        return error_set(error, EINVAL, "%s: entry %s: climbs out, or its name is too long; save "
                         "the image anew", saved->reference.path, path);
    saved->count++;
    member->at = archive_read_header_position(tar);
    member->size = (uint64_t)archive_entry_size(entry);
    if (hard)
        member->link = plain_name(hard);
    else if (type == AE_IFLNK && archive_entry_symlink(entry))
        member->link = link_target(member->name, archive_entry_symlink(entry));
    return (hard || type == AE_IFLNK) && !member->link
               ? error_set(error, EINVAL, "%s: entry %s: links out of the archive; save the image "
                           "anew", saved->reference.path, path)
               : 0;
}

int saved_damaged(const struct saved_archive *saved, struct archive *tar, struct error *error)
{
    return error_set(error, EIO, "%s: cannot be read as a tar archive (%s); save the image anew",
                     saved->reference.path,
                     archive_error_string(tar) ? archive_error_string(tar) : "it is none");
}

/* A reader that begins at AT. */
static struct archive *open_tar(const struct saved_archive *saved, la_int64_t at)
{
    struct archive *tar = archive_read_new();

    if (!tar)
        return NULL;
    archive_read_support_format_tar(tar);
    if (lseek(saved->fd, at, SEEK_SET) < 0 ||
        archive_read_open_fd(tar, saved->fd, PIECE) != ARCHIVE_OK) {
        archive_read_free(tar);
        return NULL;
    }
    return tar;
}

static int read_members(struct saved_archive *saved, struct archive *tar, struct error *error)
{
    struct archive_entry *entry;
    int state;

    while ((state = archive_read_next_header(tar, &entry)) != ARCHIVE_EOF) {
        if (state < ARCHIVE_WARN && state != ARCHIVE_RETRY)
            return saved_damaged(saved, tar, error);
        if (state != ARCHIVE_RETRY && add_member(saved, tar, entry, error) < 0)
            return -error->number;
    }
    return 0;
}

/* ---- compressed as a whole ---- */

static int cannot_unpack(const struct saved_archive *saved, struct archive *packed,
                         struct error *error)
{
    return error_set(error, EIO, "%s: cannot be unpacked (%s); save the image anew",
                     saved->reference.path, archive_error_string(packed)
                                                ? archive_error_string(packed)
                                                : "it is damaged");
}

/* The next bytes of PACKED go to the spool, behind the *LENGTH that are there; 0 at the end. */
static int spool_block(const struct saved_archive *saved, struct archive *packed, uint64_t *length,
                       struct error *error)
{
    const void *bytes;
    size_t count = 0;
    la_int64_t at;
    int state = archive_read_data_block(packed, &bytes, &count, &at), result;

    if (state == ARCHIVE_EOF)
        return 0;
    if (state < ARCHIVE_WARN && state != ARCHIVE_RETRY)
        return cannot_unpack(saved, packed, error);
    if (count > saved->limit - *length)
        return error_set(error, EFBIG, "%s: unpacks to more than %llu MiB, which --limit or the "
                         "cache's disk allows; raise --limit, or unpack it yourself",
                         saved->reference.path, (unsigned long long)saved->limit >> 20);
    result = whole_pwrite(saved->spool, bytes, count, *length);
    if (result < 0)
        return error_system(error, -result, "the cache");
    *length += count;
    progress_add(saved->progress, count);
    return 1;
}

/* All of PACKED. */
static int spool_all(const struct saved_archive *saved, struct archive *packed, struct error *error)
{
    uint64_t length = 0;
    int result;

    progress_begin(saved->progress, 0, "unpacking %.60s", saved->reference.path);
    do
        result = spool_block(saved, packed, &length, error);
    while (result > 0);
    return result;
}

/* Whether the file is compressed; it is in the spool then.  What is no file of PACKED's kinds the tar reader tells. */
static int spool_packed(const struct saved_archive *saved, struct archive *packed, bool *spooled,
                        struct error *error)
{
    struct archive_entry *entry;
    int state;

    if (lseek(saved->fd, 0, SEEK_SET) < 0 ||
        archive_read_open_fd(packed, saved->fd, PIECE) != ARCHIVE_OK)
        return cannot_unpack(saved, packed, error);
    state = archive_read_next_header(packed, &entry);
    if (archive_filter_count(packed) <= 1)
        return 0;
    *spooled = true;
    if (state == ARCHIVE_EOF)
        return error_set(error, EIO, "%s: unpacks to nothing, or is damaged; save the image anew",
                         saved->reference.path);
    return state < ARCHIVE_WARN ? cannot_unpack(saved, packed, error) : spool_all(saved, packed, error);
}

static int spool(const struct saved_archive *saved, bool *spooled, struct error *error)
{
    struct archive *packed = archive_read_new();
    int result;

    *spooled = false;
    if (!packed)
        return error_system(error, ENOMEM, "%s", saved->reference.path);
    layer_stream_support(packed);
    result = spool_packed(saved, packed, spooled, error);
    archive_read_free(packed);
    return result;
}

void saved_use_spool(struct saved_archive *saved)
{
    cleanup_close(&saved->fd);
    saved->fd = saved->spool;
    saved->spool = -1;
}

static int read_archive(struct saved_archive *saved, struct error *error)
{
    struct archive *tar = open_tar(saved, 0);
    int result;

    saved->members = calloc(FILES_MAX, sizeof(*saved->members));
    if (!tar || !saved->members) {
        if (tar)
            archive_read_free(tar);
        return error_set(error, EINVAL, "%s: is no tar archive as docker save writes it; check the "
                         "path", saved->reference.path);
    }
    result = read_members(saved, tar, error);
    archive_read_free(tar);
    return result;
}

const struct saved_member *saved_find(const struct saved_archive *saved, const char *name,
                                      struct error *error)
{
    const char *wanted = name;

    for (int links = 0; links < LINKS_MAX; links++) {
        const struct saved_member *found = NULL;

        for (size_t i = 0; i < saved->count; i++)
            if (strcmp(saved->members[i].name, wanted) == 0)
                found = &saved->members[i];
        if (!found)
            break;
        if (!found->link)
            return found;
        wanted = found->link;
    }
    error_set(error, ENOENT, "%s: holds no file %s; save the image anew", saved->reference.path,
              name);
    return NULL;
}

/* ---- a file of it ---- */

struct archive *saved_member_open(const struct saved_archive *saved,
                                  const struct saved_member *member, struct error *error)
{
    struct archive *tar = open_tar(saved, member->at);
    struct archive_entry *entry;

    if (tar && archive_read_next_header(tar, &entry) >= ARCHIVE_WARN)
        return tar;
    if (tar)
        archive_read_free(tar);
    error_set(error, EIO, "%s: %s: cannot be read; save the image anew", saved->reference.path,
              member->name);
    return NULL;
}

void *saved_read(const struct saved_archive *saved, const char *name, size_t *length,
                         struct error *error)
{
    const struct saved_member *member = saved_find(saved, name, error);
    cleanup_free void *text = NULL;
    struct archive *tar;
    la_ssize_t got;

    if (!member)
        return NULL;
    if (member->size > DOCUMENT_MAX) {
        error_set(error, EFBIG, "%s: %s: is larger than %u MiB; save the image anew",
                  saved->reference.path, name, DOCUMENT_MAX >> 20);
        return NULL;
    }
    text = malloc(member->size + 1);
    tar = text ? saved_member_open(saved, member, error) : NULL;
    if (!text)
        error_system(error, ENOMEM, "%s", name);
    if (!tar)
        return NULL;
    got = archive_read_data(tar, text, member->size);
    if (got != (la_ssize_t)member->size)
        saved_damaged(saved, tar, error);
    archive_read_free(tar);
    if (got != (la_ssize_t)member->size)
        return NULL;
    *length = member->size;
    return steal_pointer(&text);
}

/* ---- the whole ---- */

static int open_file(struct saved_archive *saved, struct error *error)
{
    struct stat status;

    saved->fd = open(saved->reference.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (saved->fd < 0 || fstat(saved->fd, &status) < 0)
        return error_set(error, errno, "%s: %s; check the path", saved->reference.path,
                         strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, EINVAL, "%s: is no file of docker save; a folder may be "
                         "oci:PATH", saved->reference.path);
    return 0;
}

int saved_read_index(struct saved_archive *saved, bool *spooled, struct error *error)
{
    if (spool(saved, spooled, error) < 0)
        return -error->number;
    if (*spooled)
        saved_use_spool(saved);
    return read_archive(saved, error);
}

int saved_open(struct saved_archive *saved, const char *what, struct error *error)
{
    *saved = (struct saved_archive){ .fd = -1, .spool = -1 };
    if (reference_read(&saved->reference, what, error) < 0)
        return -error->number;
    return open_file(saved, error);
}

void saved_close(struct saved_archive *saved)
{
    for (size_t i = 0; i < saved->count; i++) {
        free(saved->members[i].name);
        free(saved->members[i].link);
    }
    free(saved->members);
    cleanup_close(&saved->fd);
    cleanup_close(&saved->spool);
    free(saved->reference.path);
    *saved = (struct saved_archive){ .fd = -1, .spool = -1 };
}
