/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_ENTROPY_H
#define MOTE_VIRTIO_ENTROPY_H

/* What the entropy device may be told: plain values. */

#include "devices/rate_limit.h"
#include "devices/virtio/device.h"

/* Unless the user says otherwise: some hundredths of one CPU, far more than a guest needs. */
#define ENTROPY_DEFAULT_BYTES (16ull << 20)
#define ENTROPY_DEFAULT_OPERATIONS 20000

struct entropy_options {
    struct rate_limit_config rate;
};

extern const struct virtio_device_class entropy_class;

#endif
