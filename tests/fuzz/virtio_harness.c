/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/virtio_harness.h"
#include "tests/support/device_options.h"

#include <string.h>

#include "tests/support/saved.h"

#define OPERATIONS_MAX 96
#define MOVES_MAX 8      /* each is a device more */
#define MOVE_BYTE 0xfc   /* an operation from here on is a move */
#define MEET_BYTE 0xf0   /* and from here on one of several queues, or amid another */
#define LOG_MAX 64 /* lines */

/* Buffers that the device may write lie here or in the high region; the canary lies elsewhere. */
#define WRITABLE_BASE 0x40000u
#define WRITABLE_SIZE 0x40000u
#define CANARY_BASE 0xc0000u
#define CANARY_SIZE 0x4000u
#define CANARY_BYTE 0xa5

struct harness {
    const struct virtio_fuzz *fuzz;
    struct fixture fixture;
    struct fake_driver driver;
    void *options;
    unsigned int queues; /* set up now */
    unsigned int moves;
    /* The driver did what makes the books below worthless: moved rings, forged descriptors. */
    bool wild;
    uint16_t next[VIRTIO_QUEUES_MAX];                        /* the first free descriptor */
    uint32_t offered[VIRTIO_QUEUES_MAX];                     /* chains since the start */
    uint32_t collected[VIRTIO_QUEUES_MAX];
    uint64_t writable[VIRTIO_QUEUES_MAX][VIRTQUEUE_SIZE_MAX]; /* bytes, by head */
    struct { unsigned int queue; uint16_t head, count; } last; /* chain, as it stands in its queue; COUNT 0: none */
};

/* ---- the other CPU ------------------------------------------------------ */

/* The device asks for a slice amid its walk of a chain: that is the moment. */
static struct {
    uint8_t *descriptors; /* NULL: nothing happens */
    size_t size;
    unsigned int countdown;
    uint32_t what;
} other_cpu;

int __real_guest_memory_slice(const struct guest_memory *memory, uint64_t address, uint64_t length,
                              struct guest_slice *slice);
int __wrap_guest_memory_slice(const struct guest_memory *memory, uint64_t address, uint64_t length,
                              struct guest_slice *slice);

int __wrap_guest_memory_slice(const struct guest_memory *memory, uint64_t address, uint64_t length,
                              struct guest_slice *slice)
{
    if (other_cpu.descriptors && other_cpu.countdown-- == 0) {
        other_cpu.descriptors[(other_cpu.what >> 8) % other_cpu.size] ^= (uint8_t)other_cpu.what;
        other_cpu.descriptors = NULL;
    }
    return __real_guest_memory_slice(memory, address, length, slice);
}

/* ---- start and end ------------------------------------------------------ */

/* Without those that lack what they need: FEATURES_OK would be refused. */
static uint64_t whole_features(const struct virtio_device_class *class, uint64_t features)
{
    uint64_t before;

    do {
        before = features;
        for (const struct virtio_feature_need *need = class->needs; need && need->feature; need++)
            if (!(features & need->one_of))
                features &= ~need->feature;
    } while (features != before);
    return features;
}

static void start(struct harness *harness, uint64_t features, unsigned int queues, uint16_t size)
{
    struct fake_driver *driver = &harness->driver;
    uint64_t offered = fake_driver_reset(driver);

    /* That of the device: a fake one may have made it. */
    features = whole_features(virtio_device_of(driver->device)->class, features & offered);
    fuzz_require(fake_driver_negotiate(driver, features | VIRTIO_F_VERSION_1));
    for (unsigned int i = 0; i < queues; i++) {
        uint32_t size_max;

        fake_driver_write(driver, VIRTIO_MMIO_QUEUE_SEL, i);
        size_max = fake_driver_read(driver, VIRTIO_MMIO_QUEUE_NUM_MAX);
        fake_driver_queue(driver, i, size <= size_max ? size : 0);
    }
    fake_driver_ready(driver);
    fuzz_require(driver->next <= WRITABLE_BASE);
    harness->queues = queues;
    harness->wild = false;
    harness->last.count = 0;
    memset(harness->next, 0, sizeof(harness->next));
    memset(harness->offered, 0, sizeof(harness->offered));
    memset(harness->collected, 0, sizeof(harness->collected));
}

