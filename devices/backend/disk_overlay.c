/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/disk_overlay.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR 512u
#define PAGE 4096u /* of the file's parts, and what of the map is written at once */
#define VERSION 1u
/* The map is then 128 MiB, of which the sandbox's limit on data leaves room for; it takes memory
 * as it is used. */
#define SIZE_MAX_BYTES (512ull << 30)

static const char magic[8] = { 'M', 'O', 'T', 'E', 'O', 'V', 'L', '\n' };

/* Little-endian, as this host is; zeroes follow up to PAGE. */
struct header {
    char magic[8];
    uint32_t version;
    uint32_t sector;
    uint64_t size;            /* of the image, bytes */
    int64_t changed_seconds;  /* the image's modification */
    uint32_t changed_nanoseconds;
    uint32_t zero;
};
_Static_assert(sizeof(struct header) == 40, "without padding");

struct disk_overlay {
    int fd;
    bool temporary;
    uint64_t size;
    size_t map_size; /* bytes, whole pages */
    uint64_t *map;   /* words of it are accessed atomically */

    pthread_mutex_t lock; /* guards what follows, and the setting of bits */
    uint8_t *dirty;       /* a byte for each page of the map that the file lacks */
    bool any_dirty;
    uint64_t written;     /* how often pages of the map were written */
    uint64_t synced;      /* of these, those before a sync that has ended */
};

/* ---- the map -------------------------------------------------------------- */

/* Sectors from FIRST to before END that are alike, a word of the map at a time. */
static uint64_t alike(const struct disk_overlay *overlay, uint64_t first, uint64_t end, bool here)
{
    uint64_t at = first;

    while (at < end) {
        uint64_t word = __atomic_load_n(&overlay->map[at / 64], __ATOMIC_ACQUIRE);
        unsigned int bit = at % 64;

        word = (here ? ~word : word) >> bit; /* what differs */
        if (word != 0) {
            at += (unsigned int)__builtin_ctzll(word);
            break;
        }
        at += 64 - bit;
    }
    return (at < end ? at : end) - first;
}

uint64_t disk_overlay_run(const struct disk_overlay *overlay, uint64_t offset, uint64_t length,
                          bool *here)
{
    uint64_t first = offset / SECTOR, end = (offset + length + SECTOR - 1) / SECTOR, bytes;

    *here = __atomic_load_n(&overlay->map[first / 64], __ATOMIC_ACQUIRE) >> (first % 64) & 1;
    bytes = (first + alike(overlay, first, end, *here)) * SECTOR - offset;
    return bytes < length ? bytes : length;
}

void disk_overlay_wrote(struct disk_overlay *overlay, uint64_t offset, uint64_t length)
{
    uint64_t at = offset / SECTOR, end = (offset + length) / SECTOR;

    pthread_mutex_lock(&overlay->lock);
    while (at < end) {
        uint64_t next = (at / 64 + 1) * 64 < end ? (at / 64 + 1) * 64 : end;
        uint64_t bits = next - at == 64 ? UINT64_MAX : ((1ull << (next - at)) - 1) << (at % 64);

        if ((__atomic_fetch_or(&overlay->map[at / 64], bits, __ATOMIC_RELEASE) & bits) != bits)
            overlay->dirty[at / 8 / PAGE] = overlay->any_dirty = true;
        at = next;
    }
    pthread_mutex_unlock(&overlay->lock);
}

/* ---- the file ------------------------------------------------------------- */

/* preadv(2) or pwritev(2): the calls that the disk's threads have anyway. */
typedef ssize_t move_bytes(int fd, const struct iovec *pieces, int count, off_t offset);

/* All of BYTES, or a negative errno. */
static int move_all(move_bytes *move, int fd, void *bytes, size_t length, uint64_t offset)
{
    struct iovec piece = { bytes, length };

    while (piece.iov_len > 0) {
        ssize_t done = move(fd, &piece, 1, (off_t)offset);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -EIO;
        piece.iov_base = (uint8_t *)piece.iov_base + done;
        piece.iov_len -= (size_t)done;
        offset += (uint64_t)done;
    }
    return 0;
}

static int write_at(int fd, const void *bytes, size_t length, uint64_t offset)
{
    return move_all(pwritev, fd, (void *)(uintptr_t)bytes, length, offset);
}

static int read_at(int fd, void *bytes, size_t length, uint64_t offset)
{
    return move_all(preadv, fd, bytes, length, offset);
}

