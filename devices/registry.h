/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_REGISTRY_H
#define MOTE_REGISTRY_H

/* The table of devices: from a kind in the machine's records to the code. */

#include "devices/device.h"
#include "devices/virtio/device.h"
#include "vmm/machine/machine.h"

extern const struct device_ops serial_ops;    /* none of these takes options */
extern const struct device_ops power_ops;
extern const struct device_ops pvpanic_ops;
extern const struct device_ops boot_mark_ops;

extern const struct virtio_device_class block_class; /* options: struct block_options */
extern const struct virtio_device_class balloon_class;
extern const struct virtio_device_class entropy_class;
extern const struct virtio_device_class net_class;

/*
 * The virtio devices, by the command-line option that adds one; each option may
 * be given several times.  A new device is one file and one line here.
 */
struct virtio_row {
    const char *option;   /* without dashes */
    const char *argument; /* as the help shows it */
    const char *help;
    const struct virtio_device_class *class;
};

const struct virtio_row *virtio_registry(size_t *count);
/* The row of an option; NULL: there is none of that name. */
const struct virtio_row *virtio_registry_find(const char *option);

/* NULL for a kind that has no code here. */
const struct device_ops *device_registry_find(enum device_kind kind);

#endif