static void start_by_input(struct harness *harness, struct fuzz_input *input)
{
    uint32_t choice = (uint32_t)fuzz_take(input, 2);
    uint64_t features = harness->fuzz->features;

    if (choice & 1)
        features |= VIRTIO_F_EVENT_IDX;
    if (choice & 2)
        features |= VIRTIO_F_INDIRECT_DESC;
    if (choice & 4)
        features &= fuzz_take(input, 8);
    start(harness, features, harness->fuzz->queues, (uint16_t)(1u << (choice >> 3 & 7)));
}

static void parse(struct harness *harness)
{
    const struct virtio_device_class *class = harness->fuzz->class;
    struct error error = ERROR_INIT;

    harness->options = NULL;
    if (harness->fuzz->make)
        harness->options = harness->fuzz->make(harness->fuzz->options);
    else if (harness->fuzz->options)
        fuzz_require(device_options_parse(class->name, harness->fuzz->options, &harness->options, &error) == 0);
}

static void release(struct harness *harness)
{
    if (harness->fuzz->make)
        free(harness->options);
    else
        device_options_release(harness->options);
}

static void create(struct harness *harness)
{
    const struct virtio_device_class *class = harness->fuzz->class;

    fixture_init(&harness->fixture);
    parse(harness);
    fake_driver_create(&harness->driver, &harness->fixture, class, harness->options);
    memset(fake_memory(&harness->driver, CANARY_BASE, CANARY_SIZE), CANARY_BYTE, CANARY_SIZE);
}

static void destroy(struct harness *harness)
{
    fuzz_require(memory_log_lines(&harness->fixture.log) <= LOG_MAX);
    fake_driver_destroy(&harness->driver);
    fixture_release(&harness->fixture);
    release(harness);
}

/* ---- oracles ------------------------------------------------------------ */

static void check_used(struct harness *harness)
{
    struct virtq_used_element used;

    for (unsigned int queue = 0; queue < harness->queues && !harness->wild; queue++) {
        while (fake_driver_used(&harness->driver, queue, &used)) {
            harness->collected[queue]++;
            fuzz_require(harness->collected[queue] <= harness->offered[queue]);
            fuzz_require(used.id < harness->driver.queues[queue].size);
            fuzz_require(used.length <= harness->writable[queue][used.id]);
        }
    }
}

static void check_canary(struct harness *harness)
{
    const uint8_t *canary = fake_memory(&harness->driver, CANARY_BASE, CANARY_SIZE);

    for (size_t page = 0; page < CANARY_SIZE && !harness->wild; page += 4096) {
        fuzz_require(canary[page] == CANARY_BYTE || (harness->fuzz->discards && canary[page] == 0));
        fuzz_require(memcmp(canary + page, canary + page + 1, 4095) == 0);
    }
}

/* Whatever came before: a reset makes the device as new. */
static void check_recovery(struct harness *harness)
{
    start(harness, harness->fuzz->features | FAKE_RING_FEATURES, harness->fuzz->queues, 0);
    fuzz_require(!fake_driver_needs_reset(&harness->driver));
    fuzz_require(harness->fuzz->request(&harness->driver));
}

/* ---- operations --------------------------------------------------------- */

/* Registers by which a driver can move the rings or start anew. */
static bool is_structural(uint64_t offset)
{
    return (offset >= VIRTIO_MMIO_DRIVER_FEATURES && offset <= VIRTIO_MMIO_QUEUE_READY) ||
           (offset >= VIRTIO_MMIO_STATUS && offset < VIRTIO_MMIO_SHM_SEL);
}

static void access_register(struct harness *harness, bool write, struct fuzz_input *input)
{
    static const uint8_t widths[] = { 4, 1, 2, 8 };
    uint32_t choice = (uint32_t)fuzz_take(input, 2);
    uint64_t offset = choice & 0x1ff;
    size_t width = widths[choice >> 14];
    uint8_t bytes[8] = { 0 };

    if (width == 4)
        offset &= ~3ull;
    if (!write) {
        device_read(harness->driver.device, offset, bytes, width);
        return;
    }
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)fuzz_take(input, 1);
    harness->wild = harness->wild || is_structural(offset);
    device_write(harness->driver.device, offset, bytes, width);
}

