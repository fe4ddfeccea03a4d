/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/xattrs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cleanup.h"
#include "vmm/images/erofs_format.h"

#define VALUE_MAX UINT16_MAX
#define NAME_MAX_LENGTH 255

static const char opaque_name[] = "overlay.opaque";

static const struct prefix {
    const char *text;
    uint8_t index;
    bool whole; /* the name is the prefix */
} prefixes[] = {
    { "user.", EROFS_XATTR_USER, false },
    { "trusted.", EROFS_XATTR_TRUSTED, false },
    { "security.", EROFS_XATTR_SECURITY, false },
    { "system.posix_acl_access", EROFS_XATTR_ACL_ACCESS, true },
    { "system.posix_acl_default", EROFS_XATTR_ACL_DEFAULT, true },
};

static const struct prefix *find_prefix(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(prefixes); i++) {
        size_t length = strlen(prefixes[i].text);

        if (strncmp(name, prefixes[i].text, length) == 0 &&
            (name[length] == '\0') == prefixes[i].whole)
            return &prefixes[i];
    }
    return NULL;
}

static size_t entry_length(size_t name, size_t value)
{
    return (sizeof(struct erofs_xattr_entry) + name + value + 3) & ~(size_t)3;
}

static bool present(const struct xattrs *xattrs, uint8_t index, const char *name, size_t length)
{
    size_t at = 0;

    while (at < xattrs->length) {
        struct erofs_xattr_entry entry;

        memcpy(&entry, xattrs->bytes + at, sizeof(entry));
        if (entry.name_index == index && entry.name_length == length &&
            memcmp(xattrs->bytes + at + sizeof(entry), name, length) == 0)
            return true;
        at += entry_length(entry.name_length, le16toh(entry.value_size));
    }
    return false;
}

static int append(struct xattrs *xattrs, uint8_t index, const char *name, const void *value,
                  size_t value_length, struct error *error)
{
    struct erofs_xattr_entry entry = { .name_length = (uint8_t)strlen(name),
                                       .name_index = index,
                                       .value_size = htole16((uint16_t)value_length) };
    size_t length = entry_length(entry.name_length, value_length);
    uint8_t *bytes;

    if (length > XATTRS_MAX - xattrs->length)
        return error_set(error, E2BIG, "extended attributes of more than %u KiB; take some off",
                         XATTRS_MAX >> 10);
    bytes = realloc(xattrs->bytes, xattrs->length + length);
    if (!bytes)
        return error_system(error, ENOMEM, "extended attributes");
    xattrs->bytes = bytes;
    bytes += xattrs->length;
    memset(bytes, 0, length);
    memcpy(bytes, &entry, sizeof(entry));
    memcpy(bytes + sizeof(entry), name, entry.name_length);
    if (value_length > 0)
        memcpy(bytes + sizeof(entry) + entry.name_length, value, value_length);
    xattrs->length += length;
    return 0;
}

int xattrs_add(struct xattrs *xattrs, const char *name, const void *value, size_t length,
               struct error *error)
{
    const struct prefix *prefix = find_prefix(name);

    if (!prefix || strncmp(name, "trusted.overlay.", 16) == 0 ||
        strncmp(name, "user.overlay.", 13) == 0)
        return 0;
    if (strlen(name) > NAME_MAX_LENGTH || length > VALUE_MAX)
        return error_set(error, E2BIG, "extended attribute %.60s: of %zu bytes, the longest has "
                         "%u; take it off", name, length, VALUE_MAX);
    name += strlen(prefix->text);
    if (present(xattrs, prefix->index, name, strlen(name)))
        return 0;
    return append(xattrs, prefix->index, name, value, length, error);
}

int xattrs_add_opaque(struct xattrs *xattrs, struct error *error)
{
    if (present(xattrs, EROFS_XATTR_TRUSTED, opaque_name, strlen(opaque_name)))
        return 0;
    return append(xattrs, EROFS_XATTR_TRUSTED, opaque_name, "y", 1, error);
}

/* The length of the entry at BYTES, of which LEFT remain; 0 when it is none. */
static size_t entry_at(const uint8_t *bytes, size_t left, struct erofs_xattr_entry *entry)
{
    size_t length;

    if (left < sizeof(*entry))
        return 0;
    memcpy(entry, bytes, sizeof(*entry));
    length = entry_length(entry->name_length, le16toh(entry->value_size));
    return length <= left ? length : 0;
}

static bool is_opaque(const uint8_t *bytes, const struct erofs_xattr_entry *entry)
{
    return entry->name_index == EROFS_XATTR_TRUSTED && entry->name_length == strlen(opaque_name) &&
           memcmp(bytes + sizeof(*entry), opaque_name, strlen(opaque_name)) == 0;
}

int xattrs_find_opaque(const uint8_t *bytes, size_t length, bool *opaque)
{
    size_t at = 0;

    *opaque = false;
    while (at < length) {
        struct erofs_xattr_entry entry;
        size_t step = entry_at(bytes + at, length - at, &entry);

        if (step == 0)
            return -EBADMSG;
        *opaque = *opaque || is_opaque(bytes + at, &entry);
        at += step;
    }
    return 0;
}

int xattrs_copy(struct xattrs *xattrs, const uint8_t *bytes, size_t length, struct error *error)
{
    size_t at = 0;

    while (at < length) {
        struct erofs_xattr_entry entry;
        size_t step = entry_at(bytes + at, length - at, &entry);
        const uint8_t *name = bytes + at + sizeof(entry);
        char text[NAME_MAX_LENGTH + 1];

        if (step == 0)
            return error_set(error, EBADMSG, "a lower layer's image in the cache is damaged; "
                             "remove it");
        memcpy(text, name, entry.name_length);
        text[entry.name_length] = '\0';
        if (!is_opaque(bytes + at, &entry) &&
            append(xattrs, entry.name_index, text, name + entry.name_length,
                   le16toh(entry.value_size), error) < 0)
            return -error->number;
        at += step;
    }
    return 0;
}

void xattrs_release(struct xattrs *xattrs)
{
    free(xattrs->bytes);
    *xattrs = (struct xattrs){ .bytes = NULL };
}
