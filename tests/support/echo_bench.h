/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_ECHO_BENCH_H
#define MOTE_ECHO_BENCH_H

/* A device that echoes, on its transport, and a driver for it. */

#include "tests/support/echo_device.h"
#include "tests/support/fake_driver.h"
#include "tests/support/vector_transport.h"

#include <string.h>

static struct fixture fixture;
static struct fake_driver driver;

static inline int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    fake_driver_create(&driver, &fixture, &echo_class, NULL);
    return 0;
}

static inline int set_up_vectors(void **state)
{
    (void)state;
    fixture_init(&fixture);
    fake_driver_create_on(&driver, &fake_vectors, &fixture, &echo_class, NULL);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    fake_driver_destroy(&driver);
    fixture_release(&fixture);
    return 0;
}

/* What is the same for every transport is tested over each: virtio-mmio, and one with vectors. */
#define OVER_MMIO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define OVER_VECTORS(test) cmocka_unit_test_setup_teardown(test, set_up_vectors, tear_down)
#define OVER_EACH(test)                                                                            \
    { #test " (mmio)", test, set_up, tear_down, NULL },                                            \
    { #test " (vectors)", test, set_up_vectors, tear_down, NULL }

static inline struct echo_device *echo(void)
{
    return (struct echo_device *)virtio_device_of(driver.device);
}

static inline void echo_once(unsigned int queue, enum fake_layout layout)
{
    uint64_t from = fake_alloc(&driver, 100, 1), to = fake_alloc(&driver, 100, 1);
    const struct fake_buffer buffers[] = {
        { from, 3 }, { from + 3, 60 }, { from + 63, 37 }, { to, 1, true }, { to + 1, 99, true },
    };
    struct virtq_used_element used;
    uint16_t head;

    memset(fake_memory(&driver, from, 100), 'x', 100);
    head = fake_driver_send(&driver, queue, layout, 5, buffers);
    assert_true(fake_driver_used(&driver, queue, &used));
    assert_int_equal(used.id, head);
    assert_int_equal(used.length, 100);
    assert_memory_equal(fake_memory(&driver, to, 100), fake_memory(&driver, from, 100), 100);
    assert_false(fake_driver_used(&driver, queue, &used));
}

#endif
