/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONFIG_POOL_H
#define MOTE_CONFIG_POOL_H

/* The memory of a configuration's texts and devices: it only grows, and is released as a whole. */

#include <stddef.h>

struct config_block;

struct config_pool {
    struct config_block *newest;
};

/* SIZE zeroed bytes, aligned for anything; NULL: there is no memory. */
void *config_pool_allocate(struct config_pool *pool, size_t size);
/* A copy of TEXT; NULL: there is no memory. */
const char *config_pool_text(struct config_pool *pool, const char *text);
void config_pool_release(struct config_pool *pool);

#endif
