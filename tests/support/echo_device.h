/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_ECHO_DEVICE_H
#define MOTE_ECHO_DEVICE_H

/*
 * The smallest virtio device, to test the transport and the queues: it copies
 * what a chain has to read into what it has to write, and counts every call.
 */

#include "devices/virtio/device.h"

#define ECHO_QUEUES 3
#define ECHO_QUEUE_SIZE 256
#define ECHO_CONFIG_SIZE 10
#define ECHO_FEATURES 0x0000001400000005ull /* bits 0, 2, 34 and 36 */

struct echo_options { /* NULL: none of it */
    bool notifies_at_once; /* the driver, of all queues, when it is activated */
};

struct echo_device {
    struct virtio_device virtio;
    const struct echo_options *options;
    uint8_t config[ECHO_CONFIG_SIZE];
    unsigned int activations, resets, config_writes;
    unsigned int kicks[ECHO_QUEUES];
    unsigned int chains;
    uint32_t config_offset; /* of the last config_write() */
    size_t config_length;
    bool hold; /* kicks are counted and nothing is popped */
    void (*serves)(void); /* called amid each chain; NULL: nothing is */
};

extern const struct virtio_device_class echo_class;

#endif
