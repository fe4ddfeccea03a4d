/* SPDX-License-Identifier: Apache-2.0 */
/* The serial port: what Linux asks of it, sending, and registers poked at random. */
#include "tests/support/serial_bench.h"

#include <string.h>
#include <unistd.h>

static void test_sends_what_is_written(void **state)
{
    struct port *port = *state;
    char text[16];

    for (const char *at = "hello\n"; *at; at++) {
        assert_int_equal(in(port, REG_LSR), LSR_THRE | LSR_TEMT);
        out(port, REG_DATA, (uint8_t)*at);
    }
    run(port);
    assert_int_equal(read(port->host, text, sizeof(text)), 6);
    assert_memory_equal(text, "hello\n", 6);
}

static void test_divisor_and_scratch(void **state)
{
    struct port *port = *state;
    char byte;

    out(port, REG_IER, 0x05);
    out(port, REG_LCR, 0x83);
    out(port, REG_DATA, 0x34);
    out(port, REG_IER, 0x12);
    assert_int_equal(in(port, REG_DATA), 0x34);
    assert_int_equal(in(port, REG_IER), 0x12);
    assert_int_equal(in(port, REG_LCR), 0x83);
    out(port, REG_LCR, 0x03);
    assert_int_equal(in(port, REG_IER), 0x05);
    for (unsigned int value = 0; value < 256; value++) {
        out(port, REG_SCR, (uint8_t)value);
        assert_int_equal(in(port, REG_SCR), value);
    }
    run(port);
    assert_int_equal(read(port->host, &byte, 1), -1);
}

/* What autoconfig() and autoconfig_16550a() of Linux look at. */
static void test_linux_probe(void **state)
{
    struct port *port = *state;

    out(port, REG_IER, 0);
    assert_int_equal(in(port, REG_IER), 0);
    out(port, REG_IER, 0xff);
    assert_int_equal(in(port, REG_IER), 0x0f);
    out(port, REG_IER, 0);
    out(port, REG_MCR, MCR_LOOP | MCR_OUT2 | MCR_RTS);
    assert_int_equal(in(port, REG_MSR) & 0xf0, MSR_DCD | MSR_CTS);
    out(port, REG_MCR, 0);

    out(port, REG_LCR, 0xbf);
    out(port, REG_IIR, 0);
    out(port, REG_LCR, 0);
    assert_int_equal(in(port, REG_IIR) >> 6, 0);
    out(port, REG_IIR, FCR_ENABLE);
    assert_int_equal(in(port, REG_IIR) >> 6, 3);
    /* No enhanced feature register, in either mode. */
    out(port, REG_LCR, 0x80);
    assert_int_not_equal(in(port, REG_IIR), 0);
    out(port, REG_LCR, 0xbf);
    assert_int_not_equal(in(port, REG_IIR), 0);
    /* No 64-byte FIFO (TI16750), set with or without DLAB. */
    out(port, REG_LCR, 0);
    out(port, REG_IIR, FCR_ENABLE | 0x20);
    assert_int_equal(in(port, REG_IIR) >> 5, 6);
    out(port, REG_LCR, 0x80);
    out(port, REG_IIR, FCR_ENABLE | 0x20);
    assert_int_equal(in(port, REG_IIR) >> 5, 6);
    out(port, REG_LCR, 0);
    /* No Xscale unit enable bit. */
    out(port, REG_IER, 0x40);
    assert_int_equal(in(port, REG_IER), 0);
}

/* Linux counts the FIFO by filling it through the loopback. */
static void test_fifo_size_by_loopback(void **state)
{
    struct port *port = *state;
    unsigned int count = 0;

    out(port, REG_IIR, FCR_ENABLE | 0x06);
    out(port, REG_MCR, MCR_LOOP);
    for (unsigned int i = 0; i < 256; i++)
        out(port, REG_DATA, (uint8_t)i);
    assert_int_equal(in(port, REG_LSR), LSR_DATA | LSR_OVERRUN | LSR_THRE | LSR_TEMT);
    assert_int_equal(in(port, REG_LSR), LSR_DATA | LSR_THRE | LSR_TEMT);
    while (in(port, REG_LSR) & LSR_DATA && count < 256) {
        assert_int_equal(in(port, REG_DATA), count);
        count++;
    }
    assert_int_equal(count, 16);
    run(port);
    assert_int_equal(console_counters(port->console).written, 0);
}

