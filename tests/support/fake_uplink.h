/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_FAKE_UPLINK_H
#define MOTE_FAKE_UPLINK_H

/*
 * The host side of a network device under test: each pair of queues has a
 * socket pair that keeps the borders of frames, as a tap does, and every call
 * counts and can be told to fail.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/backend/uplink.h"
#include "devices/virtio/net_internal.h"

/* The calls to come of one kind: the first FAILURES of them return RESULT. */
struct fake_fault {
    ssize_t result; /* 0 or a negative errno */
    unsigned int failures;
};

struct fake_uplink {
    struct uplink uplink;
    int peers[UPLINK_PAIRS_MAX]; /* the network's end */
    struct fake_fault receive, send, set_pairs, set_offloads;
    unsigned int receives, sends, flushes;
    unsigned int pairs_set;    /* by the last set_pairs() */
    unsigned int offloads_set; /* by the last set_offloads() */
    bool unflushed;            /* what flush() says */
    void (*sent)(void);        /* called in each send, if set */
    bool *destroyed;
};

/* Everything that an uplink can do, with an MTU of 1500.  The device destroys it. */
struct fake_uplink *fake_uplink_create(unsigned int pairs);

/* A class whose device has the fake of the options: struct fake_net_options. */
struct fake_net_options {
    struct net_options net;
    struct fake_uplink *uplink; /* NULL: none */
};
extern const struct virtio_device_class fake_net_class;
/* Its options with an uplink of PAIRS, a number; free() ends them. */
void *fake_net_make(const char *pairs);

/* A frame of LENGTH bytes for the guest, with an empty header before it. */
void fake_uplink_put(struct fake_uplink *uplink, unsigned int pair, const void *frame,
                     size_t length);
/* The next message from the guest, header included; its length, or 0 for none. */
size_t fake_uplink_take(struct fake_uplink *uplink, unsigned int pair, void *bytes, size_t size);

/* Runs the loop for a while: nothing in it may spin, by this thread's own clock. */
void fake_uplink_expect_idle(struct event_loop *loop);

#endif
