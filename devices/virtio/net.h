/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_NET_H
#define MOTE_VIRTIO_NET_H

/* What a network device may be told: plain values. */

#include <stdbool.h>
#include <stdint.h>

#include "devices/backend/passt.h"
#include "devices/backend/uplink.h"
#include "devices/rate_limit.h"
#include "devices/virtio/device.h"

enum net_kind { NET_NONE, NET_TAP, NET_TAP_FD, NET_USER };

#define NET_TAP_NAME_SIZE 64

struct net_options {
    enum net_kind kind;
    char tap[NET_TAP_NAME_SIZE]; /* of NET_TAP */
    int fd;           /* of NET_TAP_FD */
    bool offloads;    /* those of the tap */
    uint8_t mac[6];   /* zeroes: a random one */
    unsigned int pairs;
    struct passt_options user; /* of NET_USER */
    struct rate_limit_config receive_rate;  /* to the guest */
    struct rate_limit_config transmit_rate; /* from it */
};

/* A locally administered one, of one interface. */
int net_random_mac(uint8_t mac[6], struct error *error);

/* Other limits from now on; TIMER_FDS as rate_limit_change() has them, a limit each. */
int virtio_net_set_rates(struct virtio_device *device, const struct rate_limit_config *receive,
                         const struct rate_limit_config *transmit, int timer_fds[2], struct error *error);

extern const struct virtio_device_class net_class;

#endif
