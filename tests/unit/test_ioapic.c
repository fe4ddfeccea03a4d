/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tests/support/fixture.h"
#include "vmm/monitor/arch/x86_64/ioapic.h"
#include "vmm/monitor/arch/x86_64/layout.h"

#define IOREGSEL 0x00
#define IOWIN 0x10
#define IOEOI 0x40
#define LEVEL (1u << 15)
#define MASKED (1u << 16)
#define REMOTE_IRR (1u << 14)
#define STATUS (1u << 12)
#define PINS 24

/* Keeps the messages that the IOAPIC sends. */
struct recorder {
    unsigned int count;
    uint64_t address;
    uint32_t data;
};

struct world {
    struct recorder sent;
    struct device *ioapic;
};

static void record(void *context, uint64_t address, uint32_t data)
{
    struct recorder *recorder = context;

    recorder->count++;
    recorder->address = address;
    recorder->data = data;
}

static int set_up(void **state)
{
    struct world *world = test_calloc(1, sizeof(*world));
    const struct ioapic_options options = {
        .pins = PINS, .send = record, .context = &world->sent,
    };
    struct error error = ERROR_INIT;

    assert_int_equal(ioapic_ops.create(&world->ioapic, NULL, &options, &error), 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    ioapic_ops.destroy(world->ioapic);
    test_free(world);
    return 0;
}

static void put(struct world *world, uint64_t offset, uint32_t value)
{
    device_write(world->ioapic, offset, (const uint8_t *)&value, sizeof(value));
}

static uint32_t get(struct world *world, uint64_t offset)
{
    uint32_t value;

    device_read(world->ioapic, offset, (uint8_t *)&value, sizeof(value));
    return value;
}

static void put_register(struct world *world, uint8_t index, uint32_t value)
{
    put(world, IOREGSEL, index);
    put(world, IOWIN, value);
}

static uint32_t get_register(struct world *world, uint8_t index)
{
    put(world, IOREGSEL, index);
    return get(world, IOWIN);
}

static void put_entry(struct world *world, unsigned int pin, uint32_t low, uint32_t high)
{
    put_register(world, (uint8_t)(0x11 + 2 * pin), high);
    put_register(world, (uint8_t)(0x10 + 2 * pin), low);
}

static uint32_t get_entry(struct world *world, unsigned int pin)
{
    return get_register(world, (uint8_t)(0x10 + 2 * pin));
}

static void pin_raise(struct world *world, unsigned int pin)
{
    const struct irq_line line = ioapic_line(world->ioapic, pin);

    irq_line_raise(&line);
}

static void pin_lower(struct world *world, unsigned int pin)
{
    const struct irq_line line = ioapic_line(world->ioapic, pin);

    irq_line_lower(&line);
}

static void pin_pulse(struct world *world, unsigned int pin)
{
    pin_raise(world, pin);
    pin_lower(world, pin);
}

static void registers_after_reset(void **state)
{
    struct world *world = *state;

    assert_int_equal(get(world, IOREGSEL), 0);
    assert_int_equal(get_register(world, 0), 0);
    assert_int_equal(get_register(world, 1), 0x20 | (PINS - 1) << 16);
    assert_int_equal(get_register(world, 2), 0);
    for (unsigned int pin = 0; pin < LAYOUT_IOAPIC_PINS; pin++) {
        assert_int_equal(get_entry(world, pin), MASKED);
        assert_int_equal(get_register(world, (uint8_t)(0x11 + 2 * pin)), 0);
    }
    assert_int_equal(world->sent.count, 0);
}

static void identity_is_kept_and_read_twice(void **state)
{
    struct world *world = *state;

    put_register(world, 0, 0x0f123456);
    assert_int_equal(get_register(world, 0), 0x0f000000);
    assert_int_equal(get_register(world, 2), 0x0f000000);
    put_register(world, 2, 0x01000000);
    assert_int_equal(get_register(world, 2), 0x0f000000);
}

static void read_only_registers_stay(void **state)
{
    struct world *world = *state;
    const uint32_t version = get_register(world, 1);

    put_register(world, 1, 0);
    assert_int_equal(get_register(world, 1), version);
    put_entry(world, 3, MASKED | STATUS | REMOTE_IRR | LEVEL | 0x30, 0xff000000);
    assert_int_equal(get_entry(world, 3), MASKED | LEVEL | 0x30);
    assert_int_equal(get_register(world, 0x17), 0xff000000);
}

static void registers_that_do_not_exist(void **state)
{
    struct world *world = *state;

    for (unsigned int index = 3; index < 0x10; index++) {
        put_register(world, (uint8_t)index, UINT32_MAX);
        assert_int_equal(get_register(world, (uint8_t)index), 0);
    }
    assert_int_equal(0x10 + 2 * LAYOUT_IOAPIC_PINS, 0x100);
    for (uint64_t offset = 4; offset < LAYOUT_IOAPIC_SIZE; offset += 4) {
        if (offset == IOWIN || offset == IOEOI)
            continue;
        put(world, offset, UINT32_MAX);
        assert_int_equal(get(world, offset), 0);
    }
    assert_int_equal(get(world, IOREGSEL), 0x0f);
}

static void last_pin_is_the_last_register(void **state)
{
    struct world *world = *state;

    put_entry(world, LAYOUT_IOAPIC_PINS - 1, 0x41, 0x02000000);
    assert_int_equal(get_register(world, 0xff), 0x02000000);
    pin_pulse(world, LAYOUT_IOAPIC_PINS - 1);
    assert_int_equal(world->sent.count, 1);
    assert_int_equal(world->sent.address, 0xfee02000);
    /* Beyond it nothing is connected. */
    pin_pulse(world, LAYOUT_IOAPIC_PINS);
    pin_pulse(world, UINT32_MAX);
    assert_int_equal(world->sent.count, 1);
}

static void message_has_every_field(void **state)
{
    static const struct {
        uint32_t low, high;
        uint64_t address;
        uint32_t data;
    } messages[] = {
        { 0x30, 0, 0xfee00000, 0x30 },
        { 0xff, 0x3f000000, 0xfee3f000, 0xff },
        { 0x31, 0xff000000, 0xfeeff000, 0x31 },
        { 0x131, 0x01000000, 0xfee01000, 0x131 },          /* lowest priority */
        { 0x731, 0x01000000, 0xfee01000, 0x731 },          /* ExtINT */
        { 0x931, 0x03000000, 0xfee03004, 0x131 },          /* logical destination */
        { 0x2031, 0, 0xfee00000, 0x31 },                   /* polarity is no matter */
        { 0x31 | LEVEL, 0, 0xfee00000, 0xc031 },
        { 0x400e0031, 0xffffff, 0xfee00000, 0x31 },        /* reserved bits */
    };
    struct world *world = *state;

    for (unsigned int i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        put_entry(world, i, messages[i].low, messages[i].high);
        pin_raise(world, i);
        assert_int_equal(world->sent.count, i + 1);
        assert_true(world->sent.address == messages[i].address);
        assert_int_equal(world->sent.data, messages[i].data);
    }
}

static void edge_sends_once_for_each_rise(void **state)
{
    struct world *world = *state;

    put_entry(world, 4, 0x24, 0);
    pin_raise(world, 4);
    pin_raise(world, 4);
    assert_int_equal(world->sent.count, 1);
    pin_lower(world, 4);
    assert_int_equal(world->sent.count, 1);
    pin_pulse(world, 4);
    assert_int_equal(world->sent.count, 2);
    /* Writing the entry anew while the line is high is no edge. */
    pin_raise(world, 4);
    put_entry(world, 4, 0x25, 0);
    assert_int_equal(world->sent.count, 3);
}

static void masked_pin_is_silent(void **state)
{
    struct world *world = *state;

    put_entry(world, 4, 0x24 | MASKED | LEVEL, 0);
    pin_raise(world, 4);
    put_entry(world, 5, 0x25 | MASKED, 0);
    pin_raise(world, 5);
    assert_int_equal(world->sent.count, 0);
}

static void edge_under_the_mask_comes_later(void **state)
{
    struct world *world = *state;

    put_entry(world, 4, 0x24 | MASKED, 0);
    pin_pulse(world, 4);
    pin_pulse(world, 4);
    put_entry(world, 4, 0x24, 0);
    assert_int_equal(world->sent.count, 1);
    assert_int_equal(world->sent.data, 0x24);
    put_entry(world, 4, 0x24 | MASKED, 0);
    put_entry(world, 4, 0x24, 0);
    assert_int_equal(world->sent.count, 1);
}

static void level_waits_for_its_end(void **state)
{
    struct world *world = *state;

    put_entry(world, 9, 0x29 | LEVEL, 0);
    pin_raise(world, 9);
    assert_int_equal(world->sent.count, 1);
    assert_true(get_entry(world, 9) & REMOTE_IRR);
    /* In service: neither a new rise nor a write to the entry sends again. */
    pin_lower(world, 9);
    pin_raise(world, 9);
    put_register(world, 0x10 + 2 * 9, 0x29 | LEVEL);
    assert_int_equal(world->sent.count, 1);
    put(world, IOEOI, 0x28);
    assert_int_equal(world->sent.count, 1);
    put(world, IOEOI, 0x29);
    assert_int_equal(world->sent.count, 2);
    pin_lower(world, 9);
    put(world, IOEOI, 0x29);
    assert_int_equal(world->sent.count, 2);
    assert_false(get_entry(world, 9) & REMOTE_IRR);
    put(world, IOEOI, 0x29);
    assert_int_equal(world->sent.count, 2);
}

static void level_under_the_mask(void **state)
{
    struct world *world = *state;

    put_entry(world, 9, 0x29 | LEVEL | MASKED, 0);
    pin_pulse(world, 9);
    put_entry(world, 9, 0x29 | LEVEL, 0);
    assert_int_equal(world->sent.count, 0);
    put_entry(world, 9, 0x29 | LEVEL | MASKED, 0);
    pin_raise(world, 9);
    put_entry(world, 9, 0x29 | LEVEL, 0);
    assert_int_equal(world->sent.count, 1);
    /* Masked before its end: the end counts, and the level comes with the unmasking. */
    put_register(world, 0x10 + 2 * 9, 0x29 | LEVEL | MASKED);
    put(world, IOEOI, 0x29);
    assert_int_equal(world->sent.count, 1);
    put_register(world, 0x10 + 2 * 9, 0x29 | LEVEL);
    assert_int_equal(world->sent.count, 2);
}

static void one_end_serves_all_pins_of_a_vector(void **state)
{
    struct world *world = *state;

    for (unsigned int pin = 0; pin < 3; pin++) {
        put_entry(world, pin, 0x50 | LEVEL, 0);
        pin_raise(world, pin);
    }
    pin_lower(world, 1);
    assert_int_equal(world->sent.count, 3);
    put(world, IOEOI, 0x50);
    assert_int_equal(world->sent.count, 5);
    assert_false(get_entry(world, 1) & REMOTE_IRR);
}

/* Linux ends a stuck level interrupt by making the pin edge-triggered for a moment. */
static void edge_mode_clears_remote_irr(void **state)
{
    struct world *world = *state;

    put_entry(world, 9, 0x29 | LEVEL, 0);
    pin_raise(world, 9);
    put_register(world, 0x10 + 2 * 9, 0x29 | MASKED);
    assert_false(get_entry(world, 9) & REMOTE_IRR);
    put_register(world, 0x10 + 2 * 9, 0x29 | LEVEL);
    assert_int_equal(world->sent.count, 2);
}

static void odd_widths_and_offsets(void **state)
{
    static const size_t lengths[] = { 1, 2, 4, 8 };
    struct world *world = *state;
    uint8_t bytes[8];

    put_register(world, 0x12, 0x1ff00ff | MASKED);
    for (size_t i = 0; i < 4; i++) {
        memset(bytes, 0x5a, sizeof(bytes));
        device_read(world->ioapic, IOWIN, bytes, lengths[i]);
        assert_memory_equal(bytes, "\xff\x00\xff\x01\x00\x00\x00\x00", lengths[i]);
        for (uint64_t offset = 1; offset < IOWIN; offset++) {
            device_read(world->ioapic, offset, bytes, lengths[i]);
            assert_memory_equal(bytes, "\0\0\0\0\0\0\0\0", lengths[i]);
        }
    }
    /* The window takes whole registers only. */
    memset(bytes, 0, sizeof(bytes));
    device_write(world->ioapic, IOWIN, bytes, 1);
    device_write(world->ioapic, IOWIN, bytes, 2);
    device_write(world->ioapic, IOWIN, bytes, 8);
    device_write(world->ioapic, IOWIN + 1, bytes, 4);
    assert_int_equal(get(world, IOWIN), 0x1ff00ff | MASKED);
    bytes[0] = 0x10;
    device_write(world->ioapic, IOREGSEL, bytes, 1);
    assert_int_equal(get(world, IOREGSEL), 0x10);
    bytes[0] = 0x01;
    device_write(world->ioapic, IOREGSEL, bytes, 8);
    assert_int_equal(get(world, IOREGSEL), 0x01);
}

/*
 * What must hold whatever a guest does: a masked pin never sends, remote IRR is
 * set on level pins alone, one access sends no more than one message a pin.
 */
static void random_accesses_keep_the_invariants(void **state)
{
    static const uint64_t offsets[] = { IOREGSEL, IOWIN, IOEOI, 0x20, 0xffc, 1, 0x11 };
    static const size_t lengths[] = { 1, 2, 4, 4, 4, 8 };
    struct world *world = *state;
    uint64_t random = 0x9e3779b97f4a7c15;

    for (unsigned int i = 0; i < 100000; i++) {
        uint64_t choice = next_random(&random), value = next_random(&random);
        unsigned int before = world->sent.count, pin = (unsigned int)(choice >> 8) % 125;
        uint64_t offset = offsets[(choice >> 16) % 7];
        size_t length = lengths[(choice >> 24) % 6];
        uint8_t bytes[8];

        switch (choice % 8) {
        case 0:
            pin_raise(world, pin);
            break;
        case 1:
            pin_lower(world, pin);
            break;
        case 2:
            device_read(world->ioapic, offset, bytes, length);
            assert_int_equal(world->sent.count, before);
            break;
        case 3:
            put_entry(world, pin % LAYOUT_IOAPIC_PINS, (uint32_t)value & 0x1ffff,
                      (uint32_t)(value >> 32));
            assert_true(world->sent.count <= before + 2);
            continue;
        default:
            memcpy(bytes, &value, sizeof(bytes));
            device_write(world->ioapic, offset, bytes, length);
            break;
        }
        if (choice % 8 <= 1)
            assert_true(world->sent.count <= before + 1);
        assert_true(world->sent.count <= before + LAYOUT_IOAPIC_PINS);
        pin %= LAYOUT_IOAPIC_PINS;
        if ((get_entry(world, pin) & (REMOTE_IRR | LEVEL)) == REMOTE_IRR)
            fail_msg("step %u: pin %u has remote IRR, but is edge-triggered", i, pin);
        assert_false(get_entry(world, pin) & STATUS);
        assert_int_equal(world->sent.address >> 20, world->sent.count ? 0xfee : 0);
    }
    /* And it still works. */
    put_entry(world, 7, 0x27 | MASKED, 0);
    pin_lower(world, 7);
    put_entry(world, 7, 0x27, 0);
    world->sent.count = 0;
    pin_pulse(world, 7);
    assert_int_equal(world->sent.count, 1);
    assert_int_equal(world->sent.data, 0x27);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registers_after_reset),
        TEST(identity_is_kept_and_read_twice),
        TEST(read_only_registers_stay),
        TEST(registers_that_do_not_exist),
        TEST(last_pin_is_the_last_register),
        TEST(message_has_every_field),
        TEST(edge_sends_once_for_each_rise),
        TEST(masked_pin_is_silent),
        TEST(edge_under_the_mask_comes_later),
        TEST(level_waits_for_its_end),
        TEST(level_under_the_mask),
        TEST(one_end_serves_all_pins_of_a_vector),
        TEST(edge_mode_clears_remote_irr),
        TEST(odd_widths_and_offsets),
        TEST(random_accesses_keep_the_invariants),
    };

    return cmocka_run_group_tests_name("ioapic", tests, NULL, NULL);
}
