/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/modules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"

static const char *const always[] = {
    "virtio_mmio", "virtio_blk", "vmw_vsock_virtio_transport", "overlay",
    /* Checksums of file systems, which find them by name and not by symbol. */
    "crc32c_generic",
};

/* Whether the module at PATH, "kernel/fs/ext4/ext4.ko.xz", is NAME.  '-' and '_' are one. */
static bool is_module(const char *path, size_t length, const char *name)
{
    const char *base = memrchr(path, '/', length);
    size_t at = 0;

    base = base ? base + 1 : path;
    for (; name[at]; at++) {
        char c = base + at < path + length ? base[at] : '\0';

        if ((c == '-' ? '_' : c) != name[at])
            return false;
    }
    return (size_t)(path + length - base) > at + 2 && strncmp(base + at, ".ko", 3) == 0;
}

static bool is_listed(const struct text_list *list, const char *path)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], path) == 0)
            return true;
    return false;
}

static int add(struct text_list *list, const char *folder, const char *name, size_t length,
               struct error *error)
{
    cleanup_free char *path = NULL;

    if (asprintf(&path, "%s/%.*s", folder, (int)length, name) < 0)
        return error_system(error, ENOMEM, "modules");
    return is_listed(list, path) ? 0 : text_list_add(list, path, error);
}

/*
 * A line is "MODULE: NEEDED…", each of NEEDED after the ones that need it: so
 * from the line's end to its beginning.
 */
static int add_line(struct text_list *list, const char *folder, char *line, struct error *error)
{
    char *colon = strchr(line, ':'), *word;
    int result = 0;

    *colon = '\0';
    while (result == 0 && (word = strrchr(colon + 1, ' '))) {
        if (word[1])
            result = add(list, folder, word + 1, strlen(word + 1), error);
        *word = '\0';
    }
    return result == 0 ? add(list, folder, line, strlen(line), error) : result;
}

static int add_wanted(struct text_list *list, const char *folder, FILE *file, const char *name,
                      struct error *error)
{
    cleanup_free char *line = NULL;
    size_t size = 0;

    rewind(file);
    while (getline(&line, &size, file) > 0) {
        const char *colon = strchr(line, ':');

        line[strcspn(line, "\n")] = '\0';
        if (colon && is_module(line, (size_t)(colon - line), name))
            return add_line(list, folder, line, error);
    }
    return ferror(file) ? error_system(error, errno, "modules %s", folder) : 0;
}

int modules_resolve(const char *folder, const struct text_list *wanted, struct text_list *modules,
                    struct error *error)
{
    cleanup_free char *path = NULL;
    int result = 0;
    FILE *file;

    if (asprintf(&path, "%s/modules.dep", folder) < 0)
        return error_system(error, ENOMEM, "modules");
    file = fopen(path, "re");
    if (!file)
        return error_system(error, errno, "modules %s", path);
    for (size_t i = 0; result == 0 && i < ARRAY_LENGTH(always); i++)
        result = add_wanted(modules, folder, file, always[i], error);
    for (size_t i = 0; result == 0 && i < wanted->count; i++)
        result = add_wanted(modules, folder, file, wanted->items[i], error);
    fclose(file);
    return result;
}
