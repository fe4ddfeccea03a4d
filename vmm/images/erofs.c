/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/erofs.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define META_RUN (64u << 10)
/* Right behind the super block: the root's nid has but 16 bits. */
#define ROOT_POSITION (EROFS_SUPER_OFFSET + sizeof(struct erofs_super_block))

/* Block numbers have 32 bits. */
#define IMAGE_MAX ((uint64_t)UINT32_MAX << EROFS_BLOCK_BITS)

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) & ~(unit - 1);
}

static uint64_t least(uint64_t left, uint64_t right)
{
    return left < right ? left : right;
}

int erofs_begin(struct erofs *image, int fd, const struct erofs_limits *limits,
                struct error *error)
{
    *image = (struct erofs){ .fd = fd, .limits = *limits, .end = EROFS_BLOCK };
    if (image->limits.image > IMAGE_MAX)
        image->limits.image = IMAGE_MAX;
    image->meta = malloc(META_RUN + XATTRS_MAX + EROFS_BLOCK);
    if (!image->meta)
        return error_system(error, ENOMEM, "the image");
    return 0;
}

void erofs_end(struct erofs *image)
{
    free(image->meta);
    image->meta = NULL;
}

int erofs_write(struct erofs *image, uint64_t offset, const void *bytes, size_t length,
                struct error *error)
{
    const uint8_t *from = bytes;

    if (length > image->limits.written - image->written)
        return error_set(error, ENOSPC, "more than %llu MiB, which is nine tenths of the free "
                         "space; free some space there",
                         (unsigned long long)image->limits.written >> 20);
    image->written += length;
    while (length > 0) {
        ssize_t put = pwrite(image->fd, from, length, (off_t)offset);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return error_system(error, put < 0 ? errno : EIO, "the image in the cache");
        from += put;
        offset += (uint64_t)put;
        length -= (size_t)put;
    }
    return 0;
}

/* ---- space ---- */

/* LENGTH bytes, whole blocks, at the image's end. */
static int take(struct erofs *image, uint64_t length, uint64_t *at, struct error *error)
{
    if (image->end > image->limits.image || length > image->limits.image - image->end)
        return error_set(error, EFBIG, "larger than the limit of %llu MiB; raise --limit",
                         (unsigned long long)image->limits.image >> 20);
    *at = image->end;
    image->end += length;
    return 0;
}

static int flush_meta(struct erofs *image, struct error *error)
{
    if (image->meta_end == image->meta_start)
        return 0;
    return erofs_write(image, image->meta_start, image->meta, image->meta_end - image->meta_start,
                       error);
}

static int take_meta(struct erofs *image, uint64_t least_length, struct error *error)
{
    uint64_t length = round_up(least_length, EROFS_BLOCK), at = 0;

    if (length < META_RUN)
        length = META_RUN;
    if (flush_meta(image, error) < 0 || take(image, length, &at, error) < 0)
        return -error->number;
    image->meta_start = image->meta_at = at;
    image->meta_end = at + length;
    memset(image->meta, 0, length);
    return 0;
}

/* Where LENGTH bytes of metadata go; they stay within a block if they can. */
static int place_meta(struct erofs *image, uint64_t length, uint64_t *position,
                      struct error *error)
{
    uint64_t at = round_up(image->meta_at, 1u << EROFS_SLOT_BITS);

    if (at % EROFS_BLOCK + length > EROFS_BLOCK)
        at = round_up(at, EROFS_BLOCK);
    if (at > image->meta_end || length > image->meta_end - at) {
        if (take_meta(image, length, error) < 0)
            return -error->number;
        at = image->meta_at;
    }
    image->meta_at = at + length;
    *position = at;
    return 0;
}

/* ---- inodes ---- */

static size_t xattr_length(const struct file_inode *inode)
{
    return inode->xattrs.length > 0 ? sizeof(struct erofs_xattr_header) + inode->xattrs.length : 0;
}

static uint64_t core_length(const struct file_inode *inode)
{
    return sizeof(struct erofs_inode) + xattr_length(inode);
}

