/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/layer_work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "vmm/base/cleanup.h"
#include "vmm/images/layer.h"
#include "vmm/images/layer_inherit.h"
#include "vmm/images/layer_merge.h"
#include "vmm/images/listing.h"
#include "vmm/images/worker.h"

/* "layer sha256:…: " before the message, if there is one; the blob's digest where there is one. */
int layer_named(const struct layer_input *input, struct error *error)
{
    struct error inner = *error;
    char text[DIGEST_TEXT];

    if (!inner.message[0])
        return -inner.number;
    return error_set(error, inner.number, "layer %s: %s",
                     digest_text(input->packed ? input->packed : &input->diff_id, text),
                     inner.message);
}

static int mismatch(const char *what, const struct digest *found, struct error *error)
{
    char text[DIGEST_TEXT];

    return error_set(error, EBADMSG, "is corrupt, its %s digest is %s; fetch the image anew", what,
                     digest_text(found, text));
}

static int check_packed(const struct layer_input *input, const struct digest *packed,
                        struct error *error)
{
    if (input->packed && !digest_equal(input->packed, packed))
        return mismatch("blob's", packed, error);
    return 0;
}

static int check_digests(const struct layer_input *input, struct layer_stream *stream,
                         struct error *error)
{
    struct digest packed, unpacked;

    if (layer_stream_end(stream, &packed, &unpacked, error) < 0 ||
        check_packed(input, &packed, error) < 0)
        return -error->number;
    if (!digest_equal(&input->diff_id, &unpacked))
        return mismatch("unpacked archive's (diff_id)", &unpacked, error);
    return 0;
}

/* A blob that is damaged makes no sense to the tar reader either: then the digest is the reason. */
static void prefer_mismatch(const struct layer_input *input, struct layer_stream *stream,
                            struct error *error)
{
    struct error inner = ERROR_INIT;
    struct digest packed;

    if (stream->packed && layer_stream_drain(stream, &packed, &inner) == 0 &&
        check_packed(input, &packed, &inner) < 0)
        *error = inner;
}

/* ---- the layers below ---------------------------------------------------- */

/* Of which the listings are read when something is asked, and what of this image lies below already. */
struct lower {
    const struct layer_work *work;
    struct layer *layers; /* has room for one more than are in images of their own */
    size_t count, begun;
    const struct layer *whole; /* of this image; NULL for its bottom layer */
};

static int lower_read_one(struct lower *lower, size_t index, struct error *error)
{
    cleanup_free char *path = cache_listing_path(resolution_path(lower->work->resolution, index));
    cleanup_fd int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0)
        return error_system(error, path ? errno : ENOMEM, "%s", path ? path : "the cache");
    if (layer_init(&lower->layers[index], error) < 0)
        return -error->number;
    lower->begun++;
    return listing_read(&lower->layers[index], fd, error);
}

static int lower_read(struct lower *lower, struct error *error)
{
    if (lower->layers)
        return 0;
    lower->count = resolution_layers(lower->work->resolution);
    lower->layers = calloc(lower->count + 1, sizeof(*lower->layers));
    if (!lower->layers)
        return error_system(error, ENOMEM, "the layer");
    for (size_t i = 0; i < lower->count; i++)
        if (lower_read_one(lower, i, error) < 0)
            return -error->number;
    return 0;
}

static void lower_release(struct lower *lower)
{
    for (size_t i = 0; i < lower->begun; i++)
        layer_release(&lower->layers[i]);
    free(lower->layers);
    *lower = (struct lower){ .work = lower->work };
}

static int lower_find(void *context, const struct file_node *folder, const char *name,
                      const struct file_inode **found, struct error *error)
{
    struct lower *lower = context;
    size_t count;

    if (lower_read(lower, error) < 0)
        return -error->number;
    count = lower->count;
    if (lower->whole)
        lower->layers[count++] = *lower->whole; /* lent */
    return layer_find_below(lower->layers, count, folder, name, found, error);
}

/* ---- the process that unpacks -------------------------------------------- */

/* From the whole tree to what its image is made of, and its listing. */
static int finish(const struct layer_work *work, struct layer *whole, struct lower *lower,
                  struct staging *staging, struct layer_unpacked *unpacked, struct error *error)
{
    const struct file_node *longest;

    unpacked->implies = layer_implies_folders(whole);
    lower->whole = NULL;
    if (unpacked->implies && (lower_read(lower, error) < 0 ||
                              layer_inherit(whole, lower->layers, lower->count, error) < 0))
        return -error->number;
    if (staging_tree(staging, whole->tree.root, error) < 0 ||
        listing_write(whole, work->entry->listing, error) < 0)
        return -error->number;
    longest = file_tree_longest(&whole->tree);
    if (longest)
        file_node_path(longest, unpacked->longest, sizeof(unpacked->longest));
    unpacked->image = staging->image;
    unpacked->holes = staging->holes;
    return 0;
}

/* The layer at hand, into LAYER. */
static int unpack_stream(const struct layer_work *work, struct layer_stream *stream,
                         struct layer *layer, struct staging *staging, struct error *error)
{
    const struct layer_input *input = &work->inputs[work->at];
    int result = layer_unpack(layer, stream->tar, staging, error);

