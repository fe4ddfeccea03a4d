/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/pool.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct config_block {
    struct config_block *older;
    alignas(max_align_t) unsigned char bytes[];
};

void *config_pool_allocate(struct config_pool *pool, size_t size)
{
    struct config_block *block = calloc(1, sizeof(*block) + size);

    if (!block)
        return NULL;
    block->older = pool->newest;
    pool->newest = block;
    return block->bytes;
}

const char *config_pool_text(struct config_pool *pool, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = config_pool_allocate(pool, size);

    return copy ? memcpy(copy, text, size) : NULL;
}

void config_pool_release(struct config_pool *pool)
{
    while (pool->newest) {
        struct config_block *older = pool->newest->older;

        free(pool->newest);
        pool->newest = older;
    }
}