/* The tests for UART_BUG_TXEN and UART_BUG_THRE in serial8250_do_startup(). */
static void test_linux_transmit_interrupt_tests(void **state)
{
    struct port *port = *state;

    open_port(port);
    out(port, REG_IER, IER_TRANSMIT);
    assert_int_equal(in(port, REG_IIR) & 0x0f, IIR_TRANSMIT);
    out(port, REG_IER, 0);
    out(port, REG_IER, IER_TRANSMIT);
    assert_int_equal(in(port, REG_IIR) & 0x0f, IIR_TRANSMIT);
    assert_int_equal(in(port, REG_IIR) & 0x0f, IIR_NONE);
    out(port, REG_IER, 0);
    out(port, REG_IER, IER_TRANSMIT);
    assert_true(in(port, REG_LSR) & LSR_TEMT);
    assert_int_equal(in(port, REG_IIR) & 0x0f, IIR_TRANSMIT);
}

/* As Linux's handler: it looks at IIR until that is quiet, and costs one edge. */
static void test_transmit_interrupt_edges(void **state)
{
    struct port *port = *state;
    struct fake_irq *irq = &port->fixture.irq;

    open_port(port);
    for (unsigned int round = 1; round < 5; round++) {
        out(port, REG_IER, IER_TRANSMIT);
        assert_int_equal(irq->edges, round);
        for (unsigned int burst = 0; burst < 8; burst++) {
            assert_int_equal(in(port, REG_IIR), IIR_FIFO | IIR_TRANSMIT);
            assert_false(irq->high);
            for (unsigned int i = 0; i < 16; i++)
                out(port, REG_DATA, 'x');
        }
        out(port, REG_IER, 0);
        assert_int_equal(in(port, REG_IIR), IIR_FIFO | IIR_NONE);
        run(port);
        assert_false(irq->high);
        assert_int_equal(irq->edges, round);
    }
    assert_int_equal(irq->repeated, 0);
}

/* With a modem interrupt pending besides, the line is high all the same. */
static void test_deferred_transmit_hides_nothing(void **state)
{
    struct port *port = *state;

    out(port, REG_IER, IER_TRANSMIT | IER_MODEM);
    out(port, REG_MCR, MCR_LOOP);
    out(port, REG_MCR, MCR_OUT2);
    assert_int_equal(in(port, REG_IIR), IIR_TRANSMIT);
    out(port, REG_DATA, 'x');
    assert_true(port->fixture.irq.high);
    in(port, REG_MSR);
    assert_false(port->fixture.irq.high);
    run(port);
    assert_true(port->fixture.irq.high);
}

/* A handler that sends one byte per interrupt and looks at nothing. */
static void test_transmit_edge_without_iir(void **state)
{
    struct port *port = *state;
    struct fake_irq *irq = &port->fixture.irq;

    open_port(port);
    out(port, REG_IER, IER_TRANSMIT);
    for (unsigned int edge = 1; edge < 6; edge++) {
        assert_int_equal(irq->edges, edge);
        out(port, REG_DATA, 'x');
        run(port);
    }
    /* A guest that does nothing gets no stream of edges. */
    run(port);
    run(port);
    assert_int_equal(irq->edges, 6);
}

static void test_out2_gates_the_line(void **state)
{
    struct port *port = *state;
    struct fake_irq *irq = &port->fixture.irq;

    out(port, REG_IER, IER_TRANSMIT);
    assert_false(irq->high);
    out(port, REG_MCR, MCR_OUT2);
    assert_true(irq->high);
    out(port, REG_MCR, MCR_OUT2 | MCR_LOOP);
    assert_false(irq->high);
    out(port, REG_MCR, MCR_OUT2);
    assert_int_equal(irq->edges, 2);
    out(port, REG_MCR, 0);
    assert_false(irq->high);
}

/* A guest that heeds THRE loses nothing, however slow the reader. */
static void test_flow_control(void **state)
{
    struct port *port = *state;
    struct fake_irq *irq = &port->fixture.irq;
    char text[4096];
    unsigned int sent = 0, received = 0, edges;
    ssize_t length;

    open_port(port);
    while (in(port, REG_LSR) & LSR_THRE) {
        for (unsigned int i = 0; i < FIFO_SIZE; i++)
            out(port, REG_DATA, (uint8_t)(sent++ % 251));
        assert_in_range(sent, 0, CONSOLE_OUTPUT_RING);
    }
    assert_false(in(port, REG_LSR) & LSR_TEMT);
    out(port, REG_IER, IER_TRANSMIT);
    assert_false(irq->high);
    edges = irq->edges;
    for (unsigned int round = 0; round < 1000 && received < sent; round++) {
        run_loop_for(port->fixture.env.loop, 1);
        while ((length = read(port->host, text, sizeof(text))) > 0)
            for (ssize_t i = 0; i < length; i++) {
                assert_int_equal((uint8_t)text[i], received % 251);
                received++;
            }
    }
    assert_int_equal(received, sent);
    assert_int_equal(irq->edges, edges + 1);
    assert_int_equal(in(port, REG_IIR) & 0x0f, IIR_TRANSMIT);
    assert_true(in(port, REG_LSR) & LSR_THRE);
    assert_int_equal(memory_log_lines(&port->fixture.log), 0);
}

