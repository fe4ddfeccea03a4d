/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_DEVICE_H
#define MOTE_DEVICE_H

/*
 * What a device is and what it may touch.
 *
 * A device answers reads and writes of a small register window.  It is made
 * from a device_env, which holds all of the world that it may use: the guest's
 * memory, the event loop, its interrupt line, a place to report guest events,
 * the log and perhaps the terminal.  It knows nothing of KVM, of vCPUs or of other devices.
 *
 * Locking: each device has one mutex, taken by whoever dispatches to it (the
 * bus for registers, the event loop for descriptors), never by the device
 * itself.  A device never calls another, so there is no lock order to keep.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"
#include "vmm/machine/guest_event.h"
#include "vmm/machine/guest_memory.h"
#include "vmm/machine/irq_line.h"
#include "vmm/base/log.h"

struct console;
struct device;
struct state;

struct device_env {
    struct guest_memory *memory;
    struct event_loop *loop;
    struct irq_line irq;
    struct guest_event_sink *events;
    struct console *console; /* the terminal, for the one device that is the guest's console */
    struct log *log;
};

struct device_ops {
    const char *name;

    /* OPTIONS is the device's own options type, NULL for defaults. */
    int (*create)(struct device **device, const struct device_env *env, const void *options,
                  struct error *error);
    void (*destroy)(struct device *device);

    /*
     * OFFSET lies inside the window and so does OFFSET + LENGTH; LENGTH is 1,
     * 2, 4 or 8.  Both values are the guest's choice.  read() fills all of
     * BYTES, little-endian.
     */
    void (*read)(struct device *device, uint64_t offset, uint8_t *bytes, size_t length);
    void (*write)(struct device *device, uint64_t offset, const uint8_t *bytes, size_t length);

    /*
     * Saves the device, or loads it into one just created with the same options
     * (vmm/machine/state.h): all that the guest could tell apart.  No vCPU runs, the
     * lock is held, and guest memory is as it was or will be.  Optional, for a
     * device that has no state.
     */
    void (*state)(struct device *device, struct state *state);
    /*
     * Before saving, lock held: finishes what is in flight, so that nothing
     * touches guest memory until the lock is released.  It may raise the
     * interrupt line.  Optional.
     */
    void (*drain)(struct device *device);
};

/* The first member of every device's own struct. */
struct device {
    const struct device_ops *ops;
    pthread_mutex_t lock;
    bool written; /* a guest wrote to a register, ever */
};

static inline void device_init(struct device *device, const struct device_ops *ops)
{
    device->ops = ops;
    device->written = false;
    pthread_mutex_init(&device->lock, NULL);
}

static inline void device_release(struct device *device)
{
    pthread_mutex_destroy(&device->lock);
}

#endif
