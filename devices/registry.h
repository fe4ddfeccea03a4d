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

/* NULL for a kind that has no code here. */
const struct device_ops *device_registry_find(enum device_kind kind);

#endif
