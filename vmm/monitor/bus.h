/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BUS_H
#define MOTE_BUS_H

/*
 * An address space of devices: guest-physical MMIO or, where an architecture
 * has them, I/O ports.
 * Windows are added while the VM is built; from the first look-up on the bus
 * does not change, so look-ups need no lock.
 */

#include <stddef.h>
#include <stdint.h>

#include "devices/device.h"
#include "vmm/base/error.h"

#define BUS_WINDOWS_MAX 128

struct bus_window {
    uint64_t base;
    uint64_t size;
    struct device *device; /* not owned */
};

struct bus {
    size_t count;
    struct bus_window windows[BUS_WINDOWS_MAX]; /* sorted by base, disjoint */
};

/* -EINVAL, -ENOSPC or -EEXIST with a message: empty, too many, overlapping. */
int bus_add(struct bus *bus, uint64_t base, uint64_t size, struct device *device,
            struct error *error);

/*
 * A guest's access.  What no window covers wholly reads as all ones, as an
 * empty bus floats high, and swallows writes.
 */
void bus_read(struct bus *bus, uint64_t address, uint8_t *bytes, size_t length);
void bus_write(struct bus *bus, uint64_t address, const uint8_t *bytes, size_t length);

#endif
