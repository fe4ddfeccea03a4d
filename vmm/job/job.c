/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/job.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "vmm/base/cleanup.h"

int text_list_add(struct text_list *list, const char *text, struct error *error)
{
    char **items = reallocarray(list->items, list->count + 2, sizeof(*items));

    if (!items)
        return error_system(error, ENOMEM, "the job");
    list->items = items;
    items[list->count] = strdup(text);
    if (!items[list->count])
        return error_system(error, ENOMEM, "the job");
    items[++list->count] = NULL;
    return 0;
}

void text_list_release(struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct text_list){ .count = 0 };
}

/* The length of the name with its '='. */
static size_t name_length(const char *variable)
{
    const char *equals = strchr(variable, '=');

    return equals ? (size_t)(equals - variable) + 1 : strlen(variable);
}

int text_list_set_variable(struct text_list *list, const char *variable, struct error *error)
{
    size_t length = name_length(variable);

    for (size_t i = 0; i < list->count; i++) {
        char *copy;

        if (strncmp(list->items[i], variable, length) != 0)
            continue;
        copy = strdup(variable);
        if (!copy)
            return error_system(error, ENOMEM, "the job's environment");
        free(list->items[i]);
        list->items[i] = copy;
        return 0;
    }
    return text_list_add(list, variable, error);
}

const char *text_list_variable(const struct text_list *list, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < list->count; i++)
        if (strncmp(list->items[i], name, length) == 0 && list->items[i][length] == '=')
            return list->items[i] + length + 1;
    return NULL;
}

/* Counts first, with BYTES NULL, then copies. */
struct text {
    uint8_t *bytes;
    size_t length;
};

static void put(struct text *text, const char *string)
{
    size_t length = strlen(string) + 1;

    if (text->bytes)
        memcpy(text->bytes + text->length, string, length);
    text->length += length;
}

static void put_list(struct text *text, const struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        put(text, list->items[i]);
}

static void put_text(struct text *text, const struct job *job)
{
    put(text, job->host_name);
    put(text, job->user);
    put(text, job->work_directory);
    put(text, job->resolver ? job->resolver : "");
    for (size_t i = 0; i < job->layer_count; i++)
        put(text, job->layers[i]);
    for (size_t i = 0; i < job->volume_count; i++) {
        put(text, job->volumes[i].target);
        put(text, job->volumes[i].file_system);
    }
    if (job->folders)
        put_list(text, job->folders);
    put_list(text, job->arguments);
    put_list(text, job->environment);
}

static int encode(enum run_record_type type, const struct job *job, const struct run_job *base,
                  uint8_t **bytes, size_t *length, struct error *error)
{
    struct run_header header = { .type = type };
    struct run_job head = *base;
    struct text text = { .bytes = NULL };
    cleanup_free uint8_t *record = NULL;

    put_text(&text, job);
    if (text.length > RUN_JOB_MAX - sizeof(head))
        return error_set(error, E2BIG, "the command and its environment have %zu KiB, over %u; "
                         "pass less, or by a file", text.length >> 10, RUN_JOB_MAX >> 10);
    head.layers = (uint32_t)job->layer_count;
    head.volumes = (uint32_t)job->volume_count;
    head.arguments = (uint32_t)job->arguments->count;
    head.variables = (uint32_t)job->environment->count;
    for (size_t i = 0; i < job->volume_count; i++)
        head.file_volumes |= (uint32_t)job->volumes[i].file << i;
    head.folders = job->folders ? (uint32_t)job->folders->count : 0;
    head.text_length = (uint32_t)text.length;
    header.length = (uint32_t)(sizeof(head) + text.length);
    record = malloc(sizeof(header) + header.length);
    if (!record)
        return error_system(error, ENOMEM, "the job");
    memcpy(record, &header, sizeof(header));
    memcpy(record + sizeof(header), &head, sizeof(head));
    text = (struct text){ .bytes = record + sizeof(header) + sizeof(head) };
    put_text(&text, job);
    *length = sizeof(header) + header.length;
    *bytes = steal_pointer(&record);
    return 0;
}

int job_encode(const struct job *job, uint8_t **bytes, size_t *length, struct error *error)
{
    struct run_job head = job->head;

    if (getrandom(head.seed, sizeof(head.seed), 0) != (ssize_t)sizeof(head.seed))
        return error_system(error, errno, "random numbers for the guest");
    return encode(RUN_JOB, job, &head, bytes, length, error);
}

int job_encode_prepare(const struct job *job, uint8_t **bytes, size_t *length,
                       struct error *error)
{
    static const struct text_list none = { .count = 0 };
    const struct run_job head = {
        .flags = job->head.flags & RUN_SCRATCH, .disk_limit = job->head.disk_limit,
    };
    struct job prepare = *job;

    prepare.host_name = prepare.user = prepare.work_directory = "";
    prepare.resolver = "";
    prepare.folders = NULL;
    prepare.arguments = prepare.environment = &none;
    return encode(RUN_PREPARE, &prepare, &head, bytes, length, error);
}

void job_set_clock(uint8_t *bytes)
{
    struct timespec now;
    uint64_t clock;

    clock_gettime(CLOCK_REALTIME, &now);
    clock = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    memcpy(bytes + sizeof(struct run_header) + offsetof(struct run_job, clock), &clock,
           sizeof(clock));
}