static bool has_content(const struct file_inode *inode)
{
    return S_ISREG(inode->mode) || S_ISLNK(inode->mode) || S_ISDIR(inode->mode);
}

/* Takes the content's blocks: WHOLE bytes of it. */
static int place_blocks(struct erofs *image, struct file_inode *inode, uint64_t whole,
                        struct error *error)
{
    uint64_t at = 0;

    if (whole > 0 && take(image, whole, &at, error) < 0)
        return -error->number;
    inode->block = (uint32_t)(at >> EROFS_BLOCK_BITS);
    return 0;
}

static void placed(struct erofs *image, struct file_inode *inode)
{
    inode->number = ++image->inodes;
    inode->placed = true;
    erofs_resume(image);
}

/* The size is checked before it is rounded: it comes from an archive. */
static int check_size(const struct erofs *image, const struct file_inode *inode,
                      struct error *error)
{
    if (inode->size > image->limits.image)
        return error_set(error, EFBIG, "larger than the limit of %llu MiB; raise --limit",
                         (unsigned long long)image->limits.image >> 20);
    return 0;
}

int erofs_place(struct erofs *image, struct file_inode *inode, struct error *error)
{
    uint64_t core = core_length(inode), size, rest;

    if (!has_content(inode))
        inode->size = 0;
    if (check_size(image, inode, error) < 0)
        return -error->number;
    size = inode->size;
    rest = size % EROFS_BLOCK;
    if (rest > 0 && core + rest <= EROFS_BLOCK) {
        inode->layout = EROFS_FLAT_INLINE;
        core += rest;
    } else {
        inode->layout = EROFS_FLAT_PLAIN;
        size = round_up(size, EROFS_BLOCK);
    }
    if (place_blocks(image, inode, size & ~(uint64_t)(EROFS_BLOCK - 1), error) < 0 ||
        place_meta(image, core, &inode->position, error) < 0)
        return -error->number;
    placed(image, inode);
    return 0;
}

int erofs_place_at_root(struct erofs *image, struct file_inode *inode, struct error *error)
{
    if (core_length(inode) > EROFS_BLOCK - ROOT_POSITION)
        return error_set(error, E2BIG, "/: extended attributes of %zu bytes, the root can have "
                         "2.8 KiB; take some off", inode->xattrs.length);
    inode->layout = EROFS_FLAT_PLAIN;
    inode->position = ROOT_POSITION;
    if (check_size(image, inode, error) < 0 ||
        place_blocks(image, inode, round_up(inode->size, EROFS_BLOCK), error) < 0)
        return -error->number;
    placed(image, inode);
    return 0;
}

void erofs_resume(struct erofs *image)
{
    memset(image->rest, 0, sizeof(image->rest));
}

int erofs_data(struct erofs *image, const struct file_inode *inode, uint64_t offset,
               const void *bytes, size_t length, struct error *error)
{
    uint64_t whole = inode->size & ~(uint64_t)(EROFS_BLOCK - 1);
    size_t blocks;

    assert(inode->placed);
    if (offset > inode->size || length > inode->size - offset)
        return error_set(error, EINVAL, "has more content than its size of %llu bytes tells; "
                         "make the archive anew", (unsigned long long)inode->size);
    blocks = offset < whole ? least(length, whole - offset) : 0;
    if (blocks > 0 && erofs_write(image, ((uint64_t)inode->block << EROFS_BLOCK_BITS) + offset,
                                  bytes, blocks, error) < 0)
        return -error->number;
    if (length > blocks)
        memcpy(image->rest + (offset + blocks - whole), (const uint8_t *)bytes + blocks,
               length - blocks);
    return 0;
}

/* The kernel's encoding of a device's number in 32 bits. */
static uint32_t encode_device(dev_t device)
{
    unsigned int low = minor(device);

    return (low & 0xff) | major(device) << 8 | (low & ~0xffu) << 12;
}

