/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/layer_image.h"

#include <errno.h>

#include "vmm/cleanup.h"
#include "vmm/images/layer.h"

/* "layer sha256:…: " before the message; the blob's digest where there is one. */
static int named(const struct layer_input *input, struct error *error)
{
    struct error inner = *error;
    char text[DIGEST_TEXT];

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

static int unpack(const struct layer_input *input, struct layer_stream *stream,
                  struct erofs *image, struct error *error)
{
    struct layer layer;
    int result = layer_init(&layer, error);

    if (result == 0)
        result = layer_unpack(&layer, stream->tar, image, error);
    if (result == 0)
        result = check_digests(input, stream, error);
    if (result == 0)
        result = layer_finish(&layer, image, input->diff_id.bytes, error);
    layer_release(&layer);
    return result;
}

static int make(struct resolution *resolution, const struct layer_input *input, int fd,
                struct error *error)
{
    struct erofs_limits limits = resolution_limits(resolution);
    struct byte_source source;
    struct layer_stream stream;
    struct erofs image;
    int result;

    if (input->open(input->context, &source, error) < 0)
        return -error->number;
    progress_begin(resolution->progress, input->size, "unpacking layer %u of %u", input->number,
                   input->count);
    result = erofs_begin(&image, fd, &limits, error);
    if (result == 0) {
        result = layer_stream_open(&stream, &source, resolution->limit, resolution->progress,
                                   error);
        if (result == 0)
            result = unpack(input, &stream, &image, error);
        /* A full disk says nothing of the blob. */
        if (result < 0 && error->number != ENOSPC && error->number != EDQUOT)
            prefer_mismatch(input, &stream, error);
        layer_stream_close(&stream);
    }
    erofs_end(&image);
    input->close(input->context);
    return result;
}

int layer_image(struct resolution *resolution, const struct layer_input *input,
                struct error *error)
{
    struct cache_entry entry;
    cleanup_free char *path = NULL;

    if (cache_get(resolution->cache, "sha256-", &input->diff_id, &entry, error) < 0)
        return -error->number;
    if (entry.fd >= 0 && (make(resolution, input, entry.fd, error) < 0 ||
                          cache_keep(&entry, error) < 0)) {
        cache_drop(&entry);
        return named(input, error);
    }
    path = cache_path(&entry);
    if (!path)
        return error_system(error, ENOMEM, "the cache");
    return resolution_add_layer(resolution, path, &input->diff_id, "erofs", error);
}
