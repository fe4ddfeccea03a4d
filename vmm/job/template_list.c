/* SPDX-License-Identifier: Apache-2.0 */
/* Templates, all of them: listed, swept and pruned. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json_tokener.h>

#include "vmm/base/cleanup.h"
#include "vmm/job/cache_folder.h"
#include "vmm/job/template_folder.h"

#define PARTIAL ".partial"
#define ABOUT_MAX 65536 /* bytes; a key has some hundred for each disk */
#define OPEN_FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* ---- one -------------------------------------------------------------------- */

static int open_in(int folder, const char *name, int flags)
{
    return openat(folder, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

const char *template_text(struct json_object *about, const char *name)
{
    struct json_object *value;
    const char *text = json_object_object_get_ex(about, name, &value)
                           ? json_object_get_string(value) : NULL;

    return text ? text : "";
}

struct json_object *template_read_about(int folder, const char *name)
{
    cleanup_fd int one = openat(folder, name, OPEN_FOLDER);
    cleanup_fd int fd = one < 0 ? -1 : open_in(one, TEMPLATE_ABOUT, O_RDONLY);
    cleanup_free char *text = malloc(ABOUT_MAX);
    struct json_object *about;
    ssize_t length;

    if (fd < 0 || !text || (length = read(fd, text, ABOUT_MAX - 1)) <= 0)
        return NULL;
    text[length] = '\0';
    about = json_tokener_parse(text);
    if (json_object_is_type(about, json_type_object))
        return about;
    json_object_put(about);
    return NULL;
}

/* Calls VISIT for each name in FOLDER. */
static int visit_names(int folder, void (*visit)(void *context, int folder, const char *name),
                       void *context)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;

    if (!stream) {
        int number = errno;

        cleanup_close(&copy);
        return -number;
    }
    while ((entry = readdir(stream)))
        visit(context, folder, entry->d_name);
    closedir(stream);
    return 0;
}

static void unlink_one(void *context, int folder, const char *name)
{
    (void)context;
    unlinkat(folder, name, 0); /* what is no file stays */
}

/* First what makes it a template: one that is removed by half is none. */
void template_remove_name(int folder, const char *name)
{
    cleanup_fd int one = openat(folder, name, OPEN_FOLDER);

    if (one >= 0) {
        unlinkat(one, TEMPLATE_ABOUT, 0);
        visit_names(one, unlink_one, NULL);
    }
    unlinkat(folder, name, AT_REMOVEDIR);
}

/* Bytes on the disk, and the last writing, of a file of a template. */
static uint64_t measure(int folder, const char *name, const char *file, time_t *written)
{
    char path[2 * TEMPLATE_NAME_SIZE + 16];
    struct stat status;

    snprintf(path, sizeof(path), "%s/%s", name, file);
    if (fstatat(folder, path, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    if (written)
        *written = status.st_mtime;
    return (uint64_t)status.st_blocks * 512;
}

static void measure_all(int folder, const char *name, struct template_entry *entry)
{
    *entry = (struct template_entry){ .name = name };
    entry->disk = measure(folder, name, TEMPLATE_ABOUT, &entry->used) +
                  measure(folder, name, TEMPLATE_STATE, &entry->made) +
                  measure(folder, name, TEMPLATE_MEMORY, NULL);
}

/* ---- all -------------------------------------------------------------------- */

struct listing {
    void (*each)(void *context, const struct template_entry *entry);
    void *context;
};

static void list_one(void *context, int folder, const char *name)
{
    const struct listing *listing = context;
    struct template_entry entry;
    struct json_object *about, *value;

    if (!template_name_is_good(name))
        return;
    about = template_read_about(folder, name);
    measure_all(folder, name, &entry);
    if (about) {
        entry.about.kernel = template_text(about, "kernel");
        entry.about.root = template_text(about, "root");
        if (json_object_object_get_ex(about, "memory_bytes", &value))
            entry.about.memory = json_object_get_uint64(value);
        if (json_object_object_get_ex(about, "cpus", &value))
            entry.about.cpus = (unsigned int)json_object_get_int64(value);
        listing->each(listing->context, &entry);
    }
    json_object_put(about);
}

int template_list(void (*each)(void *context, const struct template_entry *entry), void *context,
                  struct error *error)
{
    struct listing listing = { each, context };
    cleanup_free char *path = NULL;
    cleanup_fd int folder = cache_folder_open(TEMPLATES_FOLDER, &path, error);
    int result;

    if (folder < 0)
        return folder;
    result = visit_names(folder, list_one, &listing);
    return result < 0 ? error_system(error, -result, "cache %s", path) : 0;
}

/* ---- sweeping --------------------------------------------------------------- */

static bool is_partial(const char *name)
{
    size_t length = strlen(name), tail = strlen(PARTIAL);

    return length == TEMPLATE_NAME_SIZE - 1 + tail && strcmp(name + length - tail, PARTIAL) == 0;
}

/* A half one whose writer is gone: those who write hold a lock. */
static bool remove_left(int folder, const char *name)
{
    cleanup_fd int lock = is_partial(name) ? openat(folder, name, OPEN_FOLDER) : -1;

    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
        return false;
    template_remove_name(folder, name);
    return true;
}

struct found {
    char name[TEMPLATE_NAME_SIZE];
    time_t used;
};

/* A folder has a handful more than are kept; others wait for the next time. */
struct sweep {
    struct found found[4 * TEMPLATES_KEPT];
    size_t count;
};

/* What a kill left by half is of no use to anybody. */
static void note_one(void *context, int folder, const char *name)
{
    struct sweep *sweep = context;
    struct template_entry entry;

    if (remove_left(folder, name) || !template_name_is_good(name) ||
        sweep->count == ARRAY_LENGTH(sweep->found))
        return;
    measure_all(folder, name, &entry);
    strcpy(sweep->found[sweep->count].name, name);
    sweep->found[sweep->count++].used = entry.used;
}

static int last_used_first(const void *a, const void *b)
{
    const struct found *one = a, *other = b;

    return (one->used < other->used) - (one->used > other->used);
}

void template_sweep(int folder)
{
    struct sweep sweep = { .count = 0 };

    visit_names(folder, note_one, &sweep);
    qsort(sweep.found, sweep.count, sizeof(sweep.found[0]), last_used_first);
    for (size_t i = TEMPLATES_KEPT; i < sweep.count; i++)
        template_remove_name(folder, sweep.found[i].name);
}

/* ---- pruning ---------------------------------------------------------------- */

struct pruning {
    time_t before;
    uint64_t disk;
    int count;
};

static void prune_one(void *context, int folder, const char *name)
{
    struct pruning *pruning = context;
    struct template_entry entry;

    if (!is_partial(name) && !template_name_is_good(name))
        return;
    measure_all(folder, name, &entry);
    if (!is_partial(name) && entry.used < pruning->before)
        template_remove_name(folder, name);
    else if (!remove_left(folder, name))
        return;
    pruning->disk += entry.disk;
    pruning->count++;
}

int template_prune(time_t before, uint64_t *disk, struct error *error)
{
    struct pruning pruning = { .before = before };
    cleanup_free char *path = NULL;
    cleanup_fd int folder = cache_folder_open(TEMPLATES_FOLDER, &path, error);
    int result;

    if (folder < 0)
        return folder;
    result = visit_names(folder, prune_one, &pruning);
    if (result < 0)
        return error_system(error, -result, "cache %s", path);
    *disk = pruning.disk;
    return pruning.count;
}
