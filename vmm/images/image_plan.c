/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/image_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/images/document.h"
#include "vmm/images/json_wire.h"
#include "vmm/images/worker.h"

/* What comes before the layers; the configuration follows them. */
struct plan_head {
    uint32_t layers;
    uint32_t spooled;
};

/* A configuration comes out of one document, and is no larger. */
#define ANSWER_MAX (sizeof(struct plan_head) + sizeof(struct plan_layer) * IMAGE_LAYERS_MAX + 2 * DOCUMENT_MAX)

/* ---- in the worker ---- */

struct reading {
    plan_reader *read;
    void *context;
};

static int send_run(int pipe, struct json_object *run, struct error *error)
{
    char *bytes = NULL;
    size_t length;
    FILE *file = open_memstream(&bytes, &length);
    int result;

    if (!file)
        return error_system(error, errno, "the image's configuration");
    result = json_wire_write(file, run);
    if (fclose(file) != 0)
        result = -ENOMEM;
    result = result < 0 ? error_system(error, -result, "the image's configuration")
                        : worker_answer(pipe, bytes, length, error);
    free(bytes);
    return result;
}

static int read_and_send(void *context, int pipe, struct error *error)
{
    const struct reading *reading = context;
    cleanup_free struct image_plan *plan = calloc(1, sizeof(*plan));
    struct plan_head head;

    if (!plan)
        return error_system(error, ENOMEM, "the image");
    if (reading->read(reading->context, plan, error) < 0)
        return -error->number;
    head = (struct plan_head){ .layers = (uint32_t)plan->count, .spooled = plan->spooled };
    if (worker_answer(pipe, &head, sizeof(head), error) < 0 ||
        worker_answer(pipe, plan->layers, plan->count * sizeof(plan->layers[0]), error) < 0)
        return -error->number;
    return send_run(pipe, plan->run, error);
}

/* ---- in the caller ---- */

static int not_understood(struct error *error)
{
    return error_set(error, EBADMSG, "the process that reads the image's documents gave an answer that "
                     "is not understood; fetch the image anew");
}

int plan_decode(struct image_plan *plan, const void *bytes, size_t length, struct error *error)
{
    const char *at = bytes;
    struct plan_head head;
    size_t layers;

    if (length < sizeof(head))
        return not_understood(error);
    memcpy(&head, at, sizeof(head));
    if (head.layers == 0 || head.layers > IMAGE_LAYERS_MAX)
        return not_understood(error);
    layers = head.layers * sizeof(plan->layers[0]);
    if (length - sizeof(head) < layers)
        return not_understood(error);
    plan->count = head.layers;
    plan->spooled = head.spooled != 0;
    memcpy(plan->layers, at + sizeof(head), layers);
    if (json_wire_read(at + sizeof(head) + layers, length - sizeof(head) - layers, &plan->run) < 0 ||
        !json_object_is_type(plan->run, json_type_object))
        return not_understood(error);
    return 0;
}

int plan_make(struct image_plan *plan, const struct resolution *resolution, plan_reader *read,
              void *context, struct error *error)
{
    struct reading reading = { read, context };
    const struct worker worker = { .sandbox = resolution->sandbox, .folder = -1,
                                   .progress = resolution->progress,
                                   .what = "the process that reads the image's documents",
                                   .run = read_and_send, .context = &reading };
    cleanup_free void *answer = malloc(ANSWER_MAX);
    size_t length;

    *plan = (struct image_plan){ .count = 0 };
    if (!answer)
        return error_system(error, ENOMEM, "the image");
    if (worker_run(&worker, answer, ANSWER_MAX, &length, error) < 0)
        return -error->number;
    return plan_decode(plan, answer, length, error);
}

void plan_release(struct image_plan *plan)
{
    json_object_put(plan->run);
    plan->run = NULL;
}

struct layer_input plan_input(const struct image_plan *plan, size_t index)
{
    const struct plan_layer *layer = &plan->layers[index];

    return (struct layer_input){
        .diff_id = layer->diff_id,
        .packed = layer->has_packed ? &layer->packed : NULL,
        .size = layer->size,
        .number = (unsigned int)index + 1,
        .count = (unsigned int)plan->count,
    };
}
