/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/layer_inherit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "vmm/cleanup.h"
#include "vmm/images/erofs_reader.h"

static int is_implied(struct file_node *node, void *context)
{
    return node->inode->implied ? -1 : file_node_each(node, is_implied, context);
}

bool layer_implies_folders(const struct layer *layer)
{
    return is_implied(layer->tree.root, NULL) < 0;
}

/* The folders of the lower layers that a folder of this layer is merged with, the topmost first. */
struct below {
    struct erofs_view *views;
    size_t count;
    struct error *error;
};

static int visit(struct file_node *node, void *context);

/* Whether lower layers show through VIEW's folder. */
static int shows_through(const struct erofs_view *view, bool *through, struct error *error)
{
    bool opaque;

    if (erofs_view_is_opaque(view, &opaque, error) < 0)
        return -error->number;
    *through = !opaque;
    return 0;
}

/* What BELOW has under NAME: folders, until one that is opaque or another file ends them. */
static int merge(const struct below *below, const char *name, struct below *merged)
{
    bool through = true;

    for (size_t i = 0; i < below->count && through; i++) {
        struct erofs_view *view = &merged->views[merged->count];
        int found = erofs_view_child(&below->views[i], name, view, below->error);

        if (found < 0)
            return found;
        if (found == 0)
            continue;
        if (!erofs_view_is_folder(view))
            break;
        merged->count++;
        if (shows_through(view, &through, below->error) < 0)
            return -below->error->number;
    }
    return 0;
}

static int take(struct file_node *node, const struct below *merged)
{
    if (node->inode->implied && merged->count > 0 &&
        erofs_view_attributes(&merged->views[0], node->inode, merged->error) < 0)
        return -merged->error->number;
    return file_node_each(node, visit, (void *)(uintptr_t)merged);
}

static int visit(struct file_node *node, void *context)
{
    const struct below *below = context;
    struct below merged = { .error = below->error };
    int result;

    if (!S_ISDIR(node->inode->mode) || node->inode->opaque || below->count == 0)
        return 0;
    merged.views = calloc(below->count, sizeof(*merged.views));
    if (!merged.views)
        return error_system(below->error, ENOMEM, "the list of folders");
    result = merge(below, node->name, &merged);
    if (result == 0)
        result = take(node, &merged);
    free(merged.views);
    return result;
}

int layer_inherit(struct layer *layer, const int *images, size_t count, struct error *error)
{
    cleanup_free struct erofs_view *views = calloc(count + 1, sizeof(*views));
    struct below roots = { .views = views, .error = error };
    bool through = true;

    if (!views)
        return error_system(error, ENOMEM, "the list of folders");
    for (size_t i = count; i-- > 0 && through;) {
        struct erofs_view *root = &views[roots.count++];

        if (erofs_view_root(images[i], root, error) < 0 ||
            shows_through(root, &through, error) < 0)
            return -error->number;
    }
    return take(layer->tree.root, &roots);
}
