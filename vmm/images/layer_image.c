/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/layer_image.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/cleanup.h"
#include "vmm/command.h"
#include "vmm/images/erofs_image.h"
#include "vmm/images/layer.h"
#include "vmm/images/layer_inherit.h"
#include "vmm/images/listing.h"

enum { NAME_OF_LAYER, NAME_OF_CHAIN };

/* "layer sha256:…: " before the message, if there is one; the blob's digest where there is one. */
static int named(const struct layer_input *input, struct error *error)
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

/* What is made at a time. */
struct making {
    const struct resolution *resolution;
    const struct layer_input *input;
    const struct digest *chain; /* of this layer and those below */
    struct cache_entry *entry;
};

/* The lower layers' listings, into LAYERS, which has room for COUNT; *READ of them were begun. */
static int read_lower(const struct resolution *resolution, struct layer *layers, size_t count,
                      size_t *read, struct error *error)
{
    for (*read = 0; *read < count; ++*read) {
        cleanup_free char *path = cache_listing_path(resolution_path(resolution, *read));
        cleanup_fd int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

        if (fd < 0)
            return error_system(error, path ? errno : ENOMEM, "%s", path ? path : "the cache");
        if (layer_init(&layers[*read], error) < 0)
            return -error->number;
        if (listing_read(&layers[*read], fd, error) < 0) {
            layer_release(&layers[*read]);
            return -error->number;
        }
    }
    return 0;
}

/* Completes the folders that the archive only implies from the layers below. */
static int inherit(const struct making *making, struct layer *layer, struct error *error)
{
    size_t count = resolution_layers(making->resolution), read;
    cleanup_free struct layer *lower = calloc(count + 1, sizeof(*lower));
    int result;

    if (!lower)
        return error_system(error, ENOMEM, "the layer");
    result = read_lower(making->resolution, lower, count, &read, error);
    if (result == 0)
        result = layer_inherit(layer, lower, count, error);
    while (read-- > 0)
        layer_release(&lower[read]);
    return result;
}

/* What the process that unpacks has to tell. */
struct unpacked {
    struct error error;
    uint64_t image; /* bytes that it will have */
    bool implies, holes;
};

/* From the layer's tree to what its image is made of, and its listing. */
static int finish(const struct making *making, struct layer *layer, struct staging *staging,
                  struct unpacked *unpacked)
{
    unpacked->implies = layer_implies_folders(layer);
    if ((unpacked->implies && inherit(making, layer, &unpacked->error) < 0) ||
        staging_tree(staging, layer->tree.root, &unpacked->error) < 0 ||
        listing_write(layer, making->entry->listing, &unpacked->error) < 0)
        return -unpacked->error.number;
    unpacked->image = staging->image;
    unpacked->holes = staging->holes;
    return 0;
}

static int unpack_stream(const struct making *making, struct layer_stream *stream,
                         struct staging *staging, struct unpacked *unpacked)
{
    struct error *error = &unpacked->error;
    struct layer layer;
    int result = layer_init(&layer, error);

    if (result == 0)
        result = layer_unpack(&layer, stream->tar, staging, error);
    if (result == 0)
        result = check_digests(making->input, stream, error);
    if (result == 0)
        result = finish(making, &layer, staging, unpacked);
    layer_release(&layer);
    return result;
}

static int unpack(const struct making *making, struct unpacked *unpacked)
{
    const struct resolution *resolution = making->resolution;
    const struct layer_input *input = making->input;
    struct staging_limits limits = resolution_limits(resolution);
    struct error *error = &unpacked->error;
    struct byte_source source;
    struct layer_stream stream;
    struct staging staging;
    int result;

    if (input->open(input->context, &source, error) < 0)
        return -error->number;
    progress_begin(resolution->progress, input->size, "unpacking layer %u of %u", input->number,
                   input->count);
    result = staging_begin(&staging, making->entry->parts, &limits, error);
    if (result == 0) {
        result = layer_stream_open(&stream, &source, resolution->limit, resolution->progress,
                                   error);
        if (result == 0)
            result = unpack_stream(making, &stream, &staging, unpacked);
        /* A full disk says nothing of the blob. */
        if (result < 0 && error->number != ENOSPC && error->number != EDQUOT)
            prefer_mismatch(input, &stream, error);
        layer_stream_close(&stream);
    }
    staging_end(&staging);
    input->close(input->context);
    return result;
}

