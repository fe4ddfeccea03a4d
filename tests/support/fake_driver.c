/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_driver.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Rounds of the loop in one fake_driver_run(): enough for a device that yields a few times. */
#define ROUNDS 8
#define WAIT_MS 2000

int fake_doorbell_attach(struct fake_doorbell *doorbell, uint64_t address, uint32_t value,
                         int event_fd)
{
    if (doorbell->refuse) {
        doorbell->refusals++;
        return doorbell->refuse;
    }
    doorbell->attached++;
    doorbell->attaches++;
    doorbell->address = address;
    doorbell->value = value;
    doorbell->event_fd = event_fd;
    return 0;
}

static int attach(void *context, uint64_t address, uint32_t value, int event_fd)
{
    struct fake_driver *driver = context;

    return fake_doorbell_attach(&driver->doorbell, address, value, event_fd);
}

static void detach(void *context, uint64_t address, uint32_t value, int event_fd)
{
    struct fake_driver *driver = context;

    (void)value;
    (void)event_fd;
    assert_int_equal(address, FAKE_WINDOW_BASE + VIRTIO_MMIO_QUEUE_NOTIFY);
    assert_true(driver->doorbell.attached > 0);
    driver->doorbell.attached--;
}

static int show(void *context, uint64_t address, void *page)
{
    struct fake_driver *driver = context;

    assert_int_equal(address, FAKE_WINDOW_BASE);
    assert_int_equal((uintptr_t)page % VIRTIO_MMIO_SIZE, 0);
    assert_null(driver->shortcut.page);
    if (driver->shortcut.refuse_page)
        return driver->shortcut.refuse_page;
    driver->shortcut.page = page;
    driver->shortcut.shows++;
    return 0;
}

static void hide(void *context, uint64_t address)
{
    struct fake_driver *driver = context;

    assert_int_equal(address, FAKE_WINDOW_BASE);
    assert_non_null(driver->shortcut.page);
    driver->shortcut.page = NULL;
}

static struct device *make_mmio(struct fake_driver *driver,
                                const struct virtio_transport_options *virtio)
{
    const struct virtio_mmio_options options = {
        .virtio = *virtio,
        .base = FAKE_WINDOW_BASE,
        .window = {
            .attach = attach, .detach = detach, .show = show, .hide = hide, .context = driver,
        },
    };

    return device_make(driver->fixture, &virtio_mmio_ops, &options);
}

static uint64_t mmio_place(uint64_t offset)
{
    return offset;
}

static bool mmio_heard(struct fake_driver *driver, unsigned int source)
{
    uint32_t reason = source == FAKE_CONFIG ? VIRTIO_MMIO_INT_CONFIG : VIRTIO_MMIO_INT_VRING;
    uint32_t reasons = fake_driver_read(driver, VIRTIO_MMIO_INTERRUPT_STATUS);

    fake_driver_write(driver, VIRTIO_MMIO_INTERRUPT_ACK, reason);
    return reasons & reason;
}

const struct fake_transport fake_mmio = {
    .name = "mmio", .make = make_mmio, .place = mmio_place, .heard = mmio_heard,
};

static const struct fake_transport *transport_of(const struct fake_driver *driver)
{
    return driver->transport ? driver->transport : &fake_mmio;
}

void fake_driver_make(struct fake_driver *driver, const struct virtio_device_class *class,
                      const void *options)
{
    const struct virtio_transport_options virtio = { .class = class, .device_options = options };
    struct error error = ERROR_INIT;

    host_side_close(&driver->host);
    if (host_side_open(&driver->host, class, options, driver->fixture->env.log, &error) < 0)
        fail_msg("%s", error.message);
    driver->device = transport_of(driver)->make(driver, &virtio);
}

void fake_driver_create_on(struct fake_driver *driver, const struct fake_transport *transport,
                           struct fixture *fixture, const struct virtio_device_class *class,
                           const void *options)
{
    *driver = (struct fake_driver){
        .fixture = fixture, .transport = transport, .next = FAKE_ALLOC_BASE,
    };
    fake_driver_make(driver, class, options);
}

void fake_driver_create(struct fake_driver *driver, struct fixture *fixture,
                        const struct virtio_device_class *class, const void *options)
{
    fake_driver_create_on(driver, &fake_mmio, fixture, class, options);
}

void fake_driver_destroy(struct fake_driver *driver)
{
    driver->device->ops->destroy(driver->device);
    host_side_close(&driver->host);
    assert_int_equal(driver->doorbell.attached, 0);
    assert_null(driver->shortcut.page);
}

/* ---- registers ---------------------------------------------------------- */

uint64_t fake_driver_place(const struct fake_driver *driver, uint64_t offset)
{
    return transport_of(driver)->place(offset);
}

