/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_LAYER_STREAM_H
#define MOTE_IMAGES_LAYER_STREAM_H

/*
 * A layer's bytes on their way from the blob to the tar reader, and the digests
 * on both sides of the decompression:
 *
 *   source -> [packed digest] -> gzip, zstd, xz, bzip2 or none -> [unpacked digest] -> tar
 *
 * libarchive does both steps, as two readers of which the second reads from the
 * first.  The digests are complete when both have come to their end, so
 * layer_stream_end() reads what a tar reader leaves.
 */

#include <archive.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/base/error.h"
#include "vmm/images/digest.h"
#include "vmm/base/progress.h"

/* Where the packed bytes come from. */
struct byte_source {
    /* The next bytes, valid until the next call: their count, 0 at the end, or a negative errno. */
    ssize_t (*read)(void *context, const void **bytes, struct error *error);
    void *context;
};

struct layer_stream {
    struct byte_source source;
    struct progress *progress;
    uint64_t limit; /* of unpacked bytes: what a small blob may become */
    struct archive *packed, *tar;
    struct sha256_ctx packed_state, unpacked_state;
    uint64_t packed_bytes, unpacked_bytes;
    struct digest digest; /* of the packed bytes, once they have come to their end */
    bool drained;
    bool empty; /* not one byte: no entry, and no damage */
    struct error error; /* of the source, which libarchive cannot carry */
};

/* PACKED takes what layers and saved images are compressed by, as bytes of any kind. */
void layer_stream_support(struct archive *packed);

int layer_stream_open(struct layer_stream *stream, const struct byte_source *source,
                      uint64_t limit, struct progress *progress, struct error *error);

/* Reads to the source's end and tells the digests.  The unpacked one needs a good blob. */
int layer_stream_end(struct layer_stream *stream, struct digest *packed, struct digest *unpacked,
                     struct error *error);

/* As layer_stream_end(), when unpacking has failed: the packed digest alone. */
int layer_stream_drain(struct layer_stream *stream, struct digest *packed, struct error *error);

void layer_stream_close(struct layer_stream *stream);

#endif
