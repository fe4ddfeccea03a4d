/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_FAKE_DRIVER_H
#define MOTE_FAKE_DRIVER_H

/*
 * The driver's end of a virtio device, as a guest's kernel has it: it sees
 * nothing but registers, memory and an interrupt that counts.  By the calls
 * below it behaves; by registers, descriptors and memory taken directly it can
 * break every rule.
 *
 *     fixture_init(&fixture);
 *     fake_driver_create(&driver, &fixture, &some_class, options);
 *     fake_driver_start(&driver, SOME_FEATURE, 1);      // up to DRIVER_OK
 *     uint64_t page = fake_alloc(&driver, 4096, 1);
 *     fake_driver_send(&driver, 0, FAKE_DIRECT, 2,
 *                      (struct fake_buffer[]){ { header, 16 }, { page, 4096, true } });
 *     assert_true(fake_driver_used(&driver, 0, &used)); // used.id, used.length
 *     fake_driver_destroy(&driver);
 *     fixture_release(&fixture);
 *
 * Whatever a well-behaved call cannot do fails the running test.
 */

#include <linux/virtio_mmio.h> /* the registers: VIRTIO_MMIO_… */

#include "devices/virtio/device.h"
#include "devices/virtio/mmio.h"
#include "tests/support/fixture.h"
#include "tests/support/host_side.h"

/* virtio 1.2, 2.1 */
enum {
    FAKE_ACKNOWLEDGE = 1,
    FAKE_DRIVER = 2,
    FAKE_DRIVER_OK = 4,
    FAKE_FEATURES_OK = 8,
    FAKE_NEEDS_RESET = 64,
    FAKE_FAILED = 128,
};

/* What fake_driver_start() takes of the ring's features unless FAKE_PLAIN is asked for. */
#define FAKE_RING_FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)
/* No bit of virtio: VIRTIO_F_VERSION_1 alone of the ring's features. */
#define FAKE_PLAIN (1ull << 63)

/* Where the rings and fake_alloc() begin; below it is free for the test. */
#define FAKE_ALLOC_BASE 0x8000u
#define FAKE_WINDOW_BASE 0xd0000000u

struct fake_buffer {
    uint64_t address; /* of the guest */
    uint32_t length;
    bool writable; /* by the device */
};

enum fake_layout { FAKE_DIRECT, FAKE_INDIRECT };

/* The rings as the driver knows them. */
struct fake_queue {
    uint16_t size;
    uint64_t desc, avail, used;      /* guest addresses */
    uint16_t avail_index;            /* heads offered, modulo 2^16 */
    uint16_t used_index;             /* used entries that fake_driver_used() gave */
    uint16_t owner[VIRTQUEUE_SIZE_MAX]; /* head + 1 of the chain that a descriptor is in, or 0 */
    uint16_t hint;                   /* where the search for free descriptors begins */
};

/* KVM's ioeventfd, counted. */
struct fake_doorbell {
    unsigned int attached; /* now */
    unsigned int attaches; /* ever */
    unsigned int refusals; /* ever */
    int refuse;            /* attaching returns this, when not 0 */
    uint64_t address;      /* of the last attach */
    uint32_t value;
    int event_fd;
};

/* The same for each kind of transport. */
int fake_doorbell_attach(struct fake_doorbell *doorbell, uint64_t address, uint32_t value,
                         int event_fd);

/* The shortcut of a busy device: the page that is shown. */
struct fake_shortcut {
    const uint8_t *page; /* NULL while there is none */
    unsigned int shows;  /* ever */
    int refuse_page;     /* what the call returns, when not 0 */
};

struct fake_driver;

/* For a queue's number: the configuration and DEVICE_NEEDS_RESET. */
#define FAKE_CONFIG UINT32_MAX

/* What a driver has to know of a transport; its registers go by virtio-mmio's names in all tests. */
struct fake_transport {
    const char *name;
    struct device *(*make)(struct fake_driver *driver,
                           const struct virtio_transport_options *virtio);
    /* Where the register is that virtio-mmio has at OFFSET; the configuration space, too. */
    uint64_t (*place)(uint64_t offset);
    /* The queue SOURCE, which is selected, or FAKE_CONFIG is about to be set up.  Optional. */
    void (*prepare_interrupt)(struct fake_driver *driver, unsigned int source);
    bool (*heard)(struct fake_driver *driver, unsigned int source);
};

extern const struct fake_transport fake_mmio;

struct fake_driver {
    struct fixture *fixture;
    const struct fake_transport *transport; /* NULL: fake_mmio */
    struct device *device;
    struct host_side host; /* of the device */
    struct fake_doorbell doorbell;
    struct fake_shortcut shortcut;
    uint64_t features; /* negotiated */
    uint64_t next;     /* of fake_alloc() */
    unsigned int interrupts_seen;
    unsigned int vectors[VIRTIO_QUEUES_MAX + 1]; /* not heard of yet; of a transport that has some */
    unsigned int messages; /* of all vectors, ever */
    struct fake_queue queues[VIRTIO_QUEUES_MAX];
};

