/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/saved_devices.h"
#include "tests/support/device_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/console.h"
#include "devices/registry.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/block.h"
#include "devices/virtio/entropy.h"
#include "devices/serial_registers.h"
#include "devices/virtio/console.h"
#include "devices/virtio/vsock.h"
#include "tests/support/fake_uplink.h"
#include "vmm/monitor/arch/x86_64/i8042.h"
#include "vmm/monitor/arch/x86_64/ioapic.h"
#include "vmm/base/cleanup.h"

#define IN 0x50000u
#define OUT 0x40000u

static void parse(struct saved_world *world, const struct virtio_device_class *class,
                  const char *text)
{
    struct error error = ERROR_INIT;

    if (device_options_parse(class->name, text, &world->options, &error) < 0)
        fail_msg("%s", error.message);
}

static void open_terminal(struct saved_world *world)
{
    struct console_options console = { .log = &world->fixture.log };
    struct error error = ERROR_INIT;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                                world->fds), 0);
    console.input_fd = console.output_fd = world->fds[1];
    assert_int_equal(console_create(&world->console, &console, &error), 0);
    world->fixture.env.console = world->console;
}

/* The answer to what was sent to QUEUE, which must come. */
static void expect_used(struct saved_world *world, unsigned int queue)
{
    struct virtq_used_element used;

    assert_true(fake_driver_wait(&world->driver, queue, &used));
}

static void send_bytes(struct saved_world *world, unsigned int queue, const void *bytes,
                       uint32_t length)
{
    const struct fake_buffer buffer = { OUT, length };

    memcpy(fake_memory(&world->driver, OUT, length), bytes, length);
    fake_driver_send(&world->driver, queue, FAKE_DIRECT, 1, &buffer);
}

static void offer(struct saved_world *world, unsigned int queue, uint32_t length)
{
    const struct fake_buffer buffer = { IN, length, true };

    fake_driver_send(&world->driver, queue, FAKE_DIRECT, 1, &buffer);
}

/* ---- each kind ------------------------------------------------------------ */

static void serial_work(struct saved_world *world)
{
    device_out(world->device, REG_IIR, 0xc1);
    device_out(world->device, REG_IER, IER_RECEIVED);
    device_out(world->device, REG_MCR, MCR_RTS | MCR_OUT2);
    assert_int_equal(write(world->fds[0], "typed", 5), 5);
    run_loop_for(world->fixture.env.loop, 5);
    assert_int_equal(device_in(world->device, REG_DATA), 't');
}

static void discard_message(void *context, uint64_t address, uint32_t data)
{
    (void)context;
    (void)address;
    (void)data;
}

static void ioapic_prepare(struct saved_world *world)
{
    struct ioapic_options *options = calloc(1, sizeof(*options));

    options->pins = 24;
    options->send = discard_message;
    world->options = options;
}

static void disk_prepare(struct saved_world *world)
{
    char text[64];

    world->fds[0] = memfd_create("disk", MFD_CLOEXEC);
    assert_int_equal(ftruncate(world->fds[0], 65536), 0);
    snprintf(text, sizeof(text), "/proc/self/fd/%d,queues=2,engine=sync", world->fds[0]);
    parse(world, &block_class, text);
}

static void disk_work(struct saved_world *world)
{
    static const uint32_t get_id[4] = { 8 };
    const struct fake_buffer buffers[] = { { OUT, 16 }, { IN, 20, true }, { IN + 32, 1, true } };

    memcpy(fake_memory(&world->driver, OUT, 16), get_id, 16);
    fake_driver_send(&world->driver, 0, FAKE_DIRECT, 3, buffers);
    expect_used(world, 0);
}

static void net_prepare(struct saved_world *world)
{
    world->options = calloc(1, sizeof(struct fake_net_options));
}

static void net_work(struct saved_world *world)
{
    struct fake_net_options *options = world->options;
    static const uint8_t frame[100];

    offer(world, 0, 1526);
    fake_uplink_put(options->uplink, 0, frame, sizeof(frame));
    expect_used(world, 0);
}

static void console_prepare(struct saved_world *world)
{
    char text[32];

    open_terminal(world);
    snprintf(text, sizeof(text), "talk=fd:%d", world->fds[0]);
    parse(world, &virtio_console_class, text);
}

static void console_work(struct saved_world *world)
{
    const struct console_control ready = { .event = CONSOLE_DEVICE_READY, .value = 1 };
    const struct console_control open = { .event = CONSOLE_PORT_OPEN, .value = 1 };

    send_bytes(world, CONSOLE_CONTROL_TX, &ready, sizeof(ready));
    send_bytes(world, CONSOLE_CONTROL_TX, &open, sizeof(open));
    offer(world, CONSOLE_CONTROL_RX, 64);
    expect_used(world, CONSOLE_CONTROL_RX);
    /* Port 1's other end is the terminal, and so it comes in by port 0. */
    send_bytes(world, 5, "hello", 5);
    offer(world, 0, 64);
    expect_used(world, 0);
}