/* ---- the process that verifies ------------------------------------------- */

/*
 * Whether the blob is what its digests say, by a process of its own, before another parses the archive: whoever breaks
 * into that one falsifies the image of their own archive at most, not that of one whose digest they claim.
 */
static int verify(const struct making *making, struct unpacked *unpacked)
{
    const struct layer_input *input = making->input;
    struct progress *progress = making->resolution->progress;
    struct byte_source source;
    struct layer_stream stream;
    int result = input->open(input->context, &source, &unpacked->error);

    if (result < 0)
        return result;
    progress_begin(progress, input->size, "checking layer %u of %u", input->number, input->count);
    result = layer_stream_open(&stream, &source, making->resolution->limit, progress, &unpacked->error);
    if (result == 0)
        result = check_digests(input, &stream, &unpacked->error);
    if (result < 0)
        prefer_mismatch(input, &stream, &unpacked->error);
    layer_stream_close(&stream);
    input->close(input->context);
    return result;
}

/* ---- the process that unpacks -------------------------------------------- */

/* What such a process does; it writes to the image's parts or to nothing. */
struct work {
    int (*run)(const struct making *making, struct unpacked *unpacked);
    bool writes;
};

static _Noreturn void be_worker(const struct making *making, const struct work *work, pid_t parent, int pipe)
{
    struct unpacked unpacked = { .error = ERROR_INIT };
    int folder = work->writes ? making->entry->parts : -1;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        _exit(1);
    if (sandbox_confine(making->resolution->sandbox, folder, -1, &unpacked.error) == 0) {
        sandbox_thread(making->resolution->sandbox, SANDBOX_UNPACK);
        /* What was refused and passed over is no error. */
        if (work->run(making, &unpacked) == 0)
            unpacked.error.number = 0;
    }
    progress_end(making->resolution->progress);
    _exit(write(pipe, &unpacked, sizeof(unpacked)) == (ssize_t)sizeof(unpacked) ? 0 : 1);
}

