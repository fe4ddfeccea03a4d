/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_NET_BENCH_H
#define MOTE_NET_BENCH_H

/* virtio-net under test: an uplink that is a fake, and a driver that sends and receives. */

#include "tests/support/fake_driver.h"
#include "tests/support/fake_uplink.h"

#include <string.h>

#define HEADER sizeof(struct uplink_header)
#define RX 0u
#define TX 1u
#define AT 0x100u /* a header of the guest's, and the frame behind it */
#define FRAME_AT 0x1000u

static struct fixture fixture;
static struct fake_driver driver;
static struct fake_uplink *uplink; /* NULL: there is none */
static struct fake_net_options options;
static struct virtq_used_element used;
static uint8_t frame[UPLINK_FRAME_MAX]; /* that the network sends */
static uint8_t got[HEADER + UPLINK_FRAME_MAX]; /* that the guest sent */

static inline struct net *net(void)
{
    return (struct net *)virtio_device_of(driver.device);
}

/* A device as WANTED, with PAIRS of queues; none of them: without an uplink. */
static inline int set_up_with(const struct fake_net_options *wanted, unsigned int pairs)
{
    fixture_init(&fixture);
    uplink = pairs ? fake_uplink_create(pairs) : NULL;
    options = *wanted;
    options.uplink = uplink;
    fake_driver_create(&driver, &fixture, &fake_net_class, &options);
    for (size_t i = 0; i < sizeof(frame); i++)
        frame[i] = (uint8_t)(i * 31 + i / 256);
    return 0;
}

static inline int set_up(void **state)
{
    static const struct fake_net_options plain;

    (void)state;
    return set_up_with(&plain, 1);
}

static inline int tear_down(void **state)
{
    (void)state;
    fake_driver_destroy(&driver);
    fixture_release(&fixture);
    return 0;
}

/* ---- to the guest --------------------------------------------------------- */

/* Both queues, of SIZE entries. */
static inline void start_sized(uint64_t features, uint16_t size)
{
    uint64_t wanted = features | FAKE_RING_FEATURES;

    assert_int_equal(wanted & ~fake_driver_reset(&driver), 0);
    assert_true(fake_driver_negotiate(&driver, wanted));
    fake_driver_queue(&driver, RX, size);
    fake_driver_queue(&driver, TX, size);
    fake_driver_ready(&driver);
    fake_driver_run(&driver);
}

/* A buffer of LENGTH bytes for one frame or a part of it, without a kick. */
static inline uint64_t add(uint32_t length)
{
    uint64_t address = fake_alloc(&driver, length, 1);

    fake_driver_add(&driver, RX, FAKE_DIRECT, 1,
                    (struct fake_buffer[]){ { address, length, true } });
    return address;
}

static inline uint16_t buffers_of(uint64_t address)
{
    struct uplink_header header;

    memcpy(&header, fake_memory(&driver, address, HEADER), HEADER);
    assert_int_equal(header.flags, 0);
    assert_int_equal(header.gso_type, 0);
    return header.buffers;
}

static inline void expect_frame(uint64_t address, size_t length)
{
    assert_true(fake_driver_used(&driver, RX, &used));
    assert_int_equal(used.length, HEADER + length);
    assert_int_equal(buffers_of(address), 1);
    assert_memory_equal(fake_memory(&driver, address + HEADER, length), frame, length);
}

/* ---- from the guest ------------------------------------------------------- */

static inline void start(uint64_t features)
{
    fake_driver_start(&driver, features, 2);
    fake_driver_run(&driver);
}

/* HEADER_BYTES and LENGTH bytes of a frame, in one buffer each; the head. */
static inline uint16_t send_frame(const struct uplink_header *header, uint32_t length)
{
    memcpy(fake_memory(&driver, AT, HEADER), header, HEADER);
    for (uint32_t i = 0; i < length; i++)
        *(uint8_t *)fake_memory(&driver, FRAME_AT + i, 1) = (uint8_t)(i * 7 + length);
    return fake_driver_send(&driver, TX, FAKE_DIRECT, 2,
                            (struct fake_buffer[]){ { AT, HEADER }, { FRAME_AT, length } });
}

static inline const struct uplink_header *expect_sent(uint32_t length)
{
    assert_int_equal(fake_uplink_take(uplink, 0, got, sizeof(got)), HEADER + length);
    assert_memory_equal(got + HEADER, fake_memory(&driver, FRAME_AT, length), length);
    return (const struct uplink_header *)(const void *)got;
}

static inline void expect_nothing_sent(void)
{
    assert_int_equal(fake_uplink_take(uplink, 0, got, sizeof(got)), 0);
}

static const struct uplink_header empty;

#endif