static void write_memory(struct harness *harness, struct fuzz_input *input)
{
    uint64_t address = fuzz_take(input, 3) % (FIXTURE_LOW_SIZE - 64);
    struct fuzz_input bytes = fuzz_take_bytes(input, fuzz_take(input, 1) % 64);

    if (address >= CANARY_BASE - 64 && address < CANARY_BASE + CANARY_SIZE)
        return;
    harness->wild = harness->wild || address < WRITABLE_BASE;
    memcpy(fake_memory(&harness->driver, address, 64), bytes.bytes, bytes.size);
}

/* A buffer as an honest driver could give it, though of odd sizes and places. */
static struct virtq_desc honest_buffer(struct fuzz_input *input, bool writable)
{
    uint32_t length = (uint32_t)fuzz_take(input, 2), place = (uint32_t)fuzz_take(input, 2);
    uint64_t address = WRITABLE_BASE + place % WRITABLE_SIZE;

    if (place & 0x8000)
        address = FIXTURE_HIGH_BASE + FIXTURE_HIGH_SIZE - length;
    else if (!writable && place & 0x4000)
        address = CANARY_BASE;
    return (struct virtq_desc){ .address = address, .length = length };
}

/* One that lies about everything. */
static struct virtq_desc any_buffer(struct harness *harness, struct fuzz_input *input)
{
    harness->wild = true;
    return (struct virtq_desc){
        .address = fuzz_take(input, 8),
        .length = (uint32_t)fuzz_take(input, 4),
        .flags = (uint16_t)fuzz_take(input, 1),
        .next = (uint16_t)fuzz_take(input, 1),
    };
}

/* Where descriptor AT of a chain stands: in an indirect TABLE, or in the queue's own from HEAD. */
static struct virtq_desc *place_of(struct harness *harness, unsigned int queue, uint64_t table,
                                   uint16_t head, uint16_t at)
{
    if (table)
        return fake_memory(&harness->driver, table + 16ul * at, 16);
    return fake_descriptor(&harness->driver, queue, (uint16_t)(head + at));
}

static void push_chain(struct harness *harness, struct fuzz_input *input)
{
    struct fake_driver *driver = &harness->driver;
    uint32_t choice = (uint32_t)fuzz_take(input, 3);
    unsigned int queue = harness->queues ? (choice & 0xf) % harness->queues : 0;
    uint16_t count = (uint16_t)((choice >> 4 & 7) + 1), head = harness->next[queue];
    uint16_t readable = (uint16_t)(choice >> 8 & 7);
    bool indirect = choice & 0x800, any = (choice & 0xf000) == 0xf000;
    uint64_t table = 0;

    if (harness->queues == 0 || head + (indirect ? 1 : count) > driver->queues[queue].size ||
        driver->next + 256 > WRITABLE_BASE)
        return;
    if (indirect)
        table = fake_alloc(driver, 16ul * count, 16);
    harness->writable[queue][head] = 0;
    for (uint16_t i = 0; i < count; i++) {
        bool writable = i >= readable;
        struct virtq_desc buffer = any ? any_buffer(harness, input)
                                       : honest_buffer(input, writable);

        if (!any) {
            buffer.flags = (uint16_t)((writable ? VIRTQ_DESC_F_WRITE : 0) |
                                      (i + 1 < count ? VIRTQ_DESC_F_NEXT : 0));
            buffer.next = (uint16_t)(indirect ? i + 1 : head + i + 1);
            harness->writable[queue][head] += writable ? buffer.length : 0;
        }
        *place_of(harness, queue, table, head, i) = buffer;
    }
    if (indirect)
        *fake_descriptor(driver, queue, head) = (struct virtq_desc){
            .address = table, .length = 16u * count, .flags = VIRTQ_DESC_F_INDIRECT,
        };
    harness->next[queue] = (uint16_t)(head + (indirect ? 1 : count));
    harness->offered[queue]++;
    harness->last.queue = queue;
    harness->last.head = head;
    harness->last.count = indirect ? 1 : count;
    fake_offer(driver, queue, head);
}