uint64_t disk_overlay_mark(struct disk_overlay *overlay)
{
    uint64_t mark;

    pthread_mutex_lock(&overlay->lock);
    mark = overlay->written;
    pthread_mutex_unlock(&overlay->lock);
    return mark;
}

/* With the lock held, no bit is set meanwhile: each that is written has a stable sector. */
static int write_map(struct disk_overlay *overlay)
{
    int result = 0;

    if (fdatasync(overlay->fd) < 0)
        return -errno;
    for (size_t page = 0; result == 0 && page < overlay->map_size / PAGE; page++) {
        if (!overlay->dirty[page])
            continue;
        result = write_at(overlay->fd, (uint8_t *)overlay->map + page * PAGE, PAGE,
                          PAGE + (uint64_t)page * PAGE);
        overlay->dirty[page] = result < 0;
    }
    overlay->any_dirty = result < 0;
    overlay->written++;
    return result;
}

int disk_overlay_settle(struct disk_overlay *overlay, uint64_t mark, bool again)
{
    int result = 0;

    pthread_mutex_lock(&overlay->lock);
    if (mark > overlay->synced)
        overlay->synced = mark;
    /* What became dirty since is another flush's business, or this one had no end. */
    if (!again && overlay->any_dirty)
        result = write_map(overlay);
    if (!again && result == 0 && overlay->synced < overlay->written)
        result = 1;
    pthread_mutex_unlock(&overlay->lock);
    return result;
}

int disk_overlay_fd(const struct disk_overlay *overlay)
{
    return overlay->fd;
}

uint64_t disk_overlay_start(const struct disk_overlay *overlay)
{
    return PAGE + overlay->map_size;
}

bool disk_overlay_is_temporary(const struct disk_overlay *overlay)
{
    return overlay->temporary;
}

/* ---- made and loaded ------------------------------------------------------ */

/* Of the map of a disk of SIZE bytes: whole pages. */
static size_t map_size_of(uint64_t size)
{
    return (size_t)((size / SECTOR + 8 * PAGE - 1) / (8 * PAGE) * PAGE);
}

uint64_t disk_overlay_length(uint64_t size)
{
    return PAGE + map_size_of(size) + size;
}

static struct header header_of(uint64_t size, const struct stat *image)
{
    struct header header = {
        .version = VERSION,
        .sector = SECTOR,
        .size = size,
    };

    memcpy(header.magic, magic, sizeof(magic));
    /* A block device has the time of its node, which tells nothing. */
    if (!S_ISBLK(image->st_mode)) {
        header.changed_seconds = image->st_mtim.tv_sec;
        header.changed_nanoseconds = (uint32_t)image->st_mtim.tv_nsec;
    }
    return header;
}

static int check_size(const char *path, const char *name, uint64_t size, struct error *error)
{
    if (size <= SIZE_MAX_BYTES)
        return 0;
    return error_set(error, EFBIG, "overlay %s: %s has more than 512 GiB; copy it instead", path, name);
}

int disk_overlay_make(const struct disk_overlay_file *file, const struct disk_overlay_image *image,
                      struct error *error)
{
    struct header header = header_of(image->size, &image->status);
    int result = check_size(file->path, image->path, image->size, error);

    if (result < 0)
        return result;
    if (ftruncate(file->fd, (off_t)disk_overlay_length(image->size)) < 0)
        return error_system(error, errno, "overlay %s", file->path);
    if (file->is_temporary)
        return 0;
    result = write_at(file->fd, &header, sizeof(header), 0);
    if (result == 0 && fdatasync(file->fd) < 0)
        result = -errno;
    return result < 0 ? error_system(error, -result, "overlay %s", file->path) : 0;
}

static int check_header(const struct header *found, const struct header *expected,
                        const char *path, const char *name, struct error *error)
{
    if (memcmp(found->magic, magic, sizeof(magic)) != 0)
        return error_set(error, EINVAL, "overlay %s: is none; name a file that mote made, or one "
                         "that does not exist yet", path);
    if (found->version != VERSION)
        return error_set(error, ENOTSUP, "overlay %s: has version %u, and this mote knows %u; use "
                         "the mote that made it", path, found->version, VERSION);
    if (found->sector != SECTOR || found->zero != 0)
        return error_set(error, EINVAL, "overlay %s: its header is damaged; make a new one", path);
    if (found->size != expected->size)
        return error_set(error, EINVAL, "overlay %s: belongs to a disk of %llu bytes, and %s has "
                         "%llu; give the one that it was made for", path,
                         (unsigned long long)found->size, name,
                         (unsigned long long)expected->size);
    if (found->changed_seconds != expected->changed_seconds ||
        found->changed_nanoseconds != expected->changed_nanoseconds)
        return error_set(error, ESTALE, "overlay %s: %s was changed after it was made for that; "
                         "make a new one", path, name);
    return 0;
}

