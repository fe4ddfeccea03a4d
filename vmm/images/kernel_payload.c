/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/kernel_payload.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/whole_io.h"
#include "vmm/machine/arch_facts.h"

struct payload {
    int fd; /* at the next byte */
    uint64_t left;
    uint8_t bytes[1 << 16];
};

static int damaged(const char *what, struct error *error)
{
    return error_set(error, EINVAL, "the packed kernel cannot be unpacked (%s)", what);
}

/* By lseek(2) and read(2), as what unpacks may call no more than it needs.  Returns how much there is, or -1. */
static ssize_t read_at(int fd, uint64_t offset, void *bytes, size_t length)
{
    return lseek(fd, (off_t)offset, SEEK_SET) < 0 ? -1 : read(fd, bytes, length);
}

/* Where the payload lies: what the header says is checked against the file's size. */
static int find_payload(struct payload *payload, struct error *error)
{
    uint8_t start[ARCH_KERNEL_START], magic[2];
    struct packed_kernel kernel;
    struct stat status;
    const char *wrong;
    ssize_t length;

    if (fstat(payload->fd, &status) < 0 || !S_ISREG(status.st_mode))
        return damaged("it is no file", error);
    length = read_at(payload->fd, 0, start, sizeof(start));
    wrong = arch_kernel_payload(start, length < 0 ? 0 : (size_t)length, &kernel);
    if (wrong)
        return damaged(wrong, error);
    if (kernel.offset > (uint64_t)status.st_size || kernel.length > (uint64_t)status.st_size - kernel.offset ||
        kernel.length < 8)
        return damaged("its payload lies outside of the file", error);
    if (read_at(payload->fd, kernel.offset, magic, sizeof(magic)) != (ssize_t)sizeof(magic) ||
        lseek(payload->fd, (off_t)kernel.offset, SEEK_SET) < 0)
        return damaged("it ends too early", error);
    payload->left = kernel.length;
    if (kernel.size_follows && (magic[0] != 0x1f || magic[1] != 0x8b))
        payload->left -= 4;
    return 0;
}

static la_ssize_t read_payload(struct archive *archive, void *context, const void **bytes)
{
    struct payload *payload = context;
    size_t length = payload->left < sizeof(payload->bytes) ? payload->left
                                                           : sizeof(payload->bytes);
    ssize_t count;

    do
        count = length ? read(payload->fd, payload->bytes, length) : 0;
    while (count < 0 && errno == EINTR);
    if (count < 0 || (count == 0 && length > 0)) {
        archive_set_error(archive, count < 0 ? errno : EIO, "it ends too early");
        return ARCHIVE_FATAL;
    }
    payload->left -= (uint64_t)count;
    *bytes = payload->bytes;
    return count;
}

/* From the library's code alone: it would start a program for what it cannot unpack itself. */
static bool open_payload(struct archive *archive, struct payload *payload)
{
    struct archive_entry *entry;

    if (archive_read_support_filter_gzip(archive) != ARCHIVE_OK ||
        archive_read_support_filter_bzip2(archive) != ARCHIVE_OK ||
        archive_read_support_filter_lzma(archive) != ARCHIVE_OK ||
        archive_read_support_filter_xz(archive) != ARCHIVE_OK ||
        archive_read_support_filter_lz4(archive) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(archive) != ARCHIVE_OK)
        return false;
    return archive_read_support_format_raw(archive) == ARCHIVE_OK &&
           archive_read_open2(archive, payload, NULL, read_payload, NULL, NULL) == ARCHIVE_OK &&
           archive_read_next_header(archive, &entry) == ARCHIVE_OK;
}

static int copy(struct archive *archive, int to, struct error *error)
{
    uint64_t total = 0;
    const void *bytes;
    la_int64_t offset;
    size_t length;
    int state, result;

    while ((state = archive_read_data_block(archive, &bytes, &length, &offset)) == ARCHIVE_OK) {
        if (length == 0)
            continue;
        if (total == 0 && !arch_kernel_is_unpacked(bytes, length))
            return damaged("no kernel is inside", error);
        if (length > KERNEL_PAYLOAD_MAX - total)
            return damaged("it unpacks to more than 512 MiB", error);
        result = whole_write(to, bytes, length);
        if (result < 0)
            return error_system(error, -result, "the unpacked kernel");
        total += length;
    }
    if (state != ARCHIVE_EOF)
        return damaged(archive_error_string(archive) ? archive_error_string(archive) : "damaged",
                       error);
    return total > 0 ? 0 : damaged("it is empty", error);
}

int kernel_payload_unpack(int from, int to, struct error *error)
{
    struct payload payload = { .fd = from };
    struct archive *archive;
    int result = find_payload(&payload, error);

    if (result < 0)
        return result;
    archive = archive_read_new();
    if (!archive)
        return error_system(error, ENOMEM, "the packed kernel");
    if (open_payload(archive, &payload))
        result = copy(archive, to, error);
    else
        result = damaged(archive_error_string(archive) ? archive_error_string(archive)
                                                       : "its compression is not known", error);
    archive_read_free(archive);
    return result;
}