/* What comes may be an attacker's words. */
static int take_words(struct unpacked *unpacked, struct error *error)
{
    char *at = unpacked->error.message;

    at[sizeof(unpacked->error.message) - 1] = '\0';
    for (; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
    if (unpacked->error.number == 0)
        return 0;
    return error_set(error, unpacked->error.number > 0 ? unpacked->error.number : EIO, "%s",
                     unpacked->error.message);
}

/* Waits for PROCESS, which tells by PIPE. */
static int await_worker(pid_t process, int pipe, struct unpacked *unpacked, struct error *error)
{
    ssize_t length;
    int status;

    do
        length = read(pipe, unpacked, sizeof(*unpacked));
    while (length < 0 && errno == EINTR);
    while (waitpid(process, &status, 0) < 0)
        if (errno != EINTR)
            return error_system(error, errno, "the process that unpacks");
    if (length == (ssize_t)sizeof(*unpacked))
        return take_words(unpacked, error);
    /* Its last words went to the jail's supervisor, who tells of them: once is enough. */
    if ((WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) ||
        (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_FAILED)) {
        *error = (struct error){ .number = ECANCELED };
        return -error->number;
    }
    return error_set(error, EIO, "the process that unpacks it was ended (%s%s); fetch it anew, "
                     "unless the host had no memory left", WIFSIGNALED(status) ? "SIG" : "no reason given",
                     WIFSIGNALED(status) && sigabbrev_np(WTERMSIG(status))
                         ? sigabbrev_np(WTERMSIG(status)) : "");
}

/* The archive is read in a process that does nothing else, and may do little. */
static int work_apart(const struct making *making, const struct work *work, struct unpacked *unpacked,
                      struct error *error)
{
    pid_t parent = getpid(), process;
    cleanup_fd int from = -1;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_system(error, errno, "the process that unpacks");
    from = ends[0];
    process = fork();
    if (process == 0)
        be_worker(making, work, parent, ends[1]);
    close(ends[1]);
    if (process < 0)
        return error_system(error, errno, "the process that unpacks");
    return await_worker(process, from, unpacked, error);
}

static int make(const struct making *making, struct error *error)
{
    const struct layer_input *input = making->input;
    struct progress *progress = making->resolution->progress;
    struct staging staging = { .fd = making->entry->parts };
    struct unpacked unpacked = { .error = ERROR_INIT };

    if (work_apart(making, &(struct work){ .run = verify }, &unpacked, error) < 0 ||
        work_apart(making, &(struct work){ .run = unpack, .writes = true }, &unpacked, error) < 0)
        return -error->number;
    staging.holes = unpacked.holes;
    making->entry->chosen = unpacked.implies ? NAME_OF_CHAIN : NAME_OF_LAYER;
    progress_begin(progress, unpacked.image, "making the image of layer %u of %u", input->number,
                   input->count);
    return erofs_image_make(&staging, &(struct erofs_source){ .path = STAGING_ROOT },
                            making->entry->fd, making->resolution->sandbox,
                            unpacked.implies ? making->chain->bytes : input->diff_id.bytes,
                            progress, error);
}

/* ChainID(stack, layer) = SHA-256(ChainID(stack) + " " + DiffID(layer)). */
static struct digest chain_of(const struct resolution *resolution,
                              const struct layer_input *input)
{
    char text[2 * DIGEST_TEXT];

    if (input->number == 1)
        return input->diff_id;
    digest_text(&resolution->chain, text);
    text[DIGEST_TEXT - 1] = ' ';
    digest_text(&input->diff_id, text + DIGEST_TEXT);
    return digest_of(text, strlen(text));
}

/* Overlayfs merges the roots whatever their attributes; a root that hides the rest stands alone. */
static int heed_opaque_root(struct resolution *resolution, const char *path, struct error *error)
{
    cleanup_free char *listing = cache_listing_path(path);
    cleanup_fd int fd = listing ? open(listing, O_RDONLY | O_CLOEXEC) : -1;
    bool opaque;

    if (fd < 0)
        return error_system(error, listing ? errno : ENOMEM, "%s", path);
    if (listing_root_is_opaque(fd, &opaque, error) < 0)
        return -error->number;
    if (opaque)
        resolution_clear(resolution);
    return 0;
}

int layer_image(struct resolution *resolution, const struct layer_input *input,
                struct error *error)
{
    struct digest chain = chain_of(resolution, input);
    const struct cache_name names[] = {
        [NAME_OF_LAYER] = { "sha256-", input->diff_id, true },
        [NAME_OF_CHAIN] = { "chain-", chain, true },
    };
    struct cache_entry entry;
    struct making making = { resolution, input, &chain, &entry };
    cleanup_free char *path = NULL;

    if (cache_get(resolution->cache, names, ARRAY_LENGTH(names), &entry, error) < 0)
        return -error->number;
    if (entry.fd >= 0 && erofs_image_check(error) < 0) {
        cache_drop(&entry);
        return -error->number;
    }
    if (entry.fd >= 0 && (make(&making, error) < 0 || cache_keep(&entry, error) < 0)) {
        cache_drop(&entry);
        return named(input, error);
    }
    path = cache_path(&entry);
    if (!path)
        return error_system(error, ENOMEM, "the cache");
    resolution->chain = chain;
    if (heed_opaque_root(resolution, path, error) < 0)
        return -error->number;
    return resolution_add_layer(resolution, path, &input->diff_id, "erofs", error);
}
