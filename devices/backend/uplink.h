/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_UPLINK_H
#define MOTE_UPLINK_H

/*
 * Where a network device's frames go on the host: a tap or passt.
 *
 * A frame travels behind a virtio_net_hdr of 12 bytes (virtio 1.2, 5.1.6), in
 * both directions, in as many pieces as there are.  An uplink without offloads
 * writes an empty header and ignores the one that it gets.
 *
 * An uplink has one descriptor for each pair of queues, which the device waits
 * for with an event loop.  No call blocks.  All calls are made with the
 * device's lock held.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"
#include "vmm/base/log.h"

#define UPLINK_PAIRS_MAX 7

/* virtio 1.2, 5.1.6; num_buffers is always there with VIRTIO_F_VERSION_1. */
struct uplink_header {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t header_length;
    uint16_t gso_size;
    uint16_t checksum_start;
    uint16_t checksum_offset;
    uint16_t buffers;
};
_Static_assert(sizeof(struct uplink_header) == 12, "virtio 1.2, 5.1.6");

/* An IP packet of 64 KiB, an Ethernet header and two VLAN tags, rounded up. */
#define UPLINK_FRAME_MAX 65600u
#define UPLINK_FRAME_MIN 14u

/* What the guest leaves to the receiver of its frames, and takes itself. */
enum {
    UPLINK_CHECKSUM = 1u << 0,
    UPLINK_TSO4 = 1u << 1,
    UPLINK_TSO6 = 1u << 2,
    UPLINK_TSO_ECN = 1u << 3,
    UPLINK_UFO = 1u << 4,
    UPLINK_USO4 = 1u << 5,
    UPLINK_USO6 = 1u << 6,
};

struct uplink;

struct uplink_ops {
    /*
     * Header and frame of the next one into SEGMENTS; their bytes, as far as
     * they fitted.  -EAGAIN: there is none now, the descriptor tells.  0 or
     * -EPIPE: there will never be one again.  Others are worth another try.
     */
    ssize_t (*receive)(struct uplink *uplink, unsigned int pair, const struct iovec *segments,
                       int count);
    /*
     * Takes one whole frame, or none of it: -EAGAIN waits for EPOLLOUT, -EPIPE
     * is for ever, -EACCES: refusal() tells, with others the frame is lost.  The first of SEGMENTS, which
     * may be changed, is the header and nothing else.
     */
    ssize_t (*send)(struct uplink *uplink, unsigned int pair, struct iovec *segments, int count);
    /* After a batch of frames: false when some of it waits for EPOLLOUT.  Optional. */
    bool (*flush)(struct uplink *uplink, unsigned int pair);
    /*
     * The guest is at MAC, and may never send a frame by which that could be learned: told once for each start of the device,
     * before the guest's first.  False: later.  Optional.
     */
    bool (*announce)(struct uplink *uplink, const uint8_t mac[6]);
    /* The guest takes frames with OFFLOADS from now on.  Optional. */
    int (*set_offloads)(struct uplink *uplink, unsigned int offloads);
    /* Only the first PAIRS get frames.  Optional. */
    int (*set_pairs)(struct uplink *uplink, unsigned int pairs);
    /* After -EACCES, that a frame may not go where it wants to: why, for the user, or NULL. Optional. */
    const char *(*refusal)(struct uplink *uplink);
    /* Why it ended, after -EPIPE, in a few words. */
    const char *(*reason)(struct uplink *uplink);
    void (*destroy)(struct uplink *uplink);
};

/* The first member of each. */
struct uplink {
    const struct uplink_ops *ops;
    char name[16];          /* for messages: "tap0" */
    unsigned int pairs;
    unsigned int offloads;  /* that it can do */
    uint16_t mtu;           /* 0: none to tell */
    int fds[UPLINK_PAIRS_MAX];
};

#endif
