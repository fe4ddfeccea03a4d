/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_NET_INTERNAL_H
#define MOTE_NET_INTERNAL_H

/*
 * The network device (virtio 1.2, 5.1): what its files share.
 *
 *   net.c           its life, features and configuration; who waits for what
 *   net_receive.c   frames from the uplink into the guest's buffers
 *   net_transmit.c  the guest's frames to the uplink
 *   net_control.c   the control queue
 *   net_state.c     saving and loading
 *
 * Each pair of queues has one descriptor of the uplink and waits for EPOLLIN
 * only while the guest has buffers, and for EPOLLOUT only while a frame of the
 * guest's could not leave.  So nothing spins: what stops is armed again by the
 * other side, by a kick, by the descriptor or by the rate limit's clock.
 *
 * A round over a queue ends after as many frames as the queue has entries; if
 * there may be more, the pair is served again after all that is ready by then.
 */

#include "devices/backend/uplink.h"
#include "devices/rate_limit.h"
#include "devices/virtio/device.h"
#include "devices/virtio/net.h"
#include "vmm/base/timer.h"

#define NET_QUEUE_SIZE 256

/* 5.1.3 */
#define NET_F_CSUM (1ull << 0)
#define NET_F_GUEST_CSUM (1ull << 1)
#define NET_F_MTU (1ull << 3)
#define NET_F_MAC (1ull << 5)
#define NET_F_GUEST_TSO4 (1ull << 7)
#define NET_F_GUEST_TSO6 (1ull << 8)
#define NET_F_GUEST_ECN (1ull << 9)
#define NET_F_GUEST_UFO (1ull << 10)
#define NET_F_HOST_TSO4 (1ull << 11)
#define NET_F_HOST_TSO6 (1ull << 12)
#define NET_F_HOST_ECN (1ull << 13)
#define NET_F_HOST_UFO (1ull << 14)
#define NET_F_MRG_RXBUF (1ull << 15)
#define NET_F_STATUS (1ull << 16)
#define NET_F_CTRL_VQ (1ull << 17)
#define NET_F_MQ (1ull << 22)
#define NET_F_GUEST_USO4 (1ull << 54)
#define NET_F_GUEST_USO6 (1ull << 55)
#define NET_F_HOST_USO (1ull << 56)

/* 5.1.6 */
#define NET_HDR_F_NEEDS_CSUM 1u
enum {
    NET_GSO_NONE = 0,
    NET_GSO_TCPV4 = 1,
    NET_GSO_UDP = 3,
    NET_GSO_TCPV6 = 4,
    NET_GSO_UDP_L4 = 5,
    NET_GSO_ECN = 0x80,
};

/* 5.1.4 */
struct net_config {
    uint8_t mac[6];
    uint16_t status;
    uint16_t pairs_max;
    uint16_t mtu;
};
_Static_assert(sizeof(struct net_config) == 12, "virtio 1.2, 5.1.4");
#define NET_S_LINK_UP 1u

struct net_counters {
    uint64_t received;         /* frames that the guest got */
    uint64_t received_dropped; /* that were larger than its buffers, or no frames */
    uint64_t sent;
    uint64_t sent_dropped; /* that the uplink refused, or that were no frames */
};

/*
 * Receive buffers of the guest that were popped before their frame is there,
 * end to end, so that the uplink writes into them at once however they are
 * split.  A frame that is larger than what waits here goes on in `spill`: it
 * is moved to further buffers where frames may take several, else dropped.
 */
#define NET_WINDOW_SEGMENTS 1023 /* and one for the spill: IOV_MAX */
struct net_window {
    struct net_buffer {
        uint16_t head;
        uint16_t segments;
        uint32_t bytes;
    } buffers[NET_QUEUE_SIZE];
    unsigned int first_buffer, buffer_count;
    struct iovec segments[NET_WINDOW_SEGMENTS + 1];
    unsigned int first_segment, segment_count;
    size_t bytes;    /* room in all buffers */
    size_t frame;    /* bytes of a frame that is in here already, header included; 0: none */
    size_t unspilled; /* of them, those before the spill */
    uint8_t spill[sizeof(struct uplink_header) + UPLINK_FRAME_MAX];
};

struct net;

struct net_pair {
    struct net *net;
    unsigned int index;
    bool registered;        /* the uplink's descriptor is in the loop */
    bool reading;           /* the guest has buffers: wait for EPOLLIN */
    bool stuck;             /* a frame waits for EPOLLOUT */
    unsigned int errors;    /* of receive, one after the other */
    struct net_window window;
    struct iovec outgoing[NET_QUEUE_SIZE + 1]; /* the first is the header's */
};

struct net {
    struct virtio_device virtio;
    struct net_config config;
    struct uplink *uplink; /* NULL: --net none */
    bool running;          /* from activate to reset */
    bool announced;        /* to the uplink, since then */
    bool ended;            /* the uplink did; the link is down */
    bool mac_given;        /* by the user, so it stays whatever is loaded */
    struct timer link_timer; /* until the link is up again; open while it is made to be down */
    unsigned int pair_count;
    unsigned int active;   /* pairs that the driver uses */
    size_t window_bytes;   /* that a frame may have, header included */
    struct rate_limit *receive_limit;
    struct rate_limit *transmit_limit;
    struct rate_limit *control_limit; /* ours, whatever the user says */
    struct log_limit drops_told, refusals_told;
    struct net_counters counters;
    struct net_pair pairs[];
};


/* As the class's create(), with UPLINK, which becomes the device's even on an error. */
int net_create_with(struct virtio_device **device, const struct virtio_env *env,
                    const struct net_options *options, struct uplink *uplink,
                    struct error *error);

struct virtqueue *net_receive_queue(struct net_pair *pair);
struct virtqueue *net_transmit_queue(struct net_pair *pair);

/* One round each; on the loop's thread. */
void net_receive(struct net_pair *pair);
void net_transmit(struct net_pair *pair);
void net_control(struct net *net, unsigned int queue);

/* The class's, see device.h. */
#define NET_STATE_VERSION 1
void net_state(struct virtio_device *device, struct state *state);
void net_drain(struct virtio_device *device);

/* From activate on: offloads and PAIRS are as the driver wants them. */
void net_run(struct net *net, unsigned int pairs);

/*
 * The buffers that were popped are the queue's again, as if they had not been.
 * A frame that waits in them for more moves to the spill as a whole.
 */
void net_release_buffers(struct net_pair *pair);

/* Forgets the buffers that were popped. */
void net_window_clear(struct net_window *window);

/* Waits for what the pair wants: EPOLLIN while reading, EPOLLOUT while stuck. */
void net_update_events(struct net_pair *pair);

/* The first PAIRS are the driver's from now on. */
int net_set_pairs(struct net *net, unsigned int pairs);

/* The uplink has ended: the guest's link is down for good. */
void net_uplink_ended(struct net *net, const char *reason);

#endif
