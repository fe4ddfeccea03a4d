/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/layer_stream.h"

#include <errno.h>

/* ---- the two readers ---- */

static ssize_t take_packed(struct layer_stream *stream, const void **bytes)
{
    ssize_t length = stream->source.read(stream->source.context, bytes, &stream->error);

    if (length > 0) {
        sha256_update(&stream->packed_state, (size_t)length, *bytes);
        stream->packed_bytes += (uint64_t)length;
        progress_add(stream->progress, (uint64_t)length);
    }
    return length;
}

static la_ssize_t read_packed(struct archive *archive, void *context, const void **bytes)
{
    struct layer_stream *stream = context;
    ssize_t length = take_packed(stream, bytes);

    if (length < 0) {
        archive_set_error(archive, stream->error.number, "%s", stream->error.message);
        return ARCHIVE_FATAL;
    }
    return length;
}

/* The unpacked bytes, which must be of one piece: the raw format has no holes but in what lies. */
static la_ssize_t read_unpacked(struct archive *archive, void *context, const void **bytes)
{
    struct layer_stream *stream = context;
    la_int64_t offset;
    size_t length = 0;
    int state;

    if (stream->empty)
        return 0;
    do
        state = archive_read_data_block(stream->packed, bytes, &length, &offset);
    while (state == ARCHIVE_RETRY || (state == ARCHIVE_OK && length == 0));
    if (state == ARCHIVE_EOF)
        return 0;
    if (state < ARCHIVE_WARN) {
        archive_set_error(archive, EIO, "%s", archive_error_string(stream->packed)
                                                  ? archive_error_string(stream->packed)
                                                  : "it cannot be decompressed");
        return ARCHIVE_FATAL;
    }
    if (length > stream->limit - stream->unpacked_bytes) {
        archive_set_error(archive, EFBIG, "it unpacks to more than the limit of %llu MiB; raise "
                          "--limit", (unsigned long long)stream->limit >> 20);
        return ARCHIVE_FATAL;
    }
    stream->unpacked_bytes += length;
    sha256_update(&stream->unpacked_state, length, *bytes);
    return (la_ssize_t)length;
}

static int failed(struct archive *archive, struct error *error)
{
    const char *text = archive_error_string(archive);

    return error_set(error, EIO, "cannot be unpacked (%s); build or fetch it anew",
                     text ? text : "it is damaged");
}

void layer_stream_support(struct archive *packed)
{
    archive_read_support_filter_gzip(packed);
    archive_read_support_filter_zstd(packed);
    archive_read_support_filter_xz(packed);
    archive_read_support_filter_bzip2(packed);
    archive_read_support_format_raw(packed);
    archive_read_support_format_empty(packed);
}

static int open_packed(struct layer_stream *stream, struct error *error)
{
    struct archive_entry *entry;
    int state = archive_read_open2(stream->packed, stream, NULL, read_packed, NULL, NULL);

    if (state == ARCHIVE_OK)
        state = archive_read_next_header(stream->packed, &entry);
    stream->empty = state == ARCHIVE_EOF;
    if (state != ARCHIVE_OK && !stream->empty)
        return stream->error.number ? (*error = stream->error, -error->number)
                                    : failed(stream->packed, error);
    return 0;
}

int layer_stream_open(struct layer_stream *stream, const struct byte_source *source,
                      uint64_t limit, struct progress *progress, struct error *error)
{
    *stream = (struct layer_stream){ .source = *source, .progress = progress, .limit = limit };
    sha256_init(&stream->packed_state);
    sha256_init(&stream->unpacked_state);
    stream->packed = archive_read_new();
    stream->tar = archive_read_new();
    if (!stream->packed || !stream->tar)
        return error_system(error, ENOMEM, "the layer");
    layer_stream_support(stream->packed);
    if (open_packed(stream, error) < 0)
        return -error->number;
    archive_read_support_format_tar(stream->tar);
    archive_read_support_format_empty(stream->tar);
    if (archive_read_open2(stream->tar, stream, NULL, read_unpacked, NULL, NULL) != ARCHIVE_OK)
        return failed(stream->tar, error);
    return 0;
}

/* ---- the end ---- */

int layer_stream_drain(struct layer_stream *stream, struct digest *packed, struct error *error)
{
    const void *bytes;
    ssize_t length;

    do
        length = stream->error.number ? -stream->error.number
                 : stream->drained    ? 0
                                      : take_packed(stream, &bytes);
    while (length > 0);
    if (length < 0) {
        *error = stream->error;
        return -error->number;
    }
    if (!stream->drained)
        stream->digest = digest_end(&stream->packed_state);
    stream->drained = true;
    *packed = stream->digest;
    return 0;
}

int layer_stream_end(struct layer_stream *stream, struct digest *packed, struct digest *unpacked,
                     struct error *error)
{
    const void *bytes;
    la_ssize_t length;

    do
        length = read_unpacked(stream->tar, stream, &bytes);
    while (length > 0);
    if (length < 0)
        return failed(stream->tar, error);
    *unpacked = digest_end(&stream->unpacked_state);
    return layer_stream_drain(stream, packed, error);
}

void layer_stream_close(struct layer_stream *stream)
{
    if (stream->tar)
        archive_read_free(stream->tar);
    if (stream->packed)
        archive_read_free(stream->packed);
    stream->tar = stream->packed = NULL;
}
