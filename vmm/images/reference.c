/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/reference.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/options.h"

static bool exists(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0;
}

int reference_read(struct reference *reference, const char *text, struct error *error)
{
    char *path = strdup(text);
    int number;

    *reference = (struct reference){ .path = path };
    if (!path)
        return error_system(error, ENOMEM, "%s", text);
    for (;;) {
        char *colon;

        if (exists(path)) {
            if (path[0] && text[strlen(path)] == ':')
                reference->tag = text + strlen(path) + 1;
            return 0;
        }
        colon = strrchr(path, ':');
        if (!colon)
            break;
        *colon = '\0';
    }
    number = errno;
    error_set(error, number, "%s: %s; check the path", path, strerror(number));
    free(path);
    reference->path = NULL;
    return -number;
}

void tags_add(struct tags *tags, const char *tag)
{
    for (size_t i = 0; i < tags->count && i < ARRAY_LENGTH(tags->list); i++)
        if (strcmp(tags->list[i], tag) == 0)
            return;
    if (tags->count < ARRAY_LENGTH(tags->list))
        tags->list[tags->count] = tag;
    tags->count++;
}

static const char *tag_name(const void *context, size_t index)
{
    return ((const char *const *)context)[index];
}

/* As many as have room, "a, b, c and 4 more". */
static void join(const struct tags *tags, char *text, size_t size)
{
    size_t known = tags->count < ARRAY_LENGTH(tags->list) ? tags->count : ARRAY_LENGTH(tags->list);
    size_t at = 0, i;

    text[0] = '\0';
    for (i = 0; i < known; i++) {
        size_t length = strlen(tags->list[i]) + 2;

        if (length > size - at - 24)
            break;
        at += (size_t)snprintf(text + at, size - at, "%s%s", i ? ", " : "", tags->list[i]);
    }
    if (i < tags->count)
        snprintf(text + at, size - at, "%s%zu more", i ? " and " : "", tags->count - i);
}

int reference_unknown(const struct reference *reference, const struct tags *tags,
                      struct error *error)
{
    size_t known = tags->count < ARRAY_LENGTH(tags->list) ? tags->count : ARRAY_LENGTH(tags->list);
    const char *nearest;
    char text[200];

    if (tags->count == 0)
        return error_set(error, ENOENT, "%s: holds no image with a tag; %s", reference->path,
                         reference->tag ? "leave the tag out" : "build it anew");
    join(tags, text, sizeof(text));
    if (!reference->tag)
        return error_set(error, EINVAL, "%s: holds several images; add :TAG, one of %s",
                         reference->path, text);
    nearest = options_nearest(reference->tag, tag_name, tags->list, known);
    if (nearest)
        return error_set(error, ENOENT, "%s: has no image '%.60s'; did you mean '%.60s'? It has %s",
                         reference->path, reference->tag, nearest, text);
    return error_set(error, ENOENT, "%s: has no image '%.60s'; it has %s", reference->path,
                     reference->tag, text);
}
