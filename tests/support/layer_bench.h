/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_LAYER_BENCH_H
#define MOTE_LAYER_BENCH_H

/* A layer under test: an archive that is made entry by entry, and a private folder for it. */

#include "tests/support/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/tar.h"
#include "vmm/images/layer.h"

#define LIMIT (64u << 20)

struct world {
    struct tar tar;
    struct layer layer;
    struct staging staging;
    struct error error;
    char path[32];
    int fd;
};

static inline int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    static const struct staging_limits limits = { LIMIT, 2 * LIMIT };

    *state = world;
    strcpy(world->path, "/tmp/mote-test-XXXXXX");
    world->fd = mkdtemp(world->path) ? open(world->path, O_RDONLY | O_DIRECTORY) : -1;
    return layer_init(&world->layer, &world->error) < 0 ||
           staging_begin(&world->staging, world->fd, &limits, &world->error) < 0;
}

static inline int tear_down(void **state)
{
    struct world *world = *state;
    char command[64];

    staging_end(&world->staging);
    layer_release(&world->layer);
    close(world->fd);
    snprintf(command, sizeof(command), "rm -rf %s", world->path);
    free(world->tar.bytes);
    free(world);
    return system(command);
}

static inline void add(struct world *world, char type, const char *name, const char *rest)
{
    struct tar_entry entry = { .name = name, .type = type };

    if (type == '0' && rest) {
        entry.content = rest;
        entry.size = strlen(rest);
    } else {
        entry.link = rest;
    }
    tar_add(&world->tar, &entry);
}

/* Reads the archive as it is, without an end. */
static inline int unpack_open(struct world *world)
{
    struct archive *tar = archive_read_new();
    int result;

    archive_read_support_format_tar(tar);
    assert_int_equal(archive_read_open_memory(tar, world->tar.bytes, world->tar.length),
                     ARCHIVE_OK);
    result = layer_unpack(&world->layer, tar, &world->staging, &world->error);
    archive_read_free(tar);
    return result;
}

static inline int unpack(struct world *world)
{
    int result;

    tar_end(&world->tar);
    result = unpack_open(world);
    return result < 0 ? result
                      : staging_tree(&world->staging, world->layer.tree.root, &world->error);
}

static inline void refused(struct world *world, const char *text)
{
    assert_true(unpack(world) < 0);
    if (!strstr(world->error.message, text))
        fail_msg("'%s' is not in '%s'", text, world->error.message);
}

/* The inode at a path of single slashes; NULL when there is none. */
static const struct file_inode *find(const struct world *world, const char *path)
{
    const struct file_node *node = world->layer.tree.root;
    char copy[256], *save = NULL;

    strcpy(copy, path);
    for (char *name = strtok_r(copy, "/", &save); name && node; name = strtok_r(NULL, "/", &save))
        node = file_node_child(node, name);
    return node ? node->inode : NULL;
}

#endif