/* ---- several queues, and one thing amid another ---- */

/* All queues are notified of before the loop hears of any. */
static void notify_all(struct harness *harness)
{
    for (unsigned int queue = 0; queue < harness->queues; queue++)
        fake_driver_write(&harness->driver, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

/* The last chain once more, by QUEUE: its buffers, or its table, are in two queues at once. */
static void share_chain(struct harness *harness, unsigned int queue)
{
    struct fake_driver *driver = &harness->driver;
    uint16_t head = harness->next[queue], count = harness->last.count;

    if (count == 0 || head + count > driver->queues[queue].size)
        return;
    for (uint16_t i = 0; i < count; i++) {
        struct virtq_desc *copy = fake_descriptor(driver, queue, (uint16_t)(head + i));

        *copy = *fake_descriptor(driver, harness->last.queue, (uint16_t)(harness->last.head + i));
        copy->next = (uint16_t)(copy->next + head - harness->last.head);
    }
    harness->writable[queue][head] = harness->writable[harness->last.queue][harness->last.head];
    harness->next[queue] = (uint16_t)(head + count);
    harness->offered[queue]++;
    fake_offer(driver, queue, head);
    notify_all(harness);
}

static uint8_t *used_ring(struct harness *harness, unsigned int queue)
{
    return fake_memory(&harness->driver, harness->driver.queues[queue].used,
                       6 + 8ul * harness->driver.queues[queue].size);
}

/* What is the device's own in QUEUE: its event, its flags, and with INDEX its index. */
static void poison_used(struct harness *harness, unsigned int queue, uint16_t value, bool index)
{
    uint8_t *ring = used_ring(harness, queue);

    memcpy(ring, &value, sizeof(value));
    memcpy(ring + 4 + 8ul * harness->driver.queues[queue].size, &value, sizeof(value));
    if (index) {
        harness->wild = true;
        memcpy(ring + 2, &value, sizeof(value));
    }
}

/* Requests are under way, and the driver resets: nothing is written to the rings after that. */
static void reset_amid_requests(struct harness *harness)
{
    static uint8_t before[VIRTIO_QUEUES_MAX][6 + 8 * VIRTQUEUE_SIZE_MAX];
    bool wild = harness->wild;

    notify_all(harness);
    fake_driver_write(&harness->driver, VIRTIO_MMIO_STATUS, 0);
    for (unsigned int queue = 0; queue < harness->queues; queue++)
        memcpy(before[queue], used_ring(harness, queue), 6 + 8ul * harness->driver.queues[queue].size);
    fake_driver_run(&harness->driver);
    for (unsigned int queue = 0; queue < harness->queues && !wild; queue++)
        fuzz_require(memcmp(before[queue], used_ring(harness, queue),
                            6 + 8ul * harness->driver.queues[queue].size) == 0);
    check_used(harness);
    start(harness, harness->fuzz->features, harness->queues, 0);
}

static void meet(struct harness *harness, struct fuzz_input *input)
{
    uint32_t choice = (uint32_t)fuzz_take(input, 3);
    unsigned int queue = harness->queues ? (choice >> 2 & 0xf) % harness->queues : 0;

    if (harness->queues == 0)
        return;
    switch (choice & 3) {
    case 0:
        share_chain(harness, queue);
        break;
    case 1:
        poison_used(harness, queue, (uint16_t)(choice >> 8), choice & 0x40);
        break;
    case 2:
        reset_amid_requests(harness);
        break;
    case 3: /* an event far away, and all notifications at once */
        fake_set_used_event(&harness->driver, queue, (uint16_t)(choice >> 8));
        notify_all(harness);
    }
}

/* What no driver should do to the available ring. */
static void break_ring(struct harness *harness, struct fuzz_input *input)
{
    uint32_t choice = (uint32_t)fuzz_take(input, 3);
    unsigned int queue = harness->queues ? (choice & 0xf) % harness->queues : 0;

    if (harness->queues == 0)
        return;
    switch (choice >> 4 & 3) {
    case 0:
        harness->wild = true;
        fake_set_avail_index(&harness->driver, queue, (uint16_t)(choice >> 8));
        break;
    case 1:
        harness->wild = true;
        fake_offer(&harness->driver, queue, (uint16_t)(choice >> 8));
        break;
    case 2:
        fake_set_avail_flags(&harness->driver, queue, (uint16_t)(choice >> 8));
        break;
    case 3:
        fake_set_used_event(&harness->driver, queue, (uint16_t)(choice >> 8));
    }
}

static void kick(struct harness *harness, struct fuzz_input *input)
{
    uint32_t choice = (uint32_t)fuzz_take(input, 1);
    unsigned int queue = harness->queues ? (choice & 0xf) % harness->queues : 0;

    if (choice & 0x10 && harness->queues) {
        harness->wild = true;
        other_cpu.size = sizeof(struct virtq_desc) * harness->driver.queues[queue].size;
        other_cpu.descriptors = fake_memory(&harness->driver, harness->driver.queues[queue].desc,
                                            other_cpu.size);
        other_cpu.countdown = choice >> 5;
        other_cpu.what = (uint32_t)fuzz_take(input, 3) | 1;
    }
    fake_driver_kick(&harness->driver, queue);
    other_cpu.descriptors = NULL;
    check_used(harness);
}

/*
 * Whatever state the device is in can be saved, twice alike but for the time, and
 * loaded into another one; the driver goes on with that.
 */
static void move(struct harness *harness)
{
    const struct virtio_device_class *class = harness->fuzz->class;
    struct error error = ERROR_INIT;
    struct saved saved, again;

    if (harness->moves++ >= MOVES_MAX)
        return;
    if (harness->fuzz->settle)
        harness->fuzz->settle(&harness->driver);
    device_save(harness->driver.device, &saved);
    device_save(harness->driver.device, &again);
    fuzz_require(saved.length == again.length);
    fake_driver_destroy(&harness->driver);
    release(harness);
    parse(harness);
    fake_driver_make(&harness->driver, class, harness->options);
    fuzz_require(device_load(harness->driver.device, &saved, &error) == 0);
    saved_release(&saved);
    saved_release(&again);
}

static void operate(struct harness *harness, struct fuzz_input *input)
{
    uint8_t operation = (uint8_t)fuzz_take(input, 1);

    if (operation >= MOVE_BYTE) {
        move(harness);
        return;
    }
    if (operation >= MEET_BYTE) {
        meet(harness, input);
        return;
    }
    switch (operation % 12) {
    case 0:
        access_register(harness, false, input);
        break;
    case 1:
        access_register(harness, true, input);
        break;
    case 2:
        write_memory(harness, input);
        break;
    case 3:
        break_ring(harness, input);
        break;
    case 4: /* the bell rings, and something else comes before the loop hears it */
        fake_driver_write(&harness->driver, VIRTIO_MMIO_QUEUE_NOTIFY,
                          (uint32_t)fuzz_take(input, 1));
        break;
    case 5:
        check_used(harness);
        start_by_input(harness, input);
        break;
    case 6:
        if (harness->fuzz->operate)
            harness->fuzz->operate(&harness->driver, input);
        break;
    case 7:
    case 8:
        kick(harness, input);
        break;
    default:
        push_chain(harness, input);
    }
}

int virtio_fuzz_run(const struct virtio_fuzz *fuzz, const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, size };
    static struct harness harness; /* large; one run at a time */

    memset(&harness, 0, sizeof(harness));
    harness.fuzz = fuzz;
    create(&harness);
    if (!fuzz->registers_only && fuzz_take(&input, 1) & 1)
        start_by_input(&harness, &input);
    for (int i = 0; i < OPERATIONS_MAX && input.size; i++)
        operate(&harness, &input);
    fake_driver_run(&harness.driver);
    check_used(&harness);
    check_canary(&harness);
    check_recovery(&harness);
    destroy(&harness);
    return 0;
}