/* Zero pages of the file's map take no memory here either. */
static int read_map(struct disk_overlay *overlay)
{
    _Alignas(uint64_t) uint8_t page[PAGE];
    uint64_t sectors = overlay->size / SECTOR;

    for (size_t at = 0; at < overlay->map_size; at += PAGE) {
        int result = read_at(overlay->fd, page, PAGE, PAGE + at);

        if (result < 0)
            return result;
        if (page[0] != 0 || memcmp(page, page + 1, PAGE - 1) != 0)
            memcpy((uint8_t *)overlay->map + at, page, PAGE);
    }
    /* Nothing lies beyond the disk's end. */
    if (alike(overlay, sectors, 8 * overlay->map_size, false) != 8 * overlay->map_size - sectors)
        return -EINVAL;
    return 0;
}

/* A file that was there before, or was just made. */
static int read_file(struct disk_overlay *overlay, const struct disk_overlay_file *file,
                     const struct disk_overlay_image *image, struct error *error)
{
    struct header expected = header_of(image->size, &image->status), found;
    struct stat status;
    int result;

    if (fstat(overlay->fd, &status) < 0)
        return error_system(error, errno, "overlay %s", file->path);
    if (!S_ISREG(status.st_mode))
        return error_set(error, EINVAL, "overlay %s: is no plain file; name one", file->path);
    result = read_at(overlay->fd, &found, sizeof(found), 0);
    if (result < 0)
        memset(&found, 0, sizeof(found)); /* too short to be one */
    result = check_header(&found, &expected, file->path, image->path, error);
    if (result < 0)
        return result;
    if ((uint64_t)status.st_size != disk_overlay_length(overlay->size))
        return error_set(error, EINVAL, "overlay %s: was cut or extended; make a new one", file->path);
    result = read_map(overlay);
    if (result == -EINVAL)
        return error_set(error, EINVAL, "overlay %s: its map is damaged; make a new one", file->path);
    return result < 0 ? error_system(error, -result, "overlay %s", file->path) : 0;
}

static int allocate(struct disk_overlay *overlay, struct error *error)
{
    void *map;

    overlay->map_size = map_size_of(overlay->size);
    map = mmap(NULL, overlay->map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
               0);
    overlay->map = map == MAP_FAILED ? NULL : map;
    overlay->dirty = calloc(overlay->map_size / PAGE, 1);
    return overlay->map && overlay->dirty ? 0 : error_system(error, ENOMEM, "overlay");
}

int disk_overlay_load(struct disk_overlay **overlay, const struct disk_overlay_file *file,
                      const struct disk_overlay_image *image, struct error *error)
{
    struct disk_overlay *loaded;
    int result = check_size(file->path, image->path, image->size, error);

    if (result < 0)
        return result;
    loaded = calloc(1, sizeof(*loaded));
    if (!loaded)
        return error_system(error, ENOMEM, "overlay %s", file->path);
    loaded->fd = file->fd;
    loaded->temporary = file->is_temporary;
    loaded->size = image->size;
    pthread_mutex_init(&loaded->lock, NULL);
    result = allocate(loaded, error);
    if (result == 0 && !loaded->temporary)
        result = read_file(loaded, file, image, error);
    if (result < 0) {
        loaded->fd = -1; /* the caller's still */
        disk_overlay_close(loaded, false);
    } else {
        *overlay = loaded;
    }
    return result;
}

int disk_overlay_close(struct disk_overlay *overlay, bool stable)
{
    int result = 0;

    if (!overlay)
        return 0;
    if (overlay->any_dirty && !overlay->temporary)
        result = stable ? write_map(overlay) : -EIO;
    if (overlay->fd >= 0)
        close(overlay->fd);
    if (overlay->map)
        munmap(overlay->map, overlay->map_size);
    free(overlay->dirty);
    pthread_mutex_destroy(&overlay->lock);
    free(overlay);
    return result;
}