static void entropy_prepare(struct saved_world *world)
{
    parse(world, &entropy_class, "on,rate=16M,once=1M");
}

static void entropy_work(struct saved_world *world)
{
    offer(world, 0, 64);
    expect_used(world, 0);
}

static void balloon_prepare(struct saved_world *world)
{
    parse(world, &balloon_class, "64K,stats=1");
}

static void balloon_work(struct saved_world *world)
{
    static const uint32_t page = 0x70;

    send_bytes(world, 0, &page, sizeof(page));
    expect_used(world, 0);
    send_bytes(world, 2, "", 1); /* kept by the device */
}

static void vsock_prepare(struct saved_world *world)
{
    char text[32];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, world->fds), 0);
    snprintf(text, sizeof(text), "7,handoff=%d", world->fds[0]);
    parse(world, &virtio_vsock_class, text);
}

/* A packet of no connection is refused. */
static void vsock_work(struct saved_world *world)
{
    const struct vsock_header header = {
        .source_cid = 7, .destination_cid = VSOCK_CID_HOST, .source_port = 1,
        .destination_port = 2, .type = VSOCK_TYPE_STREAM, .op = VSOCK_OP_RW,
    };

    offer(world, VSOCK_RX, 256);
    send_bytes(world, VSOCK_TX, &header, sizeof(header));
    expect_used(world, VSOCK_RX);
}

static const struct saved_kind kinds[] = {
    { .name = "serial", .ops = &serial_ops, .prepare = open_terminal, .work = serial_work },
    { .name = "i8042", .ops = &i8042_ops },
    { .name = "power", .ops = &power_ops },
    { .name = "boot mark", .ops = &boot_mark_ops },
    { .name = "ioapic", .ops = &ioapic_ops, .prepare = ioapic_prepare },
    { .name = "disk", .class = &block_class, .features = 1u << 9 | 1u << 11, .queues = 2,
      .prepare = disk_prepare, .work = disk_work },
    { .name = "net", .class = &fake_net_class, .features = NET_F_MRG_RXBUF, .queues = 2,
      .prepare = net_prepare, .work = net_work },
    { .name = "console", .class = &virtio_console_class, .features = CONSOLE_F_MULTIPORT,
      .queues = 6, .prepare = console_prepare, .work = console_work },
    { .name = "entropy", .class = &entropy_class, .queues = 1, .prepare = entropy_prepare,
      .work = entropy_work },
    { .name = "balloon", .class = &balloon_class, .features = 1u << 1, .queues = 3,
      .prepare = balloon_prepare, .work = balloon_work },
    { .name = "vsock", .class = &virtio_vsock_class, .features = VSOCK_F_STREAM,
      .queues = VSOCK_QUEUES, .prepare = vsock_prepare, .work = vsock_work },
};

const struct saved_kind *saved_kinds(size_t *count)
{
    *count = ARRAY_LENGTH(kinds);
    return kinds;
}

/* ---- life ----------------------------------------------------------------- */

void saved_world_open(struct saved_world *world, const struct saved_kind *kind)
{
    *world = (struct saved_world){ .fds = { -1, -1 } };
    fixture_init(&world->fixture);
    world->driver = (struct fake_driver){ .fixture = &world->fixture, .next = FAKE_ALLOC_BASE };
    if (kind->prepare)
        kind->prepare(world);
}

void saved_world_close(struct saved_world *world, const struct saved_kind *kind)
{
    console_destroy(world->console);
    if (kind->class && kind->class != &fake_net_class)
        device_options_release(world->options);
    else
        free(world->options);
    for (int i = 0; i < 2; i++)
        if (world->fds[i] >= 0)
            close(world->fds[i]);
    fixture_release(&world->fixture);
}

void saved_world_make(struct saved_world *world, const struct saved_kind *kind)
{
    if (!kind->class) {
        world->device = device_make(&world->fixture, kind->ops, world->options);
        return;
    }
    /* Each device takes an uplink. */
    if (kind->class == &fake_net_class)
        ((struct fake_net_options *)world->options)->uplink = fake_uplink_create(2);
    fake_driver_make(&world->driver, kind->class, world->options);
    world->device = world->driver.device;
}

void saved_world_end(struct saved_world *world, const struct saved_kind *kind)
{
    if (kind->class)
        fake_driver_destroy(&world->driver);
    else
        world->device->ops->destroy(world->device);
    world->device = NULL;
}

void saved_world_save(struct saved_world *world, const struct saved_kind *kind,
                      struct saved *saved)
{
    saved_world_make(world, kind);
    if (kind->class)
        fake_driver_start(&world->driver, kind->features, kind->queues);
    if (kind->work)
        kind->work(world);
    device_save(world->device, saved);
    saved_world_end(world, kind);
}
