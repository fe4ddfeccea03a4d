/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest whose devices meet faults of the host, as the command line asks:
 *
 *   disk=read     reads the disk round and round until a read fails; then whether another works
 *   disk=write    writes and flushes block after block, says "flushed N", until one fails; then the same
 *   net=1         sends frames until the link goes down
 *   vsock=KB      so much to port 80 of the host, as its credit allows; "sent N KB" when all is gone
 *   connect=N     so many connections to that port; "answered N" when the host has answered all
 *   touch=MB      writes to so much of its memory
 *   end=halt      sleeps instead of powering off
 *
 * Each sector that it writes begins with its own number, plus one.
 */
#include "boot_info.h"
#include "driver.h"
#include "paging.h"

#define BLOCK (64u << 10)
#define SECTOR 512
#define DATA (4ull << 20) /* where a block lies */
#define READ 0
#define WRITE 1
#define FLUSH 4

static uint16_t requests;

static void print_with_number(const char *text, uint64_t number)
{
    print(text);
    print_number(number);
    print("\n");
}

/* ---- disk (virtio 1.2, 5.2.6) --------------------------------------------- */

static uint8_t disk_request(const struct virtio *v, uint32_t type, uint64_t sector, uint32_t length)
{
    *(uint32_t *)buffers[0] = type;
    *(uint64_t *)(buffers[0] + 8) = sector;
    buffers[1][0] = 0xff;
    describe(0, (uint64_t)buffers[0], 16, DESC_NEXT, length ? 1 : 2);
    describe(1, DATA, length, DESC_NEXT | (type == READ ? DESC_WRITE : 0), 2);
    describe(2, (uint64_t)buffers[1], 1, DESC_WRITE, 0);
    offer(0);
    notify(v);
    return wait_used(v, &rings, ++requests) ? buffers[1][0] : 0xfe;
}

static void print_failure(const char *what, uint64_t block, uint8_t status)
{
    print(what);
    print(" failed: block ");
    print_number(block);
    print_with_number(", status ", status);
}

static void read_until_failure(const struct virtio *v, uint64_t blocks)
{
    uint8_t status;

    for (uint64_t i = 0;; i++) {
        status = disk_request(v, READ, i % blocks * (BLOCK / SECTOR), BLOCK);
        if (status != 0)
            break;
        if (i == 0)
            print("reading\n");
    }
    print_failure("read", 0, status);
}

static void write_until_failure(const struct virtio *v, uint64_t blocks)
{
    uint8_t status = 0;

    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t sector = i * (BLOCK / SECTOR);

        for (unsigned int j = 0; j < BLOCK / SECTOR; j++)
            *(uint64_t *)(DATA + j * SECTOR) = sector + j + 1;
        status = disk_request(v, WRITE, sector, BLOCK);
        if (status == 0)
            status = disk_request(v, FLUSH, 0, 0);
        if (status != 0) {
            print_failure("write", i, status);
            return;
        }
        print_with_number("flushed ", i);
    }
    print("all written\n");
}

static void use_disk(const char *how)
{
    struct virtio v = find_device(ID_BLOCK);
    uint64_t sectors = get_register(&v, REG_CONFIG) | (uint64_t)get_register(&v, REG_CONFIG + 4) << 32;
    bool write = option_is(how, "write");

    start(&v);
    if (write)
        write_until_failure(&v, sectors / (BLOCK / SECTOR));
    else
        read_until_failure(&v, sectors / (BLOCK / SECTOR));
    *(uint64_t *)DATA = 0;
    if (disk_request(&v, READ, 0, SECTOR) == 0 && (!write || *(uint64_t *)DATA == 1))
        print("the first sector can be read\n");
}

/* ---- net (5.1) ------------------------------------------------------------ */

static void use_net(void)
{
    struct virtio v = find_device(ID_NET);
    uint16_t sent = 0;

    v.queue = 1;
    start(&v);
    clear(buffers[0], 12 + 60);
    for (uint32_t i = 0;; i++) {
        /* The link's state follows the MAC address. */
        if (!(read16(v.base + REG_CONFIG + 6) & 1))
            break;
        describe(0, (uint64_t)buffers[0], 12 + 60, 0, 0);
        offer(0);
        notify(&v);
        if (!wait_used(&v, &rings, ++sent))
            print("the device gave up\n");
        if (i == 0)
            print("sending\n");
    }
    print("the link is down\n");
}

/* ---- vsock (5.10) --------------------------------------------------------- */

#define HEADER 44
#define RX_SIZE 4096u
#define CREDIT (64u << 10)
enum { OP_REQUEST = 1, OP_RESPONSE = 2, OP_RST = 3, OP_SHUTDOWN = 4, OP_RW = 5, OP_UPDATE = 6 };

