/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_EROFS_FORMAT_H
#define MOTE_IMAGES_EROFS_FORMAT_H

/*
 * The part of erofs' on-disk format that Mote writes, as Linux documents it in
 * Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h: uncompressed
 * files and extended inodes, which every kernel since 5.4 reads.  All numbers
 * are little-endian.
 */

#include <assert.h>
#include <endian.h>
#include <stdint.h>

#define EROFS_MAGIC 0xe0f5e1e2u
#define EROFS_SUPER_OFFSET 1024
#define EROFS_BLOCK_BITS 12
#define EROFS_BLOCK (1u << EROFS_BLOCK_BITS)
#define EROFS_SLOT_BITS 5 /* an inode's number (nid) is its position in units of 32 bytes */
#define EROFS_COMPAT_MTIME 0x2u /* inodes have the time of modification, not of change */

enum erofs_layout {
    EROFS_FLAT_PLAIN = 0,  /* whole blocks at start_block */
    EROFS_FLAT_INLINE = 2, /* the rest that fills no block follows the inode */
};

enum erofs_file_type {
    EROFS_TYPE_REGULAR = 1,
    EROFS_TYPE_FOLDER,
    EROFS_TYPE_CHARACTER,
    EROFS_TYPE_BLOCK,
    EROFS_TYPE_FIFO,
    EROFS_TYPE_SOCKET,
    EROFS_TYPE_SYMLINK,
};

enum erofs_xattr_prefix {
    EROFS_XATTR_USER = 1,
    EROFS_XATTR_ACL_ACCESS = 2,
    EROFS_XATTR_ACL_DEFAULT = 3,
    EROFS_XATTR_TRUSTED = 4,
    EROFS_XATTR_SECURITY = 6,
};

struct erofs_super_block {
    uint32_t magic;
    uint32_t checksum; /* of a feature that Mote leaves off */
    uint32_t feature_compat;
    uint8_t block_bits;
    uint8_t extension_slots;
    uint16_t root_nid;
    uint64_t inodes;
    uint64_t build_time;
    uint32_t build_time_nsec;
    uint32_t blocks;
    uint32_t meta_block; /* nids count from here */
    uint32_t xattr_block;
    uint8_t uuid[16];
    uint8_t volume_name[16];
    uint32_t feature_incompat;
    uint8_t reserved[44];
};
static_assert(sizeof(struct erofs_super_block) == 128, "as erofs has it");

struct erofs_inode {
    uint16_t format; /* bit 0: extended; from bit 1 on: the layout */
    uint16_t xattr_count; /* 0, or 1 + (bytes of xattr entries) / 4 */
    uint16_t mode;
    uint16_t reserved;
    uint64_t size;
    uint32_t start_block; /* or the device's number */
    uint32_t number;      /* what stat(2) tells 32-bit programs */
    uint32_t uid;
    uint32_t gid;
    uint64_t mtime;
    uint32_t mtime_nsec;
    uint32_t links;
    uint8_t reserved2[16];
};
static_assert(sizeof(struct erofs_inode) == 64, "as erofs has it");

/* Stands before the xattr entries of an inode. */
struct erofs_xattr_header {
    uint32_t name_filter;
    uint8_t shared_count;
    uint8_t reserved[7];
};
static_assert(sizeof(struct erofs_xattr_header) == 12, "as erofs has it");

struct erofs_xattr_entry {
    uint8_t name_length;
    uint8_t name_index; /* of the prefix */
    uint16_t value_size;
};
static_assert(sizeof(struct erofs_xattr_entry) == 4, "as erofs has it");

/* Entries of a folder: in each block these, then the names, all in the order of bytes. */
struct erofs_dirent {
    uint64_t nid;
    uint16_t name_offset; /* in the block; of the first, also tells how many there are */
    uint8_t file_type;
    uint8_t reserved;
} __attribute__((packed));
static_assert(sizeof(struct erofs_dirent) == 12, "as erofs has it");

#endif