    if (result == 0)
        result = check_digests(input, stream, error);
    /* A full disk says nothing of the blob. */
    if (result < 0 && error->number != ENOSPC && error->number != EDQUOT)
        prefer_mismatch(input, stream, error);
    return result;
}

static int unpack_input(const struct layer_work *work, struct layer *layer, struct staging *staging,
                        struct error *error)
{
    const struct resolution *resolution = work->resolution;
    const struct layer_input *input = &work->inputs[work->at];
    struct byte_source source;
    struct layer_stream stream;
    int result = input->open(input->context, &source, error);

    if (result < 0)
        return result;
    progress_begin(resolution->progress, input->size, "unpacking layer %u of %u", input->number,
                   input->count);
    result = layer_stream_open(&stream, &source, resolution->limit, resolution->progress, error);
    if (result == 0)
        result = unpack_stream(work, &stream, layer, staging, error);
    else
        prefer_mismatch(input, &stream, error);
    layer_stream_close(&stream);
    input->close(input->context);
    return result;
}

/* The layer at hand above WHOLE, what there is of the image. */
static int unpack_above(const struct layer_work *work, struct layer *whole, struct lower *lower,
                        struct staging *staging, struct error *error)
{
    const struct layer_below below = { lower_find, lower };
    struct layer layer;
    int result = layer_init(&layer, error);

    lower->whole = whole;
    layer.below = &below;
    if (result == 0)
        result = unpack_input(work, &layer, staging, error);
    if (result == 0)
        result = layer_merge(whole, &layer, error);
    layer_release(&layer);
    return result;
}

/* All layers of the image, one above the other; WORK->at tells which when it fails. */
static int unpack_all(struct layer_work *work, struct layer *whole, struct lower *lower,
                      struct staging *staging, struct error *error)
{
    const struct layer_below below = { lower_find, lower };
    int result;

    work->at = 0;
    whole->below = &below;
    result = unpack_input(work, whole, staging, error);
    whole->below = NULL;
    while (result == 0 && ++work->at < work->count)
        result = unpack_above(work, whole, lower, staging, error);
    return result < 0 ? layer_named(&work->inputs[work->at], error) : 0;
}

static int unpack(void *context, int pipe, struct error *error)
{
    struct layer_work *work = context;
    struct staging_limits limits = resolution_limits(work->resolution);
    struct lower lower = { .work = work };
    struct layer_unpacked unpacked = { .image = 0 };
    struct staging staging;
    struct layer whole;
    int result = layer_init(&whole, error);

    if (result == 0)
        result = staging_begin(&staging, work->entry->parts, &limits, error);
    if (result == 0) {
        result = unpack_all(work, &whole, &lower, &staging, error);
        if (result == 0)
            result = finish(work, &whole, &lower, &staging, &unpacked, error);
        staging_end(&staging);
    }
    lower_release(&lower);
    layer_release(&whole);
    return result < 0 ? result : worker_answer(pipe, &unpacked, sizeof(unpacked), error);
}

/* ---- the process that verifies ------------------------------------------- */

/*
 * Whether the blob is what its digests say, by a process of its own, before another parses the archive: whoever breaks
 * into that one falsifies the image of their own archive at most, not that of one whose digest they claim.
 */
static int verify(void *context, int pipe, struct error *error)
{
    const struct layer_work *work = context;
    const struct layer_input *input = &work->inputs[work->at];
    struct progress *progress = work->resolution->progress;
    struct byte_source source;
    struct layer_stream stream;
    int result = input->open(input->context, &source, error);

    (void)pipe;
    if (result == 0) {
        progress_begin(progress, input->size, "checking layer %u of %u", input->number, input->count);
        result = layer_stream_open(&stream, &source, work->resolution->limit, progress, error);
        if (result == 0)
            result = check_digests(input, &stream, error);
        if (result < 0)
            prefer_mismatch(input, &stream, error);
        layer_stream_close(&stream);
        input->close(input->context);
    }
    return result < 0 ? layer_named(input, error) : 0;
}

/* ---- both, apart --------------------------------------------------------- */

int layer_work_verify(struct layer_work *work, struct error *error)
{
    const struct worker worker = { .sandbox = work->resolution->sandbox,
                                   .progress = work->resolution->progress, .folder = -1,
                                   .what = "the process that checks a layer", .run = verify,
                                   .context = work };
    size_t length;

    for (work->at = 0; work->at < work->count; work->at++)
        if (worker_run(&worker, NULL, 0, &length, error) < 0)
            return -error->number;
    return 0;
}

int layer_work_unpack(struct layer_work *work, struct layer_unpacked *unpacked, struct error *error)
{
    const struct worker worker = { .sandbox = work->resolution->sandbox,
                                   .progress = work->resolution->progress,
                                   .folder = work->entry->parts,
                                   .what = "the process that unpacks a layer", .run = unpack,
                                   .context = work };
    size_t length;

    if (worker_run(&worker, unpacked, sizeof(*unpacked), &length, error) < 0)
        return -error->number;
    if (length != sizeof(*unpacked))
        return error_set(error, EBADMSG, "the process that unpacks a layer gave no whole answer; "
                         "fetch the image anew");
    unpacked->longest[sizeof(unpacked->longest) - 1] = '\0';
    return 0;
}