struct vsock_header {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port, length;
    uint16_t type, operation;
    uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

static struct rings received __attribute__((aligned(4096)));
static uint8_t packets[QUEUE_SIZE][RX_SIZE] __attribute__((aligned(4096)));
static uint16_t looked_at;

static void vsock_start(struct virtio *v)
{
    negotiate(v);
    v->queue = 0;
    set_register(v, REG_QUEUE_SEL, 0);
    clear(&received, sizeof(received));
    for (uint16_t i = 0; i < QUEUE_SIZE; i++) {
        received.desc[i] = (struct descriptor){ (uint64_t)packets[i], RX_SIZE, DESC_WRITE, 0 };
        received.avail.ring[i] = i;
    }
    received.avail.index = QUEUE_SIZE;
    offer_queue(v, QUEUE_SIZE, (uint64_t)received.desc, (uint64_t)&received.avail,
                (uint64_t)&received.used);
    v->queue = 1;
    set_register(v, REG_QUEUE_SEL, 1);
    offer_own_queue(v);
    drive(v);
    set_register(v, REG_NOTIFY, 0);
}

/* The next packet's header, or one without an operation where none has come. */
static struct vsock_header vsock_look(const struct virtio *v)
{
    struct vsock_header header = { .operation = 0 };
    uint16_t id;

    if (received.used.index == looked_at)
        return header;
    __asm__ volatile("" : : : "memory");
    id = (uint16_t)received.used.ring[looked_at++ % QUEUE_SIZE].id;
    header = *(struct vsock_header *)packets[id % QUEUE_SIZE];
    received.avail.ring[received.avail.index % QUEUE_SIZE] = id;
    __asm__ volatile("" : : : "memory");
    received.avail.index++;
    set_register(v, REG_NOTIFY, 0);
    return header;
}

static void vsock_send(const struct virtio *v, uint16_t operation, uint32_t port, uint32_t length)
{
    struct vsock_header *header = (struct vsock_header *)buffers[0];

    *header = (struct vsock_header){
        .src_cid = 3, .dst_cid = 2, .src_port = port, .dst_port = 80, .length = length, .type = 1,
        .operation = operation, .flags = operation == OP_SHUTDOWN ? 3 : 0, .buf_alloc = CREDIT,
    };
    describe(0, (uint64_t)buffers[0], HEADER, length ? DESC_NEXT : 0, 1);
    describe(1, DATA, length, 0, 0);
    offer(0);
    notify(v);
    wait_used(v, &rings, ++requests);
}

static void use_vsock(uint64_t kilobytes)
{
    struct virtio v = find_device(ID_VSOCK);
    struct vsock_header last = { .operation = 0 };
    uint32_t sent = 0, room = 0, total = (uint32_t)(kilobytes << 10);
    uint64_t since = rdtsc();
    bool told = false;

    vsock_start(&v);
    vsock_send(&v, OP_REQUEST, 1024, 0);
    while (sent < total && last.operation != OP_RST && last.operation != OP_SHUTDOWN) {
        last = vsock_look(&v);
        if (last.operation)
            room = last.buf_alloc - (sent - last.fwd_cnt);
        if (room >= 4096) {
            vsock_send(&v, OP_RW, 1024, 4096);
            sent += 4096;
            room -= 4096;
            since = rdtsc();
        } else if (!told && rdtsc() - since > 1000 * TICKS_PER_MS) {
            print_with_number("no credit after KB: ", sent >> 10);
            told = true;
        }
    }
    print_with_number(sent == total ? "sent KB: " : "shut down after KB: ", sent >> 10);
    vsock_send(&v, OP_SHUTDOWN, 1024, 0);
    while (last.operation != OP_RST)
        last = vsock_look(&v);
}

static void connect_often(uint64_t connections)
{
    struct virtio v = find_device(ID_VSOCK);
    uint64_t answers = 0, refused = 0;

    vsock_start(&v);
    for (uint32_t i = 0; i < connections; i++) {
        struct vsock_header last = { .operation = 0 };

        vsock_send(&v, OP_REQUEST, 1024 + i, 0);
        while (last.operation != OP_RST && last.operation != OP_RESPONSE)
            last = vsock_look(&v);
        answers++;
        refused += last.operation == OP_RST;
    }
    print_with_number("refused ", refused);
    print_with_number("answered ", answers);
}

static void touch(uint64_t megabytes)
{
    for (uint64_t at = DATA; at < DATA + (megabytes << 20); at += 4096)
        *(volatile uint8_t *)at = 1;
    print("touched\n");
}

void payload_main(int protocol, const void *argument)
{
    struct boot_info info = boot_info(protocol, argument);

    map_memory();
    print("started\n");
    if (option(&info, "disk"))
        use_disk(option(&info, "disk"));
    if (option(&info, "net"))
        use_net();
    if (option(&info, "vsock"))
        use_vsock(option_number(option(&info, "vsock")));
    if (option(&info, "connect"))
        connect_often(option_number(option(&info, "connect")));
    if (option(&info, "touch"))
        touch(option_number(option(&info, "touch")));
    if (option(&info, "end"))
        halt();
    power_off();
}
