/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer's archive: any bytes give an image or one line of why not.  In an
 * image every name of the tree is found again, with its attributes, and none
 * that would climb; and a second layer inherits from it.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/images/erofs_reader.h"
#include "vmm/images/layer.h"
#include "vmm/images/layer_inherit.h"

#define LIMIT (8u << 20)

struct look {
    const struct erofs_view *folder;
    struct error error;
};

static int look(struct file_node *node, void *context)
{
    const struct look *above = context;
    struct erofs_view view;
    struct look here = { &view, ERROR_INIT };

    fuzz_require(strcmp(node->name, ".") != 0 && strcmp(node->name, "..") != 0);
    fuzz_require(node->name[0] != '\0' && !strchr(node->name, '/'));
    fuzz_require(strncmp(node->name, ".wh..wh.", 8) != 0);
    fuzz_require(erofs_view_child(above->folder, node->name, &view, &here.error) == 1);
    fuzz_require(le16toh(view.inode.mode) == (uint16_t)node->inode->mode);
    fuzz_require(le32toh(view.inode.uid) == node->inode->uid);
    fuzz_require(le64toh(view.inode.size) == node->inode->size);
    /* The whiteouts' inode has one user more, the layer. */
    fuzz_require(S_ISDIR(node->inode->mode) ||
                 le32toh(view.inode.links) == node->inode->users - node->inode->whiteout);
    return file_node_each(node, look, &here);
}

static int unpack(struct layer *layer, struct erofs *image, const uint8_t *data, size_t size,
                  struct error *error)
{
    struct archive *tar = archive_read_new();
    int result = 0;

    fuzz_require(tar && archive_read_support_format_tar(tar) == ARCHIVE_OK);
    if (archive_read_open_memory(tar, data, size) == ARCHIVE_OK)
        result = layer_unpack(layer, tar, image, error);
    archive_read_free(tar);
    return result;
}

static void check(const struct layer *layer, int fd)
{
    struct erofs_view root;
    struct look state = { &root, ERROR_INIT };
    struct layer upper;

    fuzz_require(erofs_view_root(fd, &root, &state.error) == 0);
    fuzz_require(file_node_each(layer->tree.root, look, &state) == 0);
    fuzz_require(layer_init(&upper, &state.error) == 0);
    fuzz_require(layer_inherit(&upper, &fd, 1, &state.error) == 0);
    fuzz_require(upper.tree.root->inode->mode == layer->tree.root->inode->mode);
    layer_release(&upper);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct erofs_limits limits = { LIMIT, LIMIT };
    static const uint8_t uuid[16];
    static int fd = -1;
    struct error error = ERROR_INIT;
    struct layer layer;
    struct erofs image;
    struct stat status;

    if (fd < 0)
        fd = memfd_create("image", MFD_CLOEXEC);
    fuzz_require(ftruncate(fd, 0) == 0);
    fuzz_require(layer_init(&layer, &error) == 0 && erofs_begin(&image, fd, &limits, &error) == 0);
    if (unpack(&layer, &image, data, size, &error) < 0 ||
        layer_finish(&layer, &image, uuid, &error) < 0)
        fuzz_require(error.message[0] && !strchr(error.message, '\n'));
    else
        check(&layer, fd);
    fuzz_require(fstat(fd, &status) == 0 && status.st_size <= LIMIT);
    erofs_end(&image);
    layer_release(&layer);
    return 0;
}
