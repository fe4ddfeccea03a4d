/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/entry_path.h"

#include <errno.h>
#include <string.h>

#define WHITEOUT_PREFIX ".wh."
#define AUFS_PREFIX ".wh..wh."

/* The component at AT, which may be "." or empty; its length, without the slash. */
static size_t component_length(const char *at)
{
    return strcspn(at, "/");
}

static bool is_nothing(const char *at, size_t length)
{
    return length == 0 || (length == 1 && at[0] == '.');
}

static bool is_up(const char *at, size_t length)
{
    return length == 2 && at[0] == '.' && at[1] == '.';
}

const char *entry_path_below(const char *path)
{
    if (path[0] != '/')
        return path;
    path += strspn(path, "/");
    return path[0] ? path : ".";
}

/* The longest that the component at AT, of LENGTH bytes, may be: the last can be a whiteout. */
static size_t longest(const char *at, size_t length)
{
    return strncmp(at, WHITEOUT_PREFIX, WHITEOUT_PREFIX_LENGTH) == 0 && at[length] == '\0'
               ? FILE_TREE_NAME_MAX + WHITEOUT_PREFIX_LENGTH
               : FILE_TREE_NAME_MAX;
}

int entry_path_check(const char *path, struct error *error)
{
    if (path[0] == '\0')
        return error_set(error, EINVAL, "entry '': has no name; build the archive anew");
    if (path[0] == '/')
        return error_set(error, EINVAL, "entry %s: climbs out of the root, its path is absolute; "
                         "build the archive anew without", path);
    if (strlen(path) >= FILE_TREE_PATH_MAX)
        return error_set(error, ENAMETOOLONG, "entry %.60s...: has a path of %zu bytes, the longest "
                         "has %u; build the archive anew without", path, strlen(path),
                         FILE_TREE_PATH_MAX - 1);
    for (const char *at = path; *at;) {
        size_t length = component_length(at);

        if (is_up(at, length))
            return error_set(error, EINVAL, "entry %s: climbs out of the root by '..'; build the "
                             "archive anew without", path);
        if (length > longest(at, length))
            return error_set(error, ENAMETOOLONG, "entry %.60s...: has a name of %zu bytes, the "
                             "longest has %u; build the archive anew without", path, length,
                             FILE_TREE_NAME_MAX);
        at += length + (at[length] == '/');
    }
    return 0;
}

bool entry_path_ends(const char *at)
{
    while (*at) {
        size_t length = component_length(at);

        if (!is_nothing(at, length))
            return false;
        at += length + (at[length] == '/');
    }
    return true;
}

bool entry_path_next(const char **at, char name[ENTRY_NAME_SIZE])
{
    while (**at) {
        const char *begin = *at;
        size_t length = component_length(begin);

        *at += length + (begin[length] == '/');
        if (is_nothing(begin, length))
            continue;
        memcpy(name, begin, length); /* entry_path_check() saw that it fits */
        name[length] = '\0';
        return true;
    }
    return false;
}

enum whiteout whiteout_kind(const char *name)
{
    const char *hidden = name + WHITEOUT_PREFIX_LENGTH;

    if (strncmp(name, WHITEOUT_PREFIX, WHITEOUT_PREFIX_LENGTH) != 0)
        return WHITEOUT_NONE;
    if (strcmp(name, WHITEOUT_OPAQUE_NAME) == 0)
        return WHITEOUT_OPAQUE;
    if (strncmp(name, AUFS_PREFIX, strlen(AUFS_PREFIX)) == 0)
        return WHITEOUT_IGNORED;
    if (is_nothing(hidden, strlen(hidden)) || is_up(hidden, strlen(hidden)))
        return WHITEOUT_WRONG;
    return WHITEOUT_NAME;
}

bool link_stays_inside(const char *target, unsigned int depth)
{
    bool named = false;

    if (target[0] == '/' || target[0] == '\0')
        return false;
    for (const char *at = target; *at;) {
        size_t length = component_length(at);

        if (is_up(at, length)) {
            if (named || depth == 0)
                return false;
            depth--;
        } else if (!is_nothing(at, length)) {
            named = true;
        }
        at += length + (at[length] == '/');
    }
    return true;
}