static struct erofs_inode encode(const struct file_inode *inode, uint32_t links)
{
    bool device = S_ISCHR(inode->mode) || S_ISBLK(inode->mode);
    size_t xattrs = inode->xattrs.length;

    return (struct erofs_inode){
        .format = htole16((uint16_t)(1 | inode->layout << 1)),
        .xattr_count = htole16(xattrs > 0 ? (uint16_t)(1 + xattrs / 4) : 0),
        .mode = htole16((uint16_t)inode->mode),
        .size = htole64(inode->size),
        .start_block = htole32(device ? encode_device(inode->rdev) : inode->block),
        .number = htole32(inode->number),
        .uid = htole32(inode->uid),
        .gid = htole32(inode->gid),
        .mtime = htole64((uint64_t)inode->mtime.tv_sec),
        .mtime_nsec = htole32((uint32_t)inode->mtime.tv_nsec),
        .links = htole32(links),
    };
}

/* Metadata at POSITION: in the run that is gathered, or in the image already. */
static int put_meta(struct erofs *image, uint64_t position, const void *bytes, size_t length,
                    struct error *error)
{
    if (position < image->meta_start || position >= image->meta_end)
        return erofs_write(image, position, bytes, length, error);
    memcpy(image->meta + (position - image->meta_start), bytes, length);
    return 0;
}

int erofs_put(struct erofs *image, const struct file_inode *inode, uint32_t links,
              struct error *error)
{
    struct erofs_inode core = encode(inode, links);
    struct erofs_xattr_header header = { .shared_count = 0 };
    uint64_t at = inode->position, rest = inode->size % EROFS_BLOCK;

    if (put_meta(image, at, &core, sizeof(core), error) < 0)
        return -error->number;
    at += sizeof(core);
    if (inode->xattrs.length > 0) {
        if (put_meta(image, at, &header, sizeof(header), error) < 0 ||
            put_meta(image, at + sizeof(header), inode->xattrs.bytes, inode->xattrs.length,
                     error) < 0)
            return -error->number;
        at += xattr_length(inode);
    }
    if (rest == 0)
        return 0;
    if (inode->layout == EROFS_FLAT_INLINE)
        return put_meta(image, at, image->rest, rest, error);
    return erofs_write(image,
                       ((uint64_t)inode->block << EROFS_BLOCK_BITS) + (inode->size - rest),
                       image->rest, rest, error);
}

int erofs_put_links(struct erofs *image, const struct file_inode *inode, struct error *error)
{
    uint32_t links = htole32(inode->users);

    return put_meta(image, inode->position + offsetof(struct erofs_inode, links), &links,
                    sizeof(links), error);
}

int erofs_add_small(struct erofs *image, struct file_inode *inode, const char *content,
                    struct error *error)
{
    if (erofs_place(image, inode, error) < 0)
        return -error->number;
    if (content && erofs_data(image, inode, 0, content, inode->size, error) < 0)
        return -error->number;
    return erofs_put(image, inode, 1, error);
}

/* ---- the end ---- */

int erofs_finish(struct erofs *image, struct file_node *root, const uint8_t uuid[16],
                 struct error *error)
{
    struct erofs_super_block super = {
        .magic = htole32(EROFS_MAGIC),
        .feature_compat = htole32(EROFS_COMPAT_MTIME),
        .block_bits = EROFS_BLOCK_BITS,
        .root_nid = htole16(ROOT_POSITION >> EROFS_SLOT_BITS),
    };

    if (erofs_write_folders(image, root, error) < 0 || flush_meta(image, error) < 0)
        return -error->number;
    super.inodes = htole64(image->inodes);
    super.blocks = htole32((uint32_t)(image->end >> EROFS_BLOCK_BITS));
    memcpy(super.uuid, uuid, sizeof(super.uuid));
    if (erofs_write(image, EROFS_SUPER_OFFSET, &super, sizeof(super), error) < 0)
        return -error->number;
    /* The last blocks can be holes. */
    if (ftruncate(image->fd, (off_t)image->end) < 0)
        return error_system(error, errno, "the image in the cache");
    return 0;
}