/* One that does not loses the rest, and the log gets one line, not millions. */
static void test_flood_is_dropped(void **state)
{
    struct port *port = *state;

    for (unsigned int i = 0; i < CONSOLE_OUTPUT_RING + 100000; i++)
        out(port, REG_DATA, 'x');
    assert_false(in(port, REG_LSR) & LSR_THRE);
    assert_int_equal(memory_log_lines(&port->fixture.log), 1);
    run(port);
}

static void test_nothing_connected(void **state)
{
    struct port *port = *state;
    struct device *device;

    port->fixture.env.console = NULL;
    device = device_make(&port->fixture, &serial_ops, NULL);
    for (unsigned int i = 0; i < 200000; i++)
        device_out(device, REG_DATA, 'x');
    assert_int_equal(device_in(device, REG_LSR), LSR_THRE | LSR_TEMT);
    device->ops->destroy(device);
}

/* A second VM in the same process, as after --on-reboot restart. */
static void test_console_survives_the_port(void **state)
{
    struct port *port = *state;
    char text[8];

    port->device->ops->destroy(port->device);
    port->device = device_make(&port->fixture, &serial_ops, NULL);
    open_port(port);
    type(port, "q");
    assert_int_equal(in(port, REG_DATA), 'q');
    out(port, REG_DATA, 'r');
    run(port);
    assert_int_equal(read(port->host, text, sizeof(text)), 1);
    assert_int_equal(text[0], 'r');
}

static void test_every_offset_and_width(void **state)
{
    struct port *port = *state;
    uint8_t bytes[8];

    for (uint64_t offset = 0; offset < 32; offset++) {
        for (size_t length = 1; length <= 8; length *= 2) {
            memset(bytes, 0x5a, sizeof(bytes));
            device_write(port->device, offset, bytes, length);
            memset(bytes, 0, sizeof(bytes));
            device_read(port->device, offset, bytes, length);
            for (size_t i = length; i < sizeof(bytes); i++)
                assert_int_equal(bytes[i], 0);
            if (offset >= SERIAL_WINDOW)
                assert_int_equal(bytes[0], 0xff);
        }
    }
    device_write(port->device, UINT64_MAX - 7, bytes, 8);
    device_read(port->device, UINT64_MAX - 7, bytes, 8);
}

/* The registers and the line agree with each other. */
static void check_agreement(struct port *port)
{
    bool high = port->fixture.irq.high;
    uint8_t mcr = in(port, REG_MCR);

    assert_int_equal(mcr & ~MCR_BITS, 0);
    if (mcr & MCR_LOOP || !(mcr & MCR_OUT2)) {
        assert_false(high);
    } else {
        uint8_t iir = in(port, REG_IIR);

        /* The line may be late with the transmit cause, but with no other. */
        if (high || (iir & 0x0f) != IIR_TRANSMIT)
            assert_int_equal(high, !(iir & IIR_NONE));
        assert_int_equal(iir & 0x30, 0);
    }
    assert_int_equal(port->fixture.irq.repeated, 0);
}

static void test_random_pokes(void **state)
{
    struct port *port = *state;
    uint64_t random = 88172645463325252ull;
    char drained[4096];
    uint8_t bytes[8];

    for (unsigned int i = 0; i < 100000; i++) {
        uint64_t choice = next_random(&random);
        size_t length = (size_t)1 << (choice >> 8 & 3);
        uint64_t offset = choice >> 16 & 7;

        memcpy(bytes, &choice, sizeof(bytes));
        if (choice & 1)
            device_write(port->device, offset, bytes, length);
        else
            device_read(port->device, offset, bytes, length);
        if (i % 500 == 0) {
            assert_true(write(port->host, "some input", 10) == 10 || i > 0);
            run_loop_for(port->fixture.env.loop, 1);
            while (i % 5000 == 0 && read(port->host, drained, sizeof(drained)) > 0)
                continue;
        }
        check_agreement(port);
    }
    assert_true(memory_log_lines(&port->fixture.log) <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sends_what_is_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_divisor_and_scratch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_linux_probe, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fifo_size_by_loopback, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_linux_transmit_interrupt_tests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_transmit_interrupt_edges, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deferred_transmit_hides_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_transmit_edge_without_iir, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_out2_gates_the_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flow_control, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flood_is_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_connected, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_console_survives_the_port, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_offset_and_width, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_random_pokes, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
