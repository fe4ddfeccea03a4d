/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/kernel_payload.h"

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/whole_io.h"

#define SECTOR 512u
#define SETUP_SECTORS 0x1f1
#define BOOT_FLAG 0x1fe
#define MAGIC 0x202
#define VERSION 0x206
#define PAYLOAD_OFFSET 0x248
#define PAYLOAD_LENGTH 0x24c
#define HEADER_END 0x250
#define VERSION_WITH_PAYLOAD 0x0208

struct payload {
    int fd; /* at the next byte */
    uint64_t left;
    uint8_t bytes[1 << 16];
};

static int damaged(const char *what, struct error *error)
{
    return error_set(error, EINVAL, "the bzImage cannot be unpacked (%s)", what);
}

static uint32_t word(const uint8_t *bytes, unsigned int size)
{
    uint32_t value = 0;

    for (unsigned int i = 0; i < size; i++)
        value |= (uint32_t)bytes[i] << 8 * i;
    return value;
}

/* By lseek(2) and read(2), as what unpacks may call no more than it needs. */
static bool read_at(int fd, uint64_t offset, void *bytes, size_t length)
{
    return lseek(fd, (off_t)offset, SEEK_SET) >= 0 && read(fd, bytes, length) == (ssize_t)length;
}

/* Where the payload lies, by the header's word, which may lie. */
static int find_payload(struct payload *payload, struct error *error)
{
    uint8_t header[HEADER_END], magic[2];
    uint64_t sectors, offset, length;
    struct stat status;

    if (fstat(payload->fd, &status) < 0 || !S_ISREG(status.st_mode))
        return damaged("it is no file", error);
    if (!read_at(payload->fd, 0, header, sizeof(header)) ||
        memcmp(header + MAGIC, "HdrS", 4) != 0 || word(header + BOOT_FLAG, 2) != 0xaa55)
        return damaged("it has no boot header", error);
    if (word(header + VERSION, 2) < VERSION_WITH_PAYLOAD)
        return damaged("its boot protocol is too old", error);
    sectors = header[SETUP_SECTORS] ? header[SETUP_SECTORS] : 4;
    offset = (sectors + 1) * SECTOR + word(header + PAYLOAD_OFFSET, 4);
    length = word(header + PAYLOAD_LENGTH, 4);
    if (offset > (uint64_t)status.st_size || length > (uint64_t)status.st_size - offset ||
        length < 8)
        return damaged("its payload lies outside of the file", error);
    if (!read_at(payload->fd, offset, magic, sizeof(magic)) ||
        lseek(payload->fd, (off_t)offset, SEEK_SET) < 0)
        return damaged("it ends too early", error);
    if (magic[0] != 0x1f || magic[1] != 0x8b)
        length -= 4;
    payload->left = length;
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
        if (total == 0 && (length < SELFMAG || memcmp(bytes, ELFMAG, SELFMAG) != 0))
            return damaged("no ELF file is inside", error);
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
        return error_system(error, ENOMEM, "the bzImage");
    if (open_payload(archive, &payload))
        result = copy(archive, to, error);
    else
        result = damaged(archive_error_string(archive) ? archive_error_string(archive)
                                                       : "its compression is not known", error);
    archive_read_free(archive);
    return result;
}
