/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/output_folders.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/images/entry_path.h"

struct folder {
    mode_t mode;
    struct timespec mtime;
    const char *path; /* text, but of a key for searching */
    char text[];
};

static int compare(const void *left, const void *right)
{
    return strcmp(((const struct folder *)left)->path, ((const struct folder *)right)->path);
}

/* PATH's components with one slash between them: "./a//b" is "a/b". */
static void write_plain(const char *path, char *plain)
{
    char name[ENTRY_NAME_SIZE];
    size_t at = 0;

    plain[0] = '\0';
    while (entry_path_next(&path, name)) {
        size_t length = strlen(name);

        if (at > 0)
            plain[at++] = '/';
        memcpy(plain + at, name, length + 1);
        at += length;
    }
}

static int add_new(struct output_folders *folders, const char *path, struct folder **folder,
                   struct error *error)
{
    size_t length = strlen(path) + 1;
    struct folder *fresh;

    if (folders->count == OUTPUT_FOLDERS_MAX || length > OUTPUT_FOLDERS_TEXT_MAX - folders->text)
        return error_set(error, E2BIG, "more than %u folders, or paths of %u MiB; make fewer",
                         OUTPUT_FOLDERS_MAX, OUTPUT_FOLDERS_TEXT_MAX >> 20);
    fresh = malloc(sizeof(*fresh) + length);
    if (!fresh)
        return error_system(error, ENOMEM, "the list of folders");
    memcpy(fresh->text, path, length);
    fresh->path = fresh->text;
    if (!tsearch(fresh, &folders->tree, compare)) {
        free(fresh);
        return error_system(error, ENOMEM, "the list of folders");
    }
    folders->count++;
    folders->text += length;
    *folder = fresh;
    return 0;
}

int output_folders_add(struct output_folders *folders, const char *path, mode_t mode,
                       const struct timespec *mtime, struct error *error)
{
    char plain[FILE_TREE_PATH_MAX];
    const struct folder key = { .path = plain };
    struct folder *folder = NULL;
    void *found;

    write_plain(path, plain); /* which is no longer than PATH, and that was checked */
    found = tfind(&key, &folders->tree, compare);
    if (found)
        folder = *(struct folder **)found;
    else if (add_new(folders, plain, &folder, error) < 0)
        return -error->number;
    folder->mode = mode;
    folder->mtime = *mtime;
    return 0;
}

/* ---- all of them ---- */

struct list {
    const struct folder **at;
};

static void list_one(const void *item, VISIT order, void *context)
{
    struct list *list = context;

    if (order == postorder || order == leaf)
        *list->at++ = *(struct folder *const *)item;
}

void output_folders_each(const struct output_folders *folders,
                         void (*visit)(void *context, const char *path, mode_t mode,
                                       const struct timespec *mtime),
                         void *context)
{
    cleanup_free const struct folder **all = calloc(folders->count + 1, sizeof(struct folder *));
    struct list list = { all };

    if (!all)
        return; /* they keep the modes and times that they have */
    twalk_r(folders->tree, list_one, &list);
    /* In the order of paths what is in a folder comes after it. */
    for (size_t i = folders->count; i-- > 0;)
        visit(context, all[i]->path, all[i]->mode, &all[i]->mtime);
}

void output_folders_release(struct output_folders *folders)
{
    tdestroy(folders->tree, free);
    *folders = (struct output_folders){ .tree = NULL };
}
