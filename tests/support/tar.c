/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/tar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 512

struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8];
    char type, link[100], magic[8], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "POSIX has it so");

static uint8_t *grow(struct tar *tar, size_t length)
{
    uint8_t *bytes = realloc(tar->bytes, tar->length + length);

    if (!bytes)
        abort();
    tar->bytes = bytes;
    memset(bytes + tar->length, 0, length);
    tar->length += length;
    return bytes + tar->length - length;
}

static void add_content(struct tar *tar, const void *content, size_t size)
{
    if (size > 0)
        memcpy(grow(tar, (size + BLOCK - 1) / BLOCK * BLOCK), content, size);
}

/* An octal number that fills FIELD but for its last byte, a NUL. */
static void put_octal(char *field, size_t size, uint64_t value)
{
    for (size_t i = size - 1; i-- > 0; value >>= 3)
        field[i] = (char)('0' + (value & 7));
}

#define PUT(field, value) put_octal(field, sizeof(field), value)

static void add_header(struct tar *tar, const struct tar_entry *entry, uint64_t size)
{
    struct header header = { .type = entry->type };
    unsigned int sum = 0;

    memcpy(header.name, entry->name, strnlen(entry->name, sizeof(header.name)));
    if (entry->link)
        memcpy(header.link, entry->link, strnlen(entry->link, sizeof(header.link)));
    PUT(header.mode, entry->mode ? entry->mode : entry->type == '5' ? 0755u : 0644u);
    PUT(header.uid, entry->uid);
    PUT(header.gid, entry->gid);
    PUT(header.size, size);
    PUT(header.mtime, entry->mtime);
    PUT(header.major, entry->major);
    PUT(header.minor, entry->minor);
    memcpy(header.magic, "ustar\00000", 8);
    memset(header.sum, ' ', sizeof(header.sum)); /* as the sum counts them */
    for (size_t i = 0; i < sizeof(header); i++)
        sum += ((const uint8_t *)&header)[i];
    PUT(header.sum, sum); /* seven digits and a space: any reader takes that */
    memcpy(grow(tar, BLOCK), &header, BLOCK);
}

static void add_long(struct tar *tar, char type, const char *text)
{
    struct tar_entry entry = { .name = "././@LongLink", .type = type };

    if (!text || strlen(text) <= 100)
        return;
    add_header(tar, &entry, strlen(text) + 1);
    add_content(tar, text, strlen(text) + 1);
}

void tar_add(struct tar *tar, const struct tar_entry *entry)
{
    add_long(tar, 'L', entry->name);
    add_long(tar, 'K', entry->link);
    add_header(tar, entry, entry->told_size ? entry->told_size : entry->size);
    add_content(tar, entry->content, entry->size);
}

void tar_add_pax(struct tar *tar, const char *key, const void *value, size_t length)
{
    struct tar_entry entry = { .name = "pax", .type = 'x' };
    size_t rest = strlen(key) + length + 3, digits = 1, at;
    char record[4096];

    /* The record's length counts its own digits. */
    while (snprintf(NULL, 0, "%zu", rest + digits) != (int)digits)
        digits++;
    if (rest + digits > sizeof(record))
        abort();
    at = (size_t)snprintf(record, sizeof(record), "%zu %s=", rest + digits, key);
    memcpy(record + at, value, length);
    record[at + length] = '\n';
    add_header(tar, &entry, at + length + 1);
    add_content(tar, record, at + length + 1);
}

void tar_end(struct tar *tar)
{
    grow(tar, 2 * BLOCK);
}
