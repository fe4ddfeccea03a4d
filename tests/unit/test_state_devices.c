/* SPDX-License-Identifier: Apache-2.0 */
/* Saving and loading the machine's plain devices amid their work. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/console.h"
#include "devices/registry.h"
#include "devices/serial_registers.h"
#include "tests/support/saved.h"
#include "vmm/monitor/arch/x86_64/i8042.h"
#include "vmm/monitor/arch/x86_64/ioapic.h"

/* A port on a console whose far end is HOST, a non-blocking socket. */
struct port {
    struct fixture fixture;
    struct console *console;
    struct device *device;
    int host;
};

static void port_create(struct port *port)
{
    fixture_init(&port->fixture);
    port->host = fixture_terminal(&port->fixture);
    port->console = port->fixture.env.console;
    port->device = device_make(&port->fixture, &serial_ops, NULL);
}

static void port_destroy(struct port *port)
{
    port->device->ops->destroy(port->device);
    console_destroy(port->console);
    fixture_release(&port->fixture);
    close(port->host);
}

/* As Linux sets a port up: FIFOs with a trigger of 14, all interrupts but the modem's. */
static void set_up_registers(struct port *port)
{
    device_out(port->device, REG_LCR, 0x80);
    device_out(port->device, REG_DATA, 1);
    device_out(port->device, REG_LCR, 3);
    device_out(port->device, REG_IIR, 0xc1);
    device_out(port->device, REG_IER, IER_RECEIVED | IER_LINE);
    device_out(port->device, REG_MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
    device_out(port->device, REG_SCR, 0x77);
}

static void move(struct port *from, struct port *to)
{
    struct error error = ERROR_INIT;
    struct saved saved, again;

    device_save(from->device, &saved);
    device_save(from->device, &again);
    assert_true(saved_equal(&saved, &again));
    saved_release(&again);
    if (device_load(to->device, &saved, &error) < 0)
        fail_msg("%s", error.message);
    device_save(to->device, &again);
    assert_true(saved_equal(&saved, &again));
    saved_release(&again);
    saved_release(&saved);
}

static void test_a_serial_port_goes_on(void **state)
{
    struct port from, to;

    (void)state;
    port_create(&from);
    port_create(&to);
    set_up_registers(&from);
    assert_int_equal(write(from.host, "abcd", 4), 4);
    run_loop_for(from.fixture.env.loop, 5);
    assert_int_equal(device_in(from.device, REG_DATA), 'a');
    move(&from, &to);
    assert_int_equal(device_in(to.device, REG_LCR), 3);
    assert_int_equal(device_in(to.device, REG_SCR), 0x77);
    assert_int_equal(device_in(to.device, REG_IER), IER_RECEIVED | IER_LINE);
    assert_int_equal(device_in(to.device, REG_MCR), MCR_DTR | MCR_RTS | MCR_OUT2);
    assert_int_equal(device_in(to.device, REG_IIR), IIR_TIMEOUT | IIR_FIFO);
    assert_int_equal(device_in(to.device, REG_DATA), 'b');
    assert_int_equal(device_in(to.device, REG_DATA), 'c');
    assert_int_equal(device_in(to.device, REG_DATA), 'd');
    assert_int_equal(device_in(to.device, REG_LSR) & LSR_DATA, 0);
    /* The saved one lost nothing. */
    assert_int_equal(device_in(from.device, REG_DATA), 'b');
    port_destroy(&to);
    port_destroy(&from);
}

/* A byte that was there before the state, which only then says that the guest takes any. */
static void test_early_input_reaches_a_loaded_port(void **state)
{
    struct port from, to;

    (void)state;
    port_create(&from);
    port_create(&to);
    set_up_registers(&from);
    assert_int_equal(write(to.host, "x", 1), 1);
    run_loop_for(to.fixture.env.loop, 5);
    move(&from, &to);
    assert_int_equal(to.fixture.irq.edges, 0);
    run_loop_for(to.fixture.env.loop, 10);
    assert_int_equal(to.fixture.irq.edges, 1);
    assert_int_equal(device_in(to.device, REG_DATA), 'x');
    port_destroy(&to);
    port_destroy(&from);
}

/* Its console is full: the guest waits for an interrupt that only the new console can give. */
static void test_a_stuck_transmitter_is_free_after_loading(void **state)
{
    struct error error = ERROR_INIT;
    struct port from, to;
    struct saved saved;
    unsigned int sent = 0;

    (void)state;
    port_create(&from);
    port_create(&to);
    set_up_registers(&from);
    while (device_in(from.device, REG_LSR) & LSR_THRE && sent++ < 2 * CONSOLE_OUTPUT_RING)
        device_out(from.device, REG_DATA, 'o');
    device_out(from.device, REG_IER, IER_TRANSMIT);
    assert_int_equal(device_in(from.device, REG_IIR), IIR_NONE | IIR_FIFO);
    device_save(from.device, &saved);
    assert_int_equal(device_load(to.device, &saved, &error), 0);
    assert_int_equal(to.fixture.irq.edges, 0);
    run_loop_for(to.fixture.env.loop, 10);
    assert_int_equal(to.fixture.irq.edges, 1);
    assert_int_equal(device_in(to.device, REG_IIR), IIR_TRANSMIT | IIR_FIFO);
    saved_release(&saved);
    port_destroy(&to);
    port_destroy(&from);
}

/* One device of OPS after FIRST wrote to it; saved and loaded into another of its kind. */
static struct device *moved(struct fixture *fixture, struct device *device)
{
    struct device *other = device_make(fixture, device->ops, NULL);
    struct error error = ERROR_INIT;
    struct saved saved, again;

    device_save(device, &saved);
    assert_int_equal(device_load(other, &saved, &error), 0);
    device_save(other, &again);
    assert_true(saved_equal(&saved, &again));
    saved_release(&saved);
    saved_release(&again);
    device->ops->destroy(device);
    return other;
}

static void test_the_small_ones_go_on(void **state)
{
    static const uint8_t mark[] = { 0x11, 0x22, 0x33, 0x44 };
    struct fixture fixture;
    struct device *device;
    uint8_t bytes[4];

    (void)state;
    fixture_init(&fixture);
    device = device_make(&fixture, &i8042_ops, NULL);
    device_out(device, 1, 0x0b);
    for (int i = 0; i < 63; i++)
        device_in(device, 0);
    device = moved(&fixture, device);
    assert_int_equal(device_in(device, 1), 0x2b);
    assert_int_equal(device_in(device, 4), 1);
    device_in(device, 0);
    assert_int_equal(device_in(device, 4), 0);
    device->ops->destroy(device);

    device = device_make(&fixture, &power_ops, NULL);
    device_out(device, 0, 0x14);
    device = moved(&fixture, device);
    assert_int_equal(device_in(device, 0), 0x14);
    device->ops->destroy(device);

    device = device_make(&fixture, &boot_mark_ops, NULL);
    device_write(device, 0, mark, sizeof(mark));
    device = moved(&fixture, device);
    device_read(device, 0, bytes, sizeof(bytes));
    assert_memory_equal(bytes, mark, sizeof(mark));
    assert_int_equal(fixture.events.count[GUEST_MARK], 1); /* loading reports none */
    device->ops->destroy(device);
    fixture_release(&fixture);
}

/* ---- the IOAPIC ----------------------------------------------------------- */

static void count_message(void *context, uint64_t address, uint32_t data)
{
    (void)address;
    (void)data;
    ++*(unsigned int *)context;
}

static void write_ioapic(struct device *ioapic, uint8_t index, uint32_t value)
{
    uint32_t select = index;

    device_write(ioapic, 0x00, (const uint8_t *)&select, sizeof(select));
    device_write(ioapic, 0x10, (const uint8_t *)&value, sizeof(value));
}

static uint32_t read_ioapic(struct device *ioapic, uint8_t index)
{
    uint32_t select = index, value;

    device_write(ioapic, 0x00, (const uint8_t *)&select, sizeof(select));
    device_read(ioapic, 0x10, (uint8_t *)&value, sizeof(value));
    return value;
}

static void test_the_ioapic_goes_on(void **state)
{
    unsigned int sent = 0, loaded = 0;
    struct ioapic_options options = { .pins = 24, .send = count_message, .context = &sent };
    struct error error = ERROR_INIT;
    struct device *from, *to;
    struct irq_line line;
    struct saved saved, again;

    (void)state;
    assert_int_equal(ioapic_ops.create(&from, NULL, &options, &error), 0);
    options.context = &loaded;
    assert_int_equal(ioapic_ops.create(&to, NULL, &options, &error), 0);
    write_ioapic(from, 0, 0x05000000);
    write_ioapic(from, 0x10 + 2 * 3, 0x31);          /* an edge, open */
    write_ioapic(from, 0x10 + 2 * 4, 0x8032);        /* a level, open */
    write_ioapic(from, 0x10 + 2 * 5, 1u << 16 | 33); /* an edge, masked */
    for (uint32_t pin = 3; pin <= 5; pin++) {
        line = ioapic_line(from, pin);
        irq_line_raise(&line);
    }
    assert_int_equal(sent, 2);
    device_save(from, &saved);
    assert_int_equal(device_load(to, &saved, &error), 0);
    device_save(to, &again);
    assert_true(saved_equal(&saved, &again));
    assert_int_equal(loaded, 0);
    assert_int_equal(read_ioapic(to, 0), 0x05000000);
    assert_int_equal(read_ioapic(to, 0x10 + 2 * 4), 0x8032 | 1u << 14);
    /* The edge is there already; the masked one comes by its opening, the level by its end. */
    line = ioapic_line(to, 3);
    irq_line_raise(&line);
    assert_int_equal(loaded, 0);
    write_ioapic(to, 0x10 + 2 * 5, 33);
    assert_int_equal(loaded, 1);
    device_write(to, 0x40, (const uint8_t[]){ 0x32, 0, 0, 0 }, 4);
    assert_int_equal(loaded, 2);
    saved_release(&saved);
    saved_release(&again);
    ioapic_ops.destroy(from);
    ioapic_ops.destroy(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_serial_port_goes_on),
        cmocka_unit_test(test_early_input_reaches_a_loaded_port),
        cmocka_unit_test(test_a_stuck_transmitter_is_free_after_loading),
        cmocka_unit_test(test_the_small_ones_go_on),
        cmocka_unit_test(test_the_ioapic_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
