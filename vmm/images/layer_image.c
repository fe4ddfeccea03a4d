/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/layer_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "guest/init/protocol.h"
#include "vmm/base/cleanup.h"
#include "vmm/images/erofs_image.h"
#include "vmm/images/layer_work.h"
#include "vmm/images/listing.h"

_Static_assert(LAYER_IMAGES_MAX <= RUN_LAYERS_MAX, "a job has as many");

enum { NAME_OF_LAYER, NAME_OF_CHAIN };

static int make(struct layer_work *making, const struct digest *chain, struct error *error)
{
    const struct layer_input *top = &making->inputs[making->count - 1];
    struct progress *progress = making->resolution->progress;
    struct staging staging = { .fd = making->entry->parts };
    struct layer_unpacked unpacked;
    bool of_chain;

    if (layer_work_verify(making, error) < 0 || layer_work_unpack(making, &unpacked, error) < 0)
        return -error->number;
    of_chain = making->count > 1 || unpacked.implies;
    staging.holes = unpacked.holes;
    if (making->count == 1)
        making->entry->chosen = of_chain ? NAME_OF_CHAIN : NAME_OF_LAYER;
    progress_begin(progress, unpacked.image, "making the image of layer %u of %u", top->number,
                   top->count);
    if (erofs_image_make(&staging, &(struct erofs_source){ .path = STAGING_ROOT },
                         making->entry->fd, making->resolution->sandbox,
                         of_chain ? chain->bytes : top->diff_id.bytes, progress, error) == 0)
        return 0;
    if (unpacked.longest[0])
        erofs_image_blame(unpacked.longest, error);
    return layer_named(top, error);
}

/* ChainID(stack, layer) = SHA-256(ChainID(stack) + " " + DiffID(layer)). */
static struct digest chain_above(const struct digest *chain, const struct layer_input *input)
{
    char text[2 * DIGEST_TEXT];

    if (input->number == 1)
        return input->diff_id;
    digest_text(chain, text);
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

/* An image of COUNT layers down from that of CHAIN has a name of its own, as other images cut the stack elsewhere. */
static struct cache_name several_name(const struct digest *chain, size_t count)
{
    char text[DIGEST_TEXT + 32];
    size_t length = strlen(digest_text(chain, text));

    snprintf(text + length, sizeof(text) - length, " %zu", count);
    return (struct cache_name){ "layers-", digest_of(text, strlen(text)), true };
}

/* The image of COUNT layers, from the cache or made. */
static int one_image(struct resolution *resolution, const struct layer_input *inputs, size_t count,
                     struct error *error)
{
    const struct layer_input *top = &inputs[count - 1];
    struct digest chain = resolution->chain;
    struct cache_name names[] = {
        [NAME_OF_LAYER] = { "sha256-", top->diff_id, true },
        [NAME_OF_CHAIN] = { "chain-", chain, true },
    };
    struct cache_entry entry;
    struct layer_work making = { .resolution = resolution, .inputs = inputs, .count = count,
                                 .entry = &entry };
    cleanup_free char *path = NULL;

    for (size_t i = 0; i < count; i++)
        chain = chain_above(&chain, &inputs[i]);
    names[NAME_OF_CHAIN].digest = chain;
    if (count > 1)
        names[0] = several_name(&chain, count);
    if (cache_get(resolution->cache, names, count > 1 ? 1 : ARRAY_LENGTH(names), &entry, error) < 0)
        return -error->number;
    if (entry.fd >= 0 && erofs_image_check(error) < 0) {
        cache_drop(&entry);
        return -error->number;
    }
    if (entry.fd >= 0 && (make(&making, &chain, error) < 0 || cache_keep(&entry, error) < 0)) {
        cache_drop(&entry);
        return -error->number;
    }
    path = cache_path(&entry);
    if (!path)
        return error_system(error, ENOMEM, "the cache");
    resolution->chain = chain;
    if (heed_opaque_root(resolution, path, error) < 0)
        return -error->number;
    return resolution_add_layer(resolution, path, count > 1 ? &chain : &top->diff_id, "erofs", error);
}

/*
 * How many layers share an image: a power of two, so that images which share
 * their bottom layers mostly share the images of these, too.
 */
static size_t layers_per_image(size_t count)
{
    size_t each = 1;

    while ((count + each - 1) / each > LAYER_IMAGES_MAX)
        each *= 2;
    return each;
}

int layer_images(struct resolution *resolution, const struct layer_input *inputs, size_t count,
                 struct error *error)
{
    size_t each = layers_per_image(count);

    for (size_t at = 0; at < count; at += each)
        if (one_image(resolution, inputs + at, count - at < each ? count - at : each, error) < 0)
            return -error->number;
    return 0;
}
