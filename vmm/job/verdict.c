/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/utf8.h"

static const char *const cause_names[] = {
    [CAUSE_EXITED] = "exited",
    [CAUSE_SIGNALLED] = "signalled",
    [CAUSE_TIMEOUT] = "timeout",
    [CAUSE_OOM] = "oom",
    [CAUSE_OUTPUT_LIMIT] = "output-limit",
    [CAUSE_GUEST_PANIC] = "guest-panic",
    [CAUSE_VMM_FAULT] = "vmm-fault",
    [CAUSE_NOT_STARTED] = "not-started",
};
static_assert(ARRAY_LENGTH(cause_names) == CAUSE_COUNT, "every cause has its word");

/* ---- the record ----------------------------------------------------------- */

static struct json_object *text_value(const char *text)
{
    cleanup_free char *clean = text ? utf8_clean(text) : NULL;

    return clean ? json_object_new_string(clean) : NULL;
}

static struct json_object *command_value(const struct text_list *command)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < command->count; i++)
        json_object_array_add(list, text_value(command->items[i]));
    return list;
}

static struct json_object *timeline_value(const struct timeline *timeline)
{
    struct json_object *list = json_object_new_array();
    unsigned int count = atomic_load(&timeline->count);

    if (count > TIMELINE_MARKS_MAX)
        count = TIMELINE_MARKS_MAX;
    for (unsigned int i = 0; i < count; i++) {
        const struct timeline_mark *mark = &timeline->marks[i];
        int64_t at = (int64_t)(mark->nanoseconds - timeline->marks[0].nanoseconds);
        struct json_object *entry = json_object_new_object();
        char name[64];

        /* The VM's process can write there what it likes. */
        snprintf(name, sizeof(name), mark->number ? "%.*s %u" : "%.*s", TIMELINE_NAME_SIZE,
                 mark->name, mark->number);
        json_object_object_add(entry, "name", text_value(name));
        json_object_object_add(entry, "at_ms", json_object_new_double((double)at / 1e6));
        json_object_array_add(list, entry);
    }
    return list;
}

static void add_number(struct json_object *record, const char *name, uint64_t value)
{
    json_object_object_add(record, name, json_object_new_uint64(value));
}

static struct json_object *record_of(const struct verdict *verdict)
{
    const struct outcome *outcome = verdict->outcome;
    struct json_object *record = json_object_new_object();

    json_object_object_add(record, "cause",
                           json_object_new_string(cause_names[outcome->cause]));
    json_object_object_add(record, "status", json_object_new_int(outcome->status));
    json_object_object_add(record, "signal",
                           outcome->signal ? json_object_new_int(outcome->signal) : NULL);
    json_object_object_add(record, "restored", json_object_new_boolean(outcome->restored));
    add_number(record, "wall_ms", outcome->wall_ms);
    add_number(record, "cpu_us", outcome->usage.cpu_us);
    add_number(record, "peak_memory_bytes", outcome->usage.peak_memory);
    add_number(record, "oom_kills", outcome->usage.oom_kills);
    add_number(record, "pids_refused", outcome->usage.pids_refused);
    add_number(record, "bytes_in", outcome->bytes_in);
    add_number(record, "bytes_out", outcome->bytes_out);
    add_number(record, "bytes_err", outcome->bytes_error);
    json_object_object_add(record, "message", text_value(verdict->message));
    json_object_object_add(record, "command", command_value(verdict->command));
    json_object_object_add(record, "timeline", timeline_value(verdict->timeline));
    return record;
}

/* ---- the file ------------------------------------------------------------- */

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static int refuse(const char *path, int number, struct error *error)
{
    return error_set(error, number, "--verdict %s: cannot be written: %s; name a file in a folder "
                     "that you may write", path, strerror(number));
}

int verdict_check(const char *path, struct error *error)
{
    cleanup_free char *folder = folder_of(path);
    struct stat status;

    if (!folder)
        return refuse(path, ENOMEM, error);
    if (path[0] == '\0')
        return refuse(path, ENOENT, error);
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return refuse(path, EISDIR, error);
    return access(folder, W_OK | X_OK) < 0 ? refuse(path, errno, error) : 0;
}

static int write_text(int fd, const char *text)
{
    size_t length = strlen(text);

    while (length > 0) {
        ssize_t count = write(fd, text, length);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        text += count;
        length -= (size_t)count;
    }
    return write(fd, "\n", 1) == 1 ? 0 : -errno;
}

/* Gives the file without a name, FD, the name PATH, which may be taken. */
static int name_file(int fd, const char *folder, const char *path)
{
    cleanup_free char *temporary = NULL;
    char source[32];

    snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, source, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    if (asprintf(&temporary, "%s/.mote-verdict.%ld", folder, (long)getpid()) < 0)
        return -ENOMEM;
    unlink(temporary); /* of a process of this number that was killed right here */
    if (linkat(AT_FDCWD, source, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW) < 0)
        return -errno;
    if (rename(temporary, path) < 0) {
        int saved = errno;

        unlink(temporary);
        return -saved;
    }
    return 0;
}

/* Where files without a name cannot be had. */
static int write_by_rename(const char *folder, const char *path, const char *text)
{
    cleanup_free char *temporary = NULL;
    cleanup_fd int fd = -1;
    int result;

    if (asprintf(&temporary, "%s/.mote-verdict.%ld", folder, (long)getpid()) < 0)
        return -ENOMEM;
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    result = write_text(fd, text);
    if (close(steal_fd(&fd)) < 0 && result == 0)
        result = -errno;
    if (result == 0 && rename(temporary, path) < 0)
        result = -errno;
    if (result < 0)
        unlink(temporary);
    return result;
}

/* A terminal, a pipe: there is nothing to replace. */
static int write_to_device(const char *path, const char *text)
{
    cleanup_fd int fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);

    return fd < 0 ? -errno : write_text(fd, text);
}

static int write_file(const char *path, const char *text)
{
    cleanup_free char *folder = folder_of(path);
    cleanup_fd int fd = -1;
    struct stat status;
    int result;

    if (!folder)
        return -ENOMEM;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return write_to_device(path, text);
    fd = open(folder, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
    if (fd < 0)
        return write_by_rename(folder, path, text);
    result = write_text(fd, text);
    if (result == 0)
        result = name_file(fd, folder, path);
    return close(steal_fd(&fd)) < 0 && result == 0 ? -errno : result;
}

int verdict_write(const struct verdict *verdict, const char *path, struct error *error)
{
    struct json_object *record = record_of(verdict);
    const char *text = json_object_to_json_string_ext(record, JSON_C_TO_STRING_PRETTY |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE);
    int result = text ? write_file(path, text) : -ENOMEM;

    json_object_put(record);
    return result < 0 ? refuse(path, -result, error) : 0;
}
