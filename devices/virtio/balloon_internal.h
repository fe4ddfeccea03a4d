/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_BALLOON_INTERNAL_H
#define MOTE_VIRTIO_BALLOON_INTERNAL_H

/* What the balloon (balloon.c) and its statistics (balloon_stats.c) share. */

#include "devices/rate_limit.h"
#include "devices/virtio/balloon.h"
#include "vmm/base/timer.h"

#define BALLOON_QUEUE_SIZE 256

/* 5.5.4 */
struct balloon_config {
    uint32_t num_pages;
    uint32_t actual;
    uint32_t free_page_hint_cmd_id;
    uint32_t poison_val;
};
_Static_assert(sizeof(struct balloon_config) == 16, "virtio 1.2, 5.5.4");

/* Queues 0 and 1; those after them close up where a feature was not negotiated. */
enum { INFLATE, DEFLATE, FIRST_OPTIONAL };
#define BALLOON_NO_QUEUE UINT32_MAX

struct balloon {
    struct virtio_device virtio;
    struct balloon_config config; /* little-endian, as the driver reads it */
    struct rate_limit *rate;
    uint64_t stats[BALLOON_STAT_COUNT];
    unsigned int stats_queue;     /* or BALLOON_NO_QUEUE */
    unsigned int reporting_queue; /* or BALLOON_NO_QUEUE */
    uint64_t stats_period;        /* seconds */
    struct timer timer;           /* for the next account; open with statistics alone */
    bool stats_held;              /* the buffer with STATS_HEAD is ours until we want news */
    uint16_t stats_head;
};

/* Opens the timer, which is not set yet. */
int balloon_stats_open(struct balloon *balloon, struct error *error);

/* The driver put an account into the statistics queue. */
void balloon_take_stats(struct balloon *balloon);
/* The buffer that is held is the queue's again, and will be taken anew. */
void balloon_release_stats(struct balloon *balloon);
void balloon_stats_forget(struct balloon *balloon);

#endif
