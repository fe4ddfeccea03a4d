/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VECTOR_TRANSPORT_H
#define MOTE_VECTOR_TRANSPORT_H

/*
 * A second transport beside virtio-mmio, as small as one can be, and nobody's but the
 * tests': other registers in other places, a vector for each queue and one for the
 * configuration, as a device has them with MSI-X (virtio 1.2, 4.1.4.3).  It shows that
 * devices/virtio/transport.c serves any transport.
 */

#include "tests/support/fake_driver.h"

/* Vectors beyond these are none: nobody is interrupted. */
#define VECTOR_NONE 0xffffu

/* For fake_driver_create_on(): its queue N interrupts by vector N + 1, its configuration by 0. */
extern const struct fake_transport fake_vectors;

#endif