void fake_driver_create(struct fake_driver *driver, struct fixture *fixture,
                        const struct virtio_device_class *class, const void *options);
void fake_driver_create_on(struct fake_driver *driver, const struct fake_transport *transport,
                           struct fixture *fixture, const struct virtio_device_class *class,
                           const void *options);
/* Gives a driver that has lost its device another, as new, and knows nothing of that. */
void fake_driver_make(struct fake_driver *driver, const struct virtio_device_class *class,
                      const void *options);
void fake_driver_destroy(struct fake_driver *driver);

/* ---- registers and configuration space ---- */

/* OFFSET is virtio-mmio's, whatever the transport.  As a guest: from the page that is shown, else by the device. */
uint32_t fake_driver_read(struct fake_driver *driver, uint64_t offset);
void fake_driver_write(struct fake_driver *driver, uint64_t offset, uint32_t value);
/* Where the transport has that register. */
uint64_t fake_driver_place(const struct fake_driver *driver, uint64_t offset);
void fake_driver_config(struct fake_driver *driver, uint64_t offset, void *bytes, size_t length);
bool fake_driver_needs_reset(struct fake_driver *driver);

/* ---- bringing the device up, in steps or at once ---- */

/* Resets, forgets all rings and allocations; then ACKNOWLEDGE and DRIVER.  The features offered. */
uint64_t fake_driver_reset(struct fake_driver *driver);
/* Writes FEATURES and asks for FEATURES_OK; whether the device agreed. */
bool fake_driver_negotiate(struct fake_driver *driver, uint64_t features);
/* Lays out queue INDEX with SIZE entries (0: as many as the device takes) and readies it. */
void fake_driver_queue(struct fake_driver *driver, unsigned int index, uint16_t size);
void fake_driver_ready(struct fake_driver *driver);
/* All four: FEATURES, which the device must offer, with the ring's own, and QUEUES queues. */
void fake_driver_start(struct fake_driver *driver, uint64_t features, unsigned int queues);

/* ---- memory ---- */

/* LENGTH bytes of guest memory, zeroed, for good until the next reset. */
uint64_t fake_alloc(struct fake_driver *driver, size_t length, size_t alignment);
/* The bytes at a guest ADDRESS, which must be RAM. */
void *fake_memory(struct fake_driver *driver, uint64_t address, size_t length);

/* ---- requests ---- */

/* Offers a chain of COUNT buffers, without a kick; its head. */
uint16_t fake_driver_add(struct fake_driver *driver, unsigned int queue, enum fake_layout layout,
                         size_t count, const struct fake_buffer *buffers);
/* Notifies the device and serves what is ready. */
void fake_driver_kick(struct fake_driver *driver, unsigned int queue);
/* Both. */
uint16_t fake_driver_send(struct fake_driver *driver, unsigned int queue, enum fake_layout layout,
                          size_t count, const struct fake_buffer *buffers);
/* Serves what is ready in the event loop, a few rounds at most; never waits. */
void fake_driver_run(struct fake_driver *driver);
/* The next used entry, if there is one; its descriptors are free again. */
bool fake_driver_used(struct fake_driver *driver, unsigned int queue,
                      struct virtq_used_element *used);
/* The same, for back ends that need time: runs the loop until then, for two seconds at most. */
bool fake_driver_wait(struct fake_driver *driver, unsigned int queue,
                      struct virtq_used_element *used);
/* Interrupts since the last time it was asked. */
unsigned int fake_driver_interrupts(struct fake_driver *driver);
/*
 * Whether one came for the queue SOURCE, or for FAKE_CONFIG, which is acknowledged.  With
 * one line for all queues, for any queue.
 */
bool fake_driver_heard(struct fake_driver *driver, unsigned int source);

/* ---- raw rings: nothing is checked but that they lie in RAM ---- */

struct virtq_desc *fake_descriptor(struct fake_driver *driver, unsigned int queue, uint16_t index);
/* Puts HEAD into the available ring and moves the index on. */
void fake_offer(struct fake_driver *driver, unsigned int queue, uint16_t head);
void fake_set_avail_index(struct fake_driver *driver, unsigned int queue, uint16_t index);
void fake_set_avail_flags(struct fake_driver *driver, unsigned int queue, uint16_t flags);
void fake_set_used_event(struct fake_driver *driver, unsigned int queue, uint16_t event);
uint16_t fake_used_flags(struct fake_driver *driver, unsigned int queue);
uint16_t fake_used_index(struct fake_driver *driver, unsigned int queue);
uint16_t fake_avail_event(struct fake_driver *driver, unsigned int queue);

#endif
