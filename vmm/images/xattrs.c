/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/xattrs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"

static const struct kind {
    const char *prefix;
    bool whole; /* the name is the prefix */
} kinds[] = {
    { "user.", false },
    { "trusted.", false },
    { "security.", false },
    { "system.posix_acl_access", true },
    { "system.posix_acl_default", true },
};

/* Whether mkfs.erofs knows the name's kind; it knows all that Linux' file systems keep. */
static bool is_known(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        size_t length = strlen(kinds[i].prefix);

        if (strncmp(name, kinds[i].prefix, length) == 0 &&
            (name[length] == '\0') == kinds[i].whole)
            return true;
    }
    return false;
}

bool xattrs_next(const struct xattrs *xattrs, size_t *at, const char **name, const void **value,
                 size_t *length)
{
    uint16_t told;

    if (*at >= xattrs->length)
        return false;
    memcpy(&told, xattrs->bytes + *at, sizeof(told));
    *name = (const char *)xattrs->bytes + *at + sizeof(told);
    *value = *name + strlen(*name) + 1;
    *length = told;
    *at += sizeof(told) + strlen(*name) + 1 + told;
    return true;
}

static bool present(const struct xattrs *xattrs, const char *name)
{
    const char *other;
    const void *value;
    size_t at = 0, length;

    while (xattrs_next(xattrs, &at, &other, &value, &length))
        if (strcmp(name, other) == 0)
            return true;
    return false;
}

static int append(struct xattrs *xattrs, const char *name, const void *value, size_t length,
                  struct error *error)
{
    uint16_t told = (uint16_t)length;
    size_t name_size = strlen(name) + 1;
    uint8_t *bytes = realloc(xattrs->bytes, xattrs->length + sizeof(told) + name_size + length);

    if (!bytes)
        return error_system(error, ENOMEM, "extended attributes");
    xattrs->bytes = bytes;
    bytes += xattrs->length;
    memcpy(bytes, &told, sizeof(told));
    memcpy(bytes + sizeof(told), name, name_size);
    if (length > 0)
        memcpy(bytes + sizeof(told) + name_size, value, length);
    xattrs->length += sizeof(told) + name_size + length;
    xattrs->names += name_size;
    return 0;
}

int xattrs_add(struct xattrs *xattrs, const char *name, const void *value, size_t length,
               struct error *error)
{
    size_t name_size = strlen(name) + 1;

    if (!is_known(name) || strncmp(name, "trusted.overlay.", 16) == 0 ||
        strncmp(name, "user.overlay.", 13) == 0 || present(xattrs, name))
        return 0;
    if (name_size > 256 || length > XATTR_MAX - name_size)
        return error_set(error, E2BIG, "extended attribute %.60s: of %zu bytes, the longest has "
                         "%u with its name; take it off", name, length, XATTR_MAX);
    if (name_size > XATTR_NAMES_MAX - xattrs->names)
        return error_set(error, E2BIG, "extended attributes with names of more than %u bytes; take "
                         "some off", XATTR_NAMES_MAX);
    return append(xattrs, name, value, length, error);
}

int xattrs_copy(struct xattrs *xattrs, const struct xattrs *from, struct error *error)
{
    const char *name;
    const void *value;
    size_t at = 0, length;

    while (xattrs_next(from, &at, &name, &value, &length))
        if (xattrs_add(xattrs, name, value, length, error) < 0)
            return -error->number;
    return 0;
}

void xattrs_release(struct xattrs *xattrs)
{
    free(xattrs->bytes);
    *xattrs = (struct xattrs){ .bytes = NULL };
}
