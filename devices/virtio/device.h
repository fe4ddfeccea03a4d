/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VIRTIO_DEVICE_H
#define MOTE_VIRTIO_DEVICE_H

/*
 * What a virtio device is, apart from its transport.
 *
 * A device class is a const record: data first, then what to call.  The
 * transport (transport.h) negotiates features and checks queues; the device
 * serves chains.  It never sees a descriptor or an address.
 *
 * The life of a device, all of it under its lock:
 *
 *   create     options checked, back end open; no queue is there yet
 *   activate   the driver set DRIVER_OK: features are final, the queues that
 *              it wants are ready
 *   kick       the driver put chains into queue N (or may have)
 *   drain      the VM is saved: nothing may be in flight
 *   state      saves; or loads into a device that was just created, which is
 *              activated right after if it was active
 *   reset      no queue any more
 *   destroy    after a reset
 *
 * Kicks and back-end events come on the I/O loop's thread, never on a vCPU's.
 *
 * How a virtio device is added, called NAME here.  Three files are new, one gets two lines:
 *
 *   devices/virtio/NAME.h      struct NAME_options, plain values; its class is declared
 *   devices/virtio/NAME.c      the class.  create() calls virtio_device_init(); for a device
 *                              that answers at once, kick() is virtio_serve()
 *   vmm/config/device_NAME.c   its row: the option, its help, the schema of its values
 *   vmm/config/device.h        the header's name, and a line in DEVICE_TYPES
 *
 * No other code names it: command line, JSON, validation, --help, clones, snapshots and the
 * transport take it from there.  What is slow or touches the host is a back end in
 * devices/backend/, which works on descriptors that it is given; the supervisor opens them
 * (vmm/supervisor/host_files.c).
 *
 * With it come tests/unit/test_NAME.c, against tests/support/fake_driver.h;
 * tests/fuzz/fuzz_NAME.c, of tests/fuzz/virtio_harness.h; its kind in
 * tests/support/saved_devices.c, for saved states that were altered; and its page.
 */

#include <pthread.h>
#include <stdint.h>

#include "devices/virtio/chain.h"
#include "devices/virtio/queue.h"
#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"
#include "vmm/machine/guest_memory.h"
#include "vmm/base/log.h"

#define VIRTIO_QUEUES_MAX 64

/* Feature bits that belong to the ring or the transport (virtio 1.2, 6). */
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)

/* Device IDs (virtio 1.2, 5). */
enum {
    VIRTIO_ID_NET = 1,
    VIRTIO_ID_BLOCK = 2,
    VIRTIO_ID_CONSOLE = 3,
    VIRTIO_ID_ENTROPY = 4,
    VIRTIO_ID_BALLOON = 5,
    VIRTIO_ID_VSOCK = 19,
};

struct console;
struct rate_limit;
struct state;
struct virtio_device;
struct virtio_transport;

/* All of the world that a virtio device may use. */
struct virtio_env {
    struct guest_memory *memory;
    struct event_loop *loop; /* the I/O loop: add sources with LOCK as their lock */
    pthread_mutex_t *lock;   /* the device's; held around every call */
    struct console *console; /* the terminal, for the console device alone; NULL for none */
    struct log *log;
};

/* A driver that takes FEATURE must take one of the others, too (2.2). */
struct virtio_feature_need {
    uint64_t feature;
    uint64_t one_of;
};

/*
 * What is the same for all devices of a kind: constants, and what the transport calls.
 *
 * A callback is about a driver that runs the device, or about its saved state.  What the user
 * chose comes to create() as options that have been checked; what the host opens comes in them.
 * A request to one kind of device (the balloon's target) is a function in that device's header.
 */
struct virtio_device_class {
    const char *name;       /* as the user knows it: "disk" */
    uint32_t id;            /* VIRTIO_ID_… */
    uint16_t queue_size;    /* the most that a driver may choose, a power of two */
    uint16_t state_version; /* of the section that the fields of state() make up */
    uint32_t config_size;   /* bytes of configuration space */
    /* Features that a driver may keep although the device that it now meets does not offer them. */
    uint64_t dispensable;
    /* Features that need another one: up to one whose FEATURE is 0.  Optional. */
    const struct virtio_feature_need *needs;