uint32_t fake_driver_read(struct fake_driver *driver, uint64_t offset)
{
    uint32_t value;

    if (driver->shortcut.page)
        memcpy(&value, driver->shortcut.page + offset, sizeof(value));
    else
        device_read(driver->device, fake_driver_place(driver, offset), (uint8_t *)&value, sizeof(value));
    return value;
}

void fake_driver_write(struct fake_driver *driver, uint64_t offset, uint32_t value)
{
    device_write(driver->device, fake_driver_place(driver, offset), (const uint8_t *)&value, sizeof(value));
}

void fake_driver_config(struct fake_driver *driver, uint64_t offset, void *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        device_read(driver->device, fake_driver_place(driver, VIRTIO_MMIO_CONFIG + offset + i),
                    (uint8_t *)bytes + i, 1);
}

bool fake_driver_needs_reset(struct fake_driver *driver)
{
    return fake_driver_read(driver, VIRTIO_MMIO_STATUS) & FAKE_NEEDS_RESET;
}

/* ---- bringing it up ----------------------------------------------------- */

static void prepare_interrupt(struct fake_driver *driver, unsigned int source)
{
    if (transport_of(driver)->prepare_interrupt)
        transport_of(driver)->prepare_interrupt(driver, source);
}

uint64_t fake_driver_reset(struct fake_driver *driver)
{
    uint64_t features;

    fake_driver_write(driver, VIRTIO_MMIO_STATUS, 0);
    assert_int_equal(fake_driver_read(driver, VIRTIO_MMIO_STATUS), 0);
    memset(driver->queues, 0, sizeof(driver->queues));
    driver->next = FAKE_ALLOC_BASE;
    driver->features = 0;
    prepare_interrupt(driver, FAKE_CONFIG);
    fake_driver_write(driver, VIRTIO_MMIO_STATUS, FAKE_ACKNOWLEDGE);
    fake_driver_write(driver, VIRTIO_MMIO_STATUS, FAKE_ACKNOWLEDGE | FAKE_DRIVER);
    fake_driver_write(driver, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
    features = (uint64_t)fake_driver_read(driver, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
    fake_driver_write(driver, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    return features | fake_driver_read(driver, VIRTIO_MMIO_DEVICE_FEATURES);
}

bool fake_driver_negotiate(struct fake_driver *driver, uint64_t features)
{
    uint32_t status = FAKE_ACKNOWLEDGE | FAKE_DRIVER | FAKE_FEATURES_OK;

    fake_driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    fake_driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
    fake_driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    fake_driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
    fake_driver_write(driver, VIRTIO_MMIO_STATUS, status);
    driver->features = features;
    return fake_driver_read(driver, VIRTIO_MMIO_STATUS) & FAKE_FEATURES_OK;
}

static void write_address(struct fake_driver *driver, uint64_t low_register, uint64_t address)
{
    fake_driver_write(driver, low_register, (uint32_t)address);
    fake_driver_write(driver, low_register + 4, (uint32_t)(address >> 32));
}

void fake_driver_queue(struct fake_driver *driver, unsigned int index, uint16_t size)
{
    struct fake_queue *queue = &driver->queues[index];

    fake_driver_write(driver, VIRTIO_MMIO_QUEUE_SEL, index);
    assert_int_equal(fake_driver_read(driver, VIRTIO_MMIO_QUEUE_READY), 0);
    *queue = (struct fake_queue){ .size = size };
    if (size == 0)
        queue->size = (uint16_t)fake_driver_read(driver, VIRTIO_MMIO_QUEUE_NUM_MAX);
    assert_in_range(queue->size, 1, VIRTQUEUE_SIZE_MAX);
    queue->desc = fake_alloc(driver, sizeof(struct virtq_desc) * queue->size, 16);
    queue->avail = fake_alloc(driver, 6 + 2ul * queue->size, 2);
    queue->used = fake_alloc(driver, 6 + 8ul * queue->size, 4);
    prepare_interrupt(driver, index);
    fake_driver_write(driver, VIRTIO_MMIO_QUEUE_NUM, queue->size);
    write_address(driver, VIRTIO_MMIO_QUEUE_DESC_LOW, queue->desc);
    write_address(driver, VIRTIO_MMIO_QUEUE_AVAIL_LOW, queue->avail);
    write_address(driver, VIRTIO_MMIO_QUEUE_USED_LOW, queue->used);
    fake_driver_write(driver, VIRTIO_MMIO_QUEUE_READY, 1);
    assert_int_equal(fake_driver_read(driver, VIRTIO_MMIO_QUEUE_READY), 1);
}

void fake_driver_ready(struct fake_driver *driver)
{
    fake_driver_write(driver, VIRTIO_MMIO_STATUS,
                      FAKE_ACKNOWLEDGE | FAKE_DRIVER | FAKE_FEATURES_OK | FAKE_DRIVER_OK);
    assert_true(fake_driver_read(driver, VIRTIO_MMIO_STATUS) & FAKE_DRIVER_OK);
}

void fake_driver_start(struct fake_driver *driver, uint64_t features, unsigned int queues)
{
    uint64_t ring = features & FAKE_PLAIN ? VIRTIO_F_VERSION_1 : FAKE_RING_FEATURES;
    uint64_t wanted = (features & ~FAKE_PLAIN) | ring;

    assert_int_equal(wanted & ~fake_driver_reset(driver), 0);
    assert_true(fake_driver_negotiate(driver, wanted));
    for (unsigned int i = 0; i < queues; i++)
        fake_driver_queue(driver, i, 0);
    fake_driver_ready(driver);
}

/* ---- memory ------------------------------------------------------------- */

uint64_t fake_alloc(struct fake_driver *driver, size_t length, size_t alignment)
{
    uint64_t address = (driver->next + alignment - 1) / alignment * alignment;

    memset(fake_memory(driver, address, length), 0, length);
    driver->next = address + length;
    return address;
}

void *fake_memory(struct fake_driver *driver, uint64_t address, size_t length)
{
    struct guest_slice slice;

    assert_int_equal(guest_memory_slice(driver->fixture->env.memory, address, length, &slice), 0);
    return slice.bytes;
}

/* A ring's 16-bit field; atomic as the guest's own accesses are. */
static uint16_t load(struct fake_driver *driver, uint64_t address)
{
    return __atomic_load_n((uint16_t *)fake_memory(driver, address, 2), __ATOMIC_ACQUIRE);
}

static void store(struct fake_driver *driver, uint64_t address, uint16_t value)
{
    __atomic_store_n((uint16_t *)fake_memory(driver, address, 2), value, __ATOMIC_RELEASE);
}

/* ---- raw rings ---------------------------------------------------------- */

struct virtq_desc *fake_descriptor(struct fake_driver *driver, unsigned int queue, uint16_t index)
{
    uint64_t address = driver->queues[queue].desc + sizeof(struct virtq_desc) * index;

    return fake_memory(driver, address, sizeof(struct virtq_desc));
}

void fake_offer(struct fake_driver *driver, unsigned int queue, uint16_t head)
{
    struct fake_queue *rings = &driver->queues[queue];

    store(driver, rings->avail + 4 + 2ul * (rings->avail_index % rings->size), head);
    fake_set_avail_index(driver, queue, (uint16_t)(rings->avail_index + 1));
}

void fake_set_avail_index(struct fake_driver *driver, unsigned int queue, uint16_t index)
{
    driver->queues[queue].avail_index = index;
    store(driver, driver->queues[queue].avail + 2, index);
}

void fake_set_avail_flags(struct fake_driver *driver, unsigned int queue, uint16_t flags)
{
    store(driver, driver->queues[queue].avail, flags);
}

void fake_set_used_event(struct fake_driver *driver, unsigned int queue, uint16_t event)
{
    store(driver, driver->queues[queue].avail + 4 + 2ul * driver->queues[queue].size, event);
}

uint16_t fake_used_flags(struct fake_driver *driver, unsigned int queue)
{
    return load(driver, driver->queues[queue].used);
}

uint16_t fake_used_index(struct fake_driver *driver, unsigned int queue)
{
    return load(driver, driver->queues[queue].used + 2);
}

uint16_t fake_avail_event(struct fake_driver *driver, unsigned int queue)
{
    return load(driver, driver->queues[queue].used + 4 + 8ul * driver->queues[queue].size);
}

/* ---- requests ----------------------------------------------------------- */

static struct virtq_desc descriptor_of(const struct fake_buffer *buffer, bool last, uint16_t next)
{
    return (struct virtq_desc){
        .address = buffer->address,
        .length = buffer->length,
        .flags = (uint16_t)((buffer->writable ? VIRTQ_DESC_F_WRITE : 0) |
                            (last ? 0 : VIRTQ_DESC_F_NEXT)),
        .next = last ? 0 : next,
    };
}

/* A free descriptor, which becomes HEAD's; with HEAD UINT16_MAX it is a head itself. */
static uint16_t take_descriptor(struct fake_queue *queue, uint16_t head)
{
    for (uint16_t i = 0; i < queue->size; i++) {
        uint16_t index = (uint16_t)((queue->hint + i) % queue->size);

        if (queue->owner[index])
            continue;
        queue->owner[index] = (uint16_t)((head == UINT16_MAX ? index : head) + 1);
        queue->hint = (uint16_t)((index + 1) % queue->size);
        return index;
    }
    fail_msg("the fake driver has no free descriptor");
    return 0;
}

static uint16_t add_direct(struct fake_driver *driver, unsigned int queue, size_t count,
                           const struct fake_buffer *buffers)
{
    struct fake_queue *rings = &driver->queues[queue];
    uint16_t head = take_descriptor(rings, UINT16_MAX), index = head;

    for (size_t i = 0; i < count; i++) {
        bool last = i + 1 == count;
        uint16_t next = last ? 0 : take_descriptor(rings, head);

        *fake_descriptor(driver, queue, index) = descriptor_of(&buffers[i], last, next);
        index = next;
    }
    return head;
}

static uint16_t add_indirect(struct fake_driver *driver, unsigned int queue, size_t count,
                             const struct fake_buffer *buffers)
{
    uint16_t head = take_descriptor(&driver->queues[queue], UINT16_MAX);
    size_t length = sizeof(struct virtq_desc) * count;
    uint64_t address = fake_alloc(driver, length, 16);
    struct virtq_desc *table = fake_memory(driver, address, length);

    for (size_t i = 0; i < count; i++)
        table[i] = descriptor_of(&buffers[i], i + 1 == count, (uint16_t)(i + 1));
    *fake_descriptor(driver, queue, head) = (struct virtq_desc){
        .address = address, .length = (uint32_t)length, .flags = VIRTQ_DESC_F_INDIRECT,
    };
    return head;
}

uint16_t fake_driver_add(struct fake_driver *driver, unsigned int queue, enum fake_layout layout,
                         size_t count, const struct fake_buffer *buffers)
{
    uint16_t head = layout == FAKE_INDIRECT ? add_indirect(driver, queue, count, buffers)
                                            : add_direct(driver, queue, count, buffers);

    fake_offer(driver, queue, head);
    return head;
}

void fake_driver_kick(struct fake_driver *driver, unsigned int queue)
{
    fake_driver_write(driver, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
    fake_driver_run(driver);
}

uint16_t fake_driver_send(struct fake_driver *driver, unsigned int queue, enum fake_layout layout,
                          size_t count, const struct fake_buffer *buffers)
{
    uint16_t head = fake_driver_add(driver, queue, layout, count, buffers);

    fake_driver_kick(driver, queue);
    return head;
}

static void round_is_over(void *context, uint32_t events)
{
    (void)events;
    event_loop_stop(context);
}

/*
 * Everything that is ready stands in epoll's list before a source that is added
 * ready: when its handler runs, a whole round has been served.
 */
static void run_round(struct event_loop *loop)
{
    struct event_source source = {
        .fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK),
        .events = EPOLLIN,
        .handler = round_is_over,
        .context = loop,
    };
    struct error error = ERROR_INIT;

    assert_true(source.fd >= 0);
    assert_int_equal(event_loop_add(loop, &source), 0);
    assert_int_equal(event_loop_run(loop, &error), 0);
    event_loop_remove(loop, source.fd);
    close(source.fd);
}

void fake_driver_run(struct fake_driver *driver)
{
    for (unsigned int i = 0; i < ROUNDS; i++)
        run_round(driver->fixture->env.loop);
}

bool fake_driver_used(struct fake_driver *driver, unsigned int queue,
                      struct virtq_used_element *used)
{
    struct fake_queue *rings = &driver->queues[queue];
    uint64_t address = rings->used + 4 + sizeof(*used) * (rings->used_index % rings->size);

    if (fake_used_index(driver, queue) == rings->used_index)
        return false;
    memcpy(used, fake_memory(driver, address, sizeof(*used)), sizeof(*used));
    rings->used_index++;
    for (uint16_t i = 0; i < rings->size; i++)
        if (rings->owner[i] == used->id + 1)
            rings->owner[i] = 0;
    return true;
}

bool fake_driver_wait(struct fake_driver *driver, unsigned int queue,
                      struct virtq_used_element *used)
{
    for (unsigned int i = 0; i < WAIT_MS; i++) {
        if (fake_driver_used(driver, queue, used))
            return true;
        run_loop_for(driver->fixture->env.loop, 1);
    }
    return false;
}

unsigned int fake_driver_interrupts(struct fake_driver *driver)
{
    unsigned int all = driver->fixture->irq.edges + driver->messages;
    unsigned int seen = driver->interrupts_seen;

    driver->interrupts_seen = all;
    return all - seen;
}

bool fake_driver_heard(struct fake_driver *driver, unsigned int source)
{
    return transport_of(driver)->heard(driver, source);
}
