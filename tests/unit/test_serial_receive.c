/* SPDX-License-Identifier: Apache-2.0 */
/* The serial port: receiving, and which interrupt comes first. */
#include "tests/support/serial_bench.h"

static void test_receive_and_timeout(void **state)
{
    struct port *port = *state;
    struct fake_irq *irq = &port->fixture.irq;

    open_port(port);
    out(port, REG_IIR, FCR_ENABLE | 0x40); /* trigger level 4 */
    out(port, REG_IER, IER_RECEIVED);
    assert_int_equal(in(port, REG_IIR), IIR_FIFO | IIR_NONE);
    type(port, "ab");
    assert_int_equal(irq->edges, 1);
    assert_int_equal(in(port, REG_IIR), IIR_FIFO | IIR_TIMEOUT);
    type(port, "cd");
    assert_int_equal(in(port, REG_IIR), IIR_FIFO | IIR_RECEIVED);
    for (const char *at = "abcd"; *at; at++) {
        assert_true(in(port, REG_LSR) & LSR_DATA);
        assert_true(irq->high);
        assert_int_equal(in(port, REG_DATA), *at);
    }
    assert_false(in(port, REG_LSR) & LSR_DATA);
    assert_false(irq->high);
    assert_int_equal(in(port, REG_DATA), 0);
}

/* Each refill is a new cause; so is a byte that a handler left behind. */
static void test_receive_edges(void **state)
{
    struct port *port = *state;
    struct fake_irq *irq = &port->fixture.irq;

    open_port(port);
    out(port, REG_IER, IER_RECEIVED);
    type(port, "0123456789abcdefghij");
    assert_int_equal(irq->edges, 1);
    for (unsigned int i = 0; i < 16; i++)
        in(port, REG_DATA);
    assert_int_equal(irq->edges, 2);
    run(port); /* the timer armed above may add an edge of its own */
    irq->edges = 0;
    assert_int_equal(in(port, REG_DATA), 'g');
    assert_int_equal(irq->edges, 0);
    run(port);
    assert_int_equal(irq->edges, 1);
    assert_int_equal(in(port, REG_DATA), 'h');
    run(port);
    assert_int_equal(irq->edges, 2);
}

static void test_receive_without_fifo(void **state)
{
    struct port *port = *state;
    struct fake_irq *irq = &port->fixture.irq;
    unsigned int edge = 0;

    out(port, REG_MCR, MCR_OUT2 | MCR_RTS);
    out(port, REG_IER, IER_RECEIVED);
    type(port, "abc");
    for (const char *at = "abc"; *at; at++) {
        edge++;
        assert_int_equal(irq->edges, edge);
        assert_int_equal(in(port, REG_IIR), IIR_RECEIVED);
        assert_int_equal(in(port, REG_DATA), *at);
    }
    assert_false(irq->high);
}

/* What was typed before the driver was ready survives its clearing of the FIFO. */
static void test_input_waits_for_the_driver(void **state)
{
    struct port *port = *state;

    type(port, "early");
    assert_false(in(port, REG_LSR) & LSR_DATA);
    out(port, REG_IIR, FCR_ENABLE | FCR_CLEAR_RECEIVER);
    assert_int_equal(in(port, REG_DATA), 0);
    /* Linux enables the interrupt, then the FIFO (which clears it), then RTS. */
    out(port, REG_IIR, 0);
    out(port, REG_IER, IER_RECEIVED);
    out(port, REG_IIR, FCR_ENABLE);
    out(port, REG_MCR, MCR_RTS);
    for (const char *at = "early"; *at; at++)
        assert_int_equal(in(port, REG_DATA), *at);
}

static void test_overrun_interrupt(void **state)
{
    struct port *port = *state;

    out(port, REG_IER, IER_LINE);
    out(port, REG_MCR, MCR_LOOP);
    out(port, REG_DATA, 'a');
    out(port, REG_DATA, 'b');
    assert_int_equal(in(port, REG_IIR), IIR_LINE);
    assert_int_equal(in(port, REG_DATA), 'b'); /* the bare buffer takes the new byte */
    assert_true(in(port, REG_LSR) & LSR_OVERRUN);
    assert_int_equal(in(port, REG_IIR), IIR_NONE);
}

static void test_modem_status(void **state)
{
    struct port *port = *state;

    assert_int_equal(in(port, REG_MSR), MSR_CTS | MSR_DSR | MSR_DCD);
    out(port, REG_IER, IER_MODEM);
    out(port, REG_MCR, MCR_LOOP | MCR_OUT1);
    assert_int_equal(in(port, REG_IIR), IIR_MODEM);
    /* CTS, DSR and DCD went away; RI that begins is no change. */
    assert_int_equal(in(port, REG_MSR), MSR_RING | 0x0b);
    assert_int_equal(in(port, REG_IIR), IIR_NONE);
    out(port, REG_MCR, MCR_LOOP);
    assert_int_equal(in(port, REG_MSR), MSR_RING_ENDED);
    assert_int_equal(in(port, REG_MSR), 0);
}

static void test_priorities(void **state)
{
    struct port *port = *state;

    out(port, REG_MCR, MCR_LOOP);
    out(port, REG_IER, 0x0f);
    out(port, REG_DATA, 'a');
    out(port, REG_DATA, 'b');
    assert_int_equal(in(port, REG_IIR), IIR_LINE);
    in(port, REG_LSR);
    assert_int_equal(in(port, REG_IIR), IIR_RECEIVED);
    in(port, REG_DATA);
    assert_int_equal(in(port, REG_IIR), IIR_TRANSMIT);
    assert_int_equal(in(port, REG_IIR), IIR_MODEM);
    in(port, REG_MSR);
    assert_int_equal(in(port, REG_IIR), IIR_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_receive_and_timeout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_receive_edges, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_receive_without_fifo, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_input_waits_for_the_driver, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_overrun_interrupt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_modem_status, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_priorities, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