    /*
     * Makes *DEVICE, whose first member is a struct virtio_device that
     * virtio_device_init() prepared.  OPTIONS outlive it.
     */
    int (*create)(struct virtio_device **device, const struct virtio_env *env,
                  const void *options, struct error *error);
    /* After reset(). */
    void (*destroy)(struct virtio_device *device);
    /*
     * The driver runs the device from now on.  LOADED: it has done so before the device was
     * saved, state() has loaded what was, and the driver knows of nothing.  Optional.
     */
    void (*activate)(struct virtio_device *device, bool loaded);
    /* The driver resets the device, active or not: when it returns, nothing that the device started
     * touches guest memory, whatever was in flight.  Optional. */
    void (*reset)(struct virtio_device *device);
    /* The driver put chains into QUEUE, which is ready, or may have. */
    void (*kick)(struct virtio_device *device, unsigned int queue);
    /* The driver writes to the configuration space; OFFSET and LENGTH lie inside.  Optional. */
    void (*config_write)(struct virtio_device *device, uint32_t offset, const uint8_t *bytes,
                         size_t length);
    /* Something on the host's side may have changed (the terminal's size, a disk's): the device
     * reads it again and reports a change to its driver.  On the main thread.  Optional. */
    void (*refresh)(struct virtio_device *device);
    /*
     * Before saving: what is in flight is finished and pushed, or taken back by
     * virtqueue_unpop().  Optional, for a device that never keeps a chain.
     */
    void (*drain)(struct virtio_device *device);
    /*
     * Saves or loads what is the device's own (vmm/machine/state.h), after the transport's
     * part: features, queues and their indices.  Touches no guest memory, which may come
     * later: each ready queue is kicked once the loop runs, and interrupts wait until then.
     * Optional.
     */
    void (*state)(struct virtio_device *device, struct state *state);
};

/* The first member of every virtio device. */
struct virtio_device {
    const struct virtio_device_class *class;
    struct virtio_env env;
    struct virtio_transport *transport; /* set before the first call but create and destroy */
    uint64_t offered;    /* features that the device offers, ring's ones aside */
    uint64_t negotiated; /* final from activate to reset */
    uint16_t queue_count;
    struct virtqueue queues[VIRTIO_QUEUES_MAX];
    uint8_t *config;     /* the device's own, CLASS->config_size bytes, little-endian */
};

void virtio_device_init(struct virtio_device *device, const struct virtio_device_class *class,
                        const struct virtio_env *env, uint16_t queue_count, uint64_t features,
                        uint8_t *config);

/* Interrupts the driver, if it asks for that, for what was pushed to QUEUE. */
void virtio_notify(struct virtio_device *device, unsigned int queue);

/*
 * Has the loop kick QUEUE once more after its other sources: for a device that
 * stopped at its cap of chains while more are waiting.
 */
void virtio_kick_again(struct virtio_device *device, unsigned int queue);

/* What a device makes of a chain. */
struct virtio_answer {
    uint32_t written; /* bytes */
    uint64_t cost;    /* bytes of the rate limit */
};

/* Answers CHAIN; ANSWER is all zero.  Negative: the driver broke a rule. */
typedef int (*virtio_chain_server)(struct virtio_device *device, const struct virtio_chain *chain,
                                   struct virtio_answer *answer);

/*
 * Has SERVER answer the chains of QUEUE in turn, at most as many as the queue holds, so that a
 * driver that refills it waits its turn, and while LIMIT allows.  A driver that breaks a rule has
 * to reset the device: WHY.  For a kick() of a device that answers at once.
 */
void virtio_serve(struct virtio_device *device, unsigned int queue, struct rate_limit *limit,
                  virtio_chain_server server, const char *why);

/*
 * The configuration space changed: a new generation, and an interrupt once the
 * driver runs the device.
 */
void virtio_config_changed(struct virtio_device *device);

/*
 * The driver broke the rules: DEVICE_NEEDS_RESET, and the queues are not served
 * until it resets the device (2.1.1).  WHY is a literal for the log.
 */
void virtio_needs_reset(struct virtio_device *device, const char *why);

static inline bool virtio_has(const struct virtio_device *device, uint64_t feature)
{
    return (device->negotiated & feature) == feature;
}

#endif
