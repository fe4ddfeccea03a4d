/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_TRANSPORT_INTERNAL_H
#define MOTE_VIRTIO_TRANSPORT_INTERNAL_H

/*
 * The transport, its parts among themselves:
 *
 *   transport.c           status, features, queues, interrupts, configuration
 *   transport_doorbell.c  the driver's notifications, each queue's way to the loop
 *   transport_state.c     saving and loading
 */

#include "devices/virtio/transport.h"

/* What the device and the ring offer. */
uint64_t transport_offered(const struct virtio_transport *transport);
/* Whether each of the driver's features has those that it needs (2.2). */
bool transport_features_are_whole(const struct virtio_transport *transport);
/* The features are final: the queues follow them and get their doorbells; or a negative errno. */
int transport_open_queues(struct virtio_transport *transport);
/* As new, but for the generation. */
void transport_reset(struct virtio_transport *transport);
/* Interrupts for what came up while loading, now that the loop runs. */
void transport_interrupt_owed(struct virtio_transport *transport);

void doorbells_init(struct virtio_transport *transport);
void doorbells_release(struct virtio_transport *transport);
/* Gives QUEUE an eventfd in the loop, once. */
int doorbell_open(struct virtio_transport *transport, unsigned int queue);
/* Plain exits again. */
void doorbell_detach(struct virtio_transport *transport, unsigned int queue);
/* Has the loop serve QUEUE. */
void doorbell_ring(struct virtio_transport *transport, unsigned int queue);

#endif
