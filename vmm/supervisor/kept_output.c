/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/kept_output.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/whole_io.h"

#define PAGE 4096u

static const char *const names[] = { [KEPT_STDOUT] = "stdout", [KEPT_STDERR] = "stderr" };
_Static_assert(ARRAY_LENGTH(names) == KEPT_COUNT, "every file has its name");

/* ---- by the job's supervisor ------------------------------------------------ */

int kept_output_open(struct kept_output *kept, const struct store_entry *entry, uint64_t limit, struct error *error)
{
    *kept = (struct kept_output){ .limit = limit, .note_fd = -1 };
    kept->note_fd = openat(entry->folder, KEPT_OUTPUT_FILE, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (kept->note_fd < 0 || whole_pwrite(kept->note_fd, kept->dropped, sizeof(kept->dropped), 0) < 0)
        return error_system(error, errno, "job %s: %s", entry->name, KEPT_OUTPUT_FILE);
    return 0;
}

/* What cannot be noted is not dropped: a reader would take a hole for the job's own zeros. */
static void drop(struct kept_output *kept, enum kept_name name, int fd, uint64_t end)
{
    uint64_t before = kept->dropped[name];

    kept->dropped[name] = (end - kept->limit) / PAGE * PAGE;
    if (whole_pwrite(kept->note_fd, kept->dropped, sizeof(kept->dropped), 0) < 0) {
        kept->dropped[name] = before;
        return;
    }
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)kept->dropped[name]) == 0)
        return;
    /* No holes here. */
    kept->dropped[name] = 0;
    if (ftruncate(fd, 0) < 0 || whole_pwrite(kept->note_fd, kept->dropped, sizeof(kept->dropped), 0) < 0)
        kept->limit = 0; /* nor anything else: the job is not ended for that */
}

void kept_output_wrote(struct kept_output *kept, enum kept_name name, int fd)
{
    struct stat status;

    if (kept->limit == 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return;
    if ((uint64_t)status.st_size - kept->dropped[name] > kept->limit + kept->limit / 4 &&
        (uint64_t)status.st_size > kept->dropped[name])
        drop(kept, name, fd, (uint64_t)status.st_size);
}

void kept_output_close(struct kept_output *kept)
{
    cleanup_close(&kept->note_fd);
    *kept = (struct kept_output)KEPT_OUTPUT_INIT;
}

/* ---- by those who read ------------------------------------------------------- */

int kept_reader_open(struct kept_reader *reader, const struct store_entry *entry, enum kept_name name)
{
    *reader = (struct kept_reader){ .folder = entry->folder, .name = name, .note_fd = -1 };
    reader->fd = openat(entry->folder, names[name], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return reader->fd < 0 ? -errno : 0;
}

static uint64_t dropped_now(struct kept_reader *reader)
{
    uint64_t dropped[KEPT_COUNT] = { 0 };

    /* That of a VM has none, and that of a job not from the first moment on. */
    if (reader->note_fd < 0)
        reader->note_fd = openat(reader->folder, KEPT_OUTPUT_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (reader->note_fd < 0 || whole_pread(reader->note_fd, dropped, sizeof(dropped), 0) < 0)
        return 0;
    return dropped[reader->name];
}

/* Steps over what is gone; a file that is shorter than it was began anew. */
static void step_over(struct kept_reader *reader, uint64_t *missing)
{
    uint64_t dropped = dropped_now(reader);
    struct stat status;

    if (dropped > reader->offset) {
        *missing += dropped - reader->offset;
        reader->offset = dropped;
    } else if (fstat(reader->fd, &status) == 0 && (uint64_t)status.st_size < reader->offset) {
        *missing += 1; /* or more: nobody knows how many */
        reader->offset = 0;
    }
}

ssize_t kept_reader_read(struct kept_reader *reader, void *bytes, size_t size, uint64_t *missing)
{
    ssize_t count;

    *missing = 0;
    do {
        step_over(reader, missing);
        count = pread(reader->fd, bytes, size, (off_t)reader->offset);
        /* What was dropped meanwhile came as zeros. */
    } while ((count < 0 && errno == EINTR) || (count > 0 && dropped_now(reader) > reader->offset));
    if (count < 0)
        return -errno;
    reader->offset += (uint64_t)count;
    return count;
}

void kept_reader_close(struct kept_reader *reader)
{
    cleanup_close(&reader->fd);
    cleanup_close(&reader->note_fd);
}
