/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/template_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json_tokener.h>

#include "vmm/base/cleanup.h"
#include "vmm/job/cache_folder.h"
#include "vmm/base/whole_io.h"

int template_open(struct template *template, char *key, struct error *error)
{
    cleanup_free char *folder = NULL;

    *template = (struct template)TEMPLATE_INIT;
    template->key = key;
    template_name(key, template->name);
    template->folder = cache_folder_open(TEMPLATES_FOLDER, &folder, error);
    if (template->folder < 0)
        return template->folder;
    if (asprintf(&template->path, "%s/%s", folder, template->name) < 0) {
        template->path = NULL;
        return error_system(error, ENOMEM, "template %s", template->name);
    }
    return 0;
}

void template_close(struct template *template)
{
    template_drop(template);
    snapshot_source_close(&template->source);
    cleanup_close(&template->folder);
    free(template->key);
    free(template->path);
    *template = (struct template)TEMPLATE_INIT;
}

void template_leave(struct template *template)
{
    cleanup_close(&template->folder);
    snapshot_folder_leave(&template->saving);
}

/* ---- finding one ------------------------------------------------------------ */

/* Whether the template's file NAME is the one that ABOUT says it is. */
static bool is_as_saved(const struct template *template, struct json_object *about,
                        const char *name)
{
    char identity[FILE_IDENTITY_SIZE], path[2 * TEMPLATE_NAME_SIZE];
    struct stat status;

    snprintf(path, sizeof(path), "%s/%s", template->name, name);
    if (fstatat(template->folder, path, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    file_identity(&status, identity);
    return strcmp(identity, template_text(about, name)) == 0;
}

static int check(struct template *template, struct json_object *about, struct error *error)
{
    int result;

    if (strcmp(template_text(about, "key"), template->key) != 0)
        return error_set(error, EINVAL, "template %s: is of another guest", template->name);
    if (!is_as_saved(template, about, TEMPLATE_STATE) ||
        !is_as_saved(template, about, TEMPLATE_MEMORY))
        return error_set(error, EINVAL, "template %s: was altered since it was saved",
                         template->name);
    result = snapshot_folder_open(&template->source, template->path, error);
    template->source.awaits_job = true;
    return result;
}

int template_find(struct template *template, struct error *error)
{
    struct json_object *about;
    char path[sizeof(template->name) + sizeof(TEMPLATE_ABOUT)];
    int result;

    if (faccessat(template->folder, template->name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    about = template_read_about(template->folder, template->name);
    result = about ? check(template, about, error)
                   : error_set(error, EINVAL, "template %s: is not whole", template->name);
    json_object_put(about);
    if (result < 0) {
        template_remove(template);
        return result;
    }
    /* Its last use: where this fails, it is swept sooner than it might. */
    snprintf(path, sizeof(path), "%s/" TEMPLATE_ABOUT, template->name);
    utimensat(template->folder, path, NULL, AT_SYMLINK_NOFOLLOW);
    return 1;
}

void template_remove(struct template *template)
{
    snapshot_source_close(&template->source);
    template_remove_name(template->folder, template->name);
}

/* ---- a new one -------------------------------------------------------------- */

int template_begin(struct template *template, uint64_t memory, struct error *error)
{
    if (getrandom(template->id, sizeof(template->id), 0) != (ssize_t)sizeof(template->id))
        return error_system(error, errno, "template %s", template->name);
    return snapshot_folder_begin(&template->saving, template->path, memory, template->id, error);
}

static void put_text(struct json_object *record, const char *name, const char *text)
{
    json_object_object_add(record, name, json_object_new_string(text));
}

static int put_identity(struct json_object *record, const char *name, int fd)
{
    char identity[FILE_IDENTITY_SIZE];
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    file_identity(&status, identity);
    put_text(record, name, identity);
    return 0;
}

static int write_text(int folder, const char *text)
{
    cleanup_fd int fd = openat(folder, TEMPLATE_ABOUT,
                               O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int result = fd < 0 ? -errno : whole_write(fd, text, strlen(text));

    return result == 0 && fsync(fd) < 0 ? -errno : result;
}

/* After the last change of both files, which it describes. */
static int write_about(const struct template *template, const struct template_about *about,
                       struct error *error)
{
    const struct snapshot_folder *saving = &template->saving;
    struct json_object *record = json_object_new_object();
    const char *text;
    int result;

    put_text(record, "kernel", about->kernel);
    put_text(record, "root", about->root);
    json_object_object_add(record, "memory_bytes", json_object_new_uint64(about->memory));
    json_object_object_add(record, "cpus", json_object_new_int64(about->cpus));
    put_text(record, "key", template->key);
    if ((result = put_identity(record, TEMPLATE_STATE, saving->state_fd)) == 0 &&
        (result = put_identity(record, TEMPLATE_MEMORY, saving->memory_fd)) == 0) {
        text = json_object_to_json_string_ext(record, JSON_C_TO_STRING_PRETTY);
        result = text ? write_text(saving->folder, text) : -ENOMEM;
    }
    json_object_put(record);
    return result < 0 ? error_system(error, -result, "template %s", template->name) : 0;
}

int template_keep(struct template *template, const struct vm_config *config,
                  const struct template_about *about, struct error *error)
{
    int result = snapshot_folder_seal_state(&template->saving, config, error);

    if (result == 0)
        result = write_about(template, about, error);
    if (result < 0) {
        template_drop(template);
        return result;
    }
    result = snapshot_folder_finish(&template->saving, error);
    if (result == 0)
        template_sweep(template->folder);
    return result;
}

void template_kept(struct template *template)
{
    snapshot_folder_leave(&template->saving);
}

void template_drop(struct template *template)
{
    if (template->saving.folder >= 0 && snapshot_folder_is_partial(&template->saving))
        unlinkat(template->saving.folder, TEMPLATE_ABOUT, 0);
    snapshot_folder_drop(&template->saving);
}
