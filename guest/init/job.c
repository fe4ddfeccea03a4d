/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest/init/init.h"

/* The strings of a JOB, one after the other. */
struct text {
    char *next, *end;
};

static char *next_string(struct text *text)
{
    char *string = text->next;
    char *nul = memchr(string, '\0', (size_t)(text->end - string));

    if (!nul)
        init_failed(EPROTO, "the job lacks a string");
    text->next = nul + 1;
    return string;
}

/* COUNT strings and a NULL. */
static char **next_list(struct text *text, uint32_t count)
{
    char **list;

    /* Each has a NUL at least. */
    if (count > (size_t)(text->end - text->next))
        init_failed(EPROTO, "the job lacks strings");
    list = calloc((size_t)count + 1, sizeof(*list));
    if (!list)
        init_failed(ENOMEM, "the job's arguments");
    for (uint32_t i = 0; i < count; i++)
        list[i] = next_string(text);
    return list;
}

static void read_text(struct job *job, struct text text)
{
    job->host_name = next_string(&text);
    job->user = next_string(&text);
    job->work_directory = next_string(&text);
    job->resolver = next_string(&text);
    for (uint32_t i = 0; i < job->head.layers; i++)
        job->layers[i] = next_string(&text);
    for (uint32_t i = 0; i < job->head.volumes; i++) {
        job->volumes[i].target = next_string(&text);
        job->volumes[i].file_system = next_string(&text);
        job->volumes[i].file = job->head.file_volumes >> i & 1;
    }
    for (uint32_t i = 0; i < job->head.folders; i++)
        job->folders[i] = next_string(&text);
    job->arguments = next_list(&text, job->head.arguments);
    job->environment = next_list(&text, job->head.variables);
}

bool job_receive(int control, struct job *job, bool *prepares)
{
    struct run_header header;
    char *text;

    if (channel_read(control, &header, sizeof(header)) <= 0)
        return false;
    *prepares = header.type == RUN_PREPARE;
    if ((header.type != RUN_JOB && !*prepares) || header.length < sizeof(job->head) ||
        header.length > RUN_JOB_MAX)
        init_failed(EPROTO, "the host sent no job");
    if (channel_read(control, &job->head, sizeof(job->head)) <= 0)
        return false;
    if (job->head.text_length != header.length - sizeof(job->head) || job->head.layers == 0 ||
        job->head.layers > RUN_LAYERS_MAX || job->head.volumes > RUN_VOLUMES_MAX ||
        job->head.folders > RUN_FOLDERS_MAX ||
        (uint64_t)job->head.file_volumes >> job->head.volumes != 0 ||
        (job->head.arguments == 0 && !*prepares))
        init_failed(EPROTO, "the job is none");
    text = malloc(job->head.text_length); /* until the guest's end */
    if (!text)
        init_failed(ENOMEM, "the job");
    if (channel_read(control, text, job->head.text_length) <= 0)
        return false;
    read_text(job, (struct text){ text, text + job->head.text_length });
    return true;
}
