/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saved devices that somebody altered, checksums and all: each alteration has a
 * name, must be refused by the name of what is wrong, and leaves nothing behind.
 * The number of them is printed.
 */
#include "tests/support/saved_devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"

static unsigned int tampered; /* so far */

struct bench {
    const struct saved_kind *kind;
    struct saved_world world;
    struct saved saved; /* as it was */
};

/* What ALTERED is must be refused with a word of WHY. */
static void expect_refusal(struct bench *bench, const char *what, const struct saved *altered,
                           const char *why)
{
    struct error error = ERROR_INIT;
    int result;

    saved_world_make(&bench->world, bench->kind);
    result = device_load(bench->world.device, altered, &error);
    if (result >= 0)
        fail_msg("%s: %s was loaded", bench->kind->name, what);
    if (!strstr(error.message, why) || strchr(error.message, '\n'))
        fail_msg("%s: %s: %s", bench->kind->name, what, error.message);
    saved_world_end(&bench->world, bench->kind);
    tampered++;
}

/* ---- any section ---------------------------------------------------------- */

struct header_case {
    const char *what;
    uint8_t at, width;
    uint32_t value;
    bool sealed;
    const char *why;
};

static const struct header_case header_cases[] = {
    { "a section's name", 0, 1, 'Q', true, "another section stands in its place" },
    { "a section's index", 16, 4, 77, true, "another section stands in its place" },
    { "a section's version 0", 20, 2, 0, true, "has version 0" },
    { "a later version", 20, 2, 999, true, "has version 999" },
    { "the reserved bytes", 22, 2, 1, false, "its checksum does not fit" },
    { "a length beyond the file", 24, 4, 0x7fffffff, true, "the file ends inside of it" },
    { "the largest length", 24, 4, UINT32_MAX, true, "the file ends inside of it" },
    { "a checksum", 28, 4, 0x12345678, false, "its checksum does not fit" },
};

static void alter_headers(struct bench *bench, size_t number)
{
    for (size_t i = 0; i < ARRAY_LENGTH(header_cases); i++) {
        const struct header_case *wrong = &header_cases[i];
        struct saved altered = saved_copy(&bench->saved);
        struct saved_section section;

        assert_true(saved_section(&altered, number, &section));
        memcpy(section.header + wrong->at, &wrong->value, wrong->width);
        if (wrong->sealed)
            saved_seal(&altered);
        expect_refusal(bench, wrong->what, &altered, wrong->why);
        saved_release(&altered);
    }
}

static void alter_lengths(struct bench *bench, size_t number, uint32_t length)
{
    static const struct { const char *what, *why; int count; } cases[] = {
        { "a byte too many", "longer than what belongs into it", 1 },
        { "a byte too few", "shorter than what belongs into it", -1 },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct saved altered;

        if (cases[i].count < 0 && length == 0)
            continue;
        altered = saved_copy(&bench->saved);
        saved_resize(&altered, number, cases[i].count);
        saved_seal(&altered);
        expect_refusal(bench, cases[i].what, &altered, cases[i].why);
        saved_release(&altered);
    }
}

/* The file ends before a section, or amid it; or the section is left out. */
static void cut(struct bench *bench, size_t number)
{
    struct saved altered = saved_copy(&bench->saved);
    struct saved_section section;
    size_t whole = altered.length, at, rest;

    assert_true(saved_section(&altered, number, &section));
    at = (size_t)(section.header - altered.bytes);
    rest = whole - at - SAVED_SECTION_HEADER - section.length;
    altered.length = at;
    expect_refusal(bench, "the end before a section", &altered, "the file ends before it");
    altered.length = at + SAVED_SECTION_HEADER - 1;
    expect_refusal(bench, "the end in a header", &altered, "the file ends before it");
    if (section.length > 0) {
        altered.length = at + SAVED_SECTION_HEADER + section.length - 1;
        expect_refusal(bench, "the end in a section", &altered, "the file ends inside of it");
    }
    memmove(section.header, section.content + section.length, rest);
    altered.length = at + rest;
    expect_refusal(bench, "a section left out", &altered,
                   rest ? "another section" : "the file ends before it");
    saved_release(&altered);
}

static void alter_sections(struct bench *bench)
{
    struct saved_section section;

    for (size_t i = 0; saved_section(&bench->saved, i, &section); i++) {
        alter_headers(bench, i);
        alter_lengths(bench, i, section.length);
        cut(bench, i);
    }
}

/* ---- fields ----------------------------------------------------------------- */

enum how { SET, ADD };

struct field_case {
    const char *kind; /* NULL: all virtio devices */
    const char *section;
    const char *what;
    uint32_t at;
    uint8_t width;
    enum how how;
    uint64_t value;
    const char *why;
};

/* Where the transport's first queue begins, and its fields. */
#define QUEUE 42
#define TRANSPORT(what, at, width, how, value, why) \
    { NULL, "virtio", what, at, width, how, value, why }
#define OF(kind, what, at, width, how, value, why) \
    { kind, kind, what, at, width, how, value, why }

static const struct field_case field_cases[] = {
    TRANSPORT("another kind of device", 0, 4, ADD, 30, "the kind of device"),
    TRANSPORT("a queue more", 4, 2, ADD, 1, "the number of queues"),
    TRANSPORT("no queue", 4, 2, SET, 0, "the number of queues"),
    TRANSPORT("65535 queues", 4, 2, SET, 0xffff, "the number of queues"),
    TRANSPORT("an unknown status", 6, 4, SET, 0x1f, "the device's status"),
    TRANSPORT("every status", 6, 4, SET, UINT32_MAX, "the device's status"),
    TRANSPORT("DRIVER_OK alone", 6, 4, SET, 7, "the device's status"),
    TRANSPORT("NEEDS_RESET alone", 6, 4, SET, 0x43, "the device's status"),
    TRANSPORT("an interrupt before DRIVER_OK", 6, 4, SET, 11, "an interrupt before DRIVER_OK"),
    TRANSPORT("all features", 18, 8, SET, UINT64_MAX, "does not offer"),
    TRANSPORT("a feature that nobody has", 18, 8, ADD, 1ull << 60, "does not offer"),
    TRANSPORT("no VERSION_1", 18, 8, ADD, -(1ull << 32), "the driver's features"),
    TRANSPORT("no features", 18, 8, SET, 0, "the driver's features"),
    TRANSPORT("an unknown interrupt", 30, 4, SET, 4, "the interrupt status"),
    TRANSPORT("every interrupt", 30, 4, SET, UINT32_MAX, "the interrupt status"),
    TRANSPORT("an unknown interrupt that is owed", 34, 4, SET, 8, "the interrupt status"),
    TRANSPORT("a queue of size 0", QUEUE, 4, SET, 0, "a queue's size or addresses"),
    TRANSPORT("a queue of size 3", QUEUE, 4, SET, 3, "a queue's size or addresses"),
    TRANSPORT("a queue of size 2048", QUEUE, 4, SET, 2048, "a queue's size or addresses"),
    TRANSPORT("a queue of size 2^31", QUEUE, 4, SET, 1u << 31, "a queue's size or addresses"),
    TRANSPORT("descriptors misaligned", QUEUE + 4, 8, ADD, 8, "a queue's size or addresses"),
    TRANSPORT("descriptors in the hole", QUEUE + 4, 8, SET, 0x180000,
              "a queue's size or addresses"),
    TRANSPORT("descriptors at the end of RAM", QUEUE + 4, 8, SET, FIXTURE_LOW_SIZE - 16,
              "a queue's size or addresses"),
    TRANSPORT("descriptors at the end of 64 bits", QUEUE + 4, 8, SET, -16ull,
              "a queue's size or addresses"),
    TRANSPORT("an odd available ring", QUEUE + 12, 8, ADD, 1, "a queue's size or addresses"),
    TRANSPORT("an available ring beyond RAM", QUEUE + 12, 8, SET, 1ull << 40,
              "a queue's size or addresses"),
    TRANSPORT("a used ring misaligned", QUEUE + 20, 8, ADD, 2, "a queue's size or addresses"),
    TRANSPORT("a used ring across the end of RAM", QUEUE + 20, 8, SET,
              FIXTURE_HIGH_BASE + FIXTURE_HIGH_SIZE - 4, "a queue's size or addresses"),
    TRANSPORT("a queue that is 2 ready", QUEUE + 28, 1, SET, 2, "a truth value"),
    TRANSPORT("a used queue that is not ready", QUEUE + 28, 1, SET, 0,
              "the index of a queue that is not ready"),
    TRANSPORT("a head more popped", QUEUE + 29, 2, ADD, 1, "the indices of a queue"),
    TRANSPORT("a head less popped", QUEUE + 29, 2, ADD, -1ull, "the indices of a queue"),
    TRANSPORT("a head more pushed", QUEUE + 31, 2, ADD, 1, "the indices of a queue"),
    TRANSPORT("32768 heads more pushed", QUEUE + 31, 2, ADD, 32768, "the indices of a queue"),

    OF("disk", "a disk without size", 0, 8, SET, 0, "the disk's size"),
    OF("disk", "a disk of odd size", 0, 8, ADD, 1, "the disk's size"),
    OF("disk", "a larger disk", 0, 8, ADD, 512, "when the VM was saved"),
    OF("disk", "the largest disk", 0, 8, SET, -512ull, "when the VM was saved"),
    OF("disk", "other blocks", 8, 4, SET, 4096, "the disk's block size"),
    OF("disk", "no blocks", 8, 4, SET, 0, "the disk's block size"),
    OF("disk", "a read-only disk", 12, 1, SET, 1, "whether the disk is read-only"),
    OF("disk", "a disk that is 3 read-only", 12, 1, SET, 3, "a truth value"),
    OF("disk", "a mode of the cache", 13, 1, SET, 2, "a truth value"),
    OF("disk", "a flush that failed 255 times", 14, 1, SET, 255, "a truth value"),
    OF("disk", "a rate limit", 15, 1, SET, 1, "whether there is a rate limit"),

    OF("net", "a MAC address of a group", 0, 1, SET, 0x03, "the MAC address"),
    OF("net", "the broadcast address", 0, 6, SET, UINT64_MAX, "the MAC address"),
    OF("net", "an unknown status of the link", 6, 2, SET, 2, "the link's status"),
    OF("net", "every status of the link", 6, 2, SET, 0xffff, "the link's status"),
    OF("net", "two pairs without MQ", 8, 4, SET, 2, "the number of pairs in use"),
    OF("net", "three pairs of two", 8, 4, SET, 3, "the number of pairs in use"),
    OF("net", "2^32 - 1 pairs", 8, 4, SET, UINT32_MAX, "the number of pairs in use"),
    OF("net", "a limit on receiving", 12, 1, SET, 1, "whether there is a rate limit"),
    OF("net", "a limit on sending", 13, 1, SET, 1, "whether there is a rate limit"),

    OF("console", "a port more", 0, 4, ADD, 1, "the number of ports"),
    OF("console", "no port", 0, 4, SET, 0, "the number of ports"),
    OF("console", "2^32 - 1 ports", 0, 4, SET, UINT32_MAX, "the number of ports"),
    OF("console", "too many reminders", 4, 4, SET, 129, "the number of reminders"),
    OF("console", "2^32 - 1 reminders", 4, 4, SET, UINT32_MAX, "the number of reminders"),
    OF("console", "a name for the terminal", 8, 1, SET, 1, "the name of a port"),
    OF("console", "a name that is 2 there", 8, 1, SET, 2, "a truth value"),
    OF("console", "the terminal's name is owed", 17, 4, SET, 4, "what is owed about a port"),
    OF("console", "a debt that nobody knows", 17, 4, SET, 32, "what is owed about a port"),
    OF("console", "every debt", 17, 4, SET, UINT32_MAX, "what is owed about a port"),
    OF("console", "a port that is 2 open in the guest", 21, 1, SET, 2, "a truth value"),
    OF("console", "a port that is 2 told to be open", 22, 1, SET, 2, "a truth value"),
    OF("console", "a port that was 2 open", 23, 1, SET, 2, "a truth value"),
    OF("console", "4 GiB of a chain written", 24, 8, SET, 1ull << 32, "how much of a chain"),
    OF("console", "all bytes of a chain written", 24, 8, SET, UINT64_MAX, "how much of a chain"),
    OF("console", "a port without its name", 32, 1, SET, 0, "the name of a port"),
    OF("console", "a name of 0 bytes", 33, 8, SET, 0, "the name of a port"),
    OF("console", "a name of 65 bytes", 33, 8, SET, 65, "a count"),
    OF("console", "a name of 2^64 - 1 bytes", 33, 8, SET, UINT64_MAX, "a count"),
    OF("console", "a name beyond the section", 33, 8, SET, 40, "shorter than"),
    OF("console", "a NUL in a name", 42, 1, SET, 0, "a text"),
    OF("console", "another name", 41, 1, SET, 'w', "the name of a port"),
    OF("console", "a named port as the console", 45, 4, SET, 2, "what is owed about a port"),
    OF("console", "a named port's size", 45, 4, SET, 8, "what is owed about a port"),

    OF("entropy", "no rate limit", 0, 1, SET, 0, "whether there is a rate limit"),
    OF("entropy", "a bucket fuller than full", 1, 8, SET, (16u << 20) + 1, "the balance"),
    OF("entropy", "the largest balance", 1, 8, SET, INT64_MAX, "the balance"),
    OF("entropy", "the smallest balance", 1, 8, SET, 1ull << 63, "the balance"),
    OF("entropy", "more extra tokens", 9, 8, SET, (1u << 20) + 1, "the extra tokens"),
    OF("entropy", "2^64 - 1 extra tokens", 9, 8, SET, UINT64_MAX, "the extra tokens"),
    OF("entropy", "a bucket filled long ago", 17, 8, SET, 1000000001, "the time of a rate limit"),
    OF("entropy", "a bucket filled before the time", 17, 8, SET, UINT64_MAX,
       "the time of a rate limit"),
    OF("entropy", "operations fuller than full", 25, 8, SET, 20001, "the balance"),
    OF("entropy", "extra operations", 33, 8, SET, 1, "the extra tokens"),
    OF("entropy", "operations of the future", 41, 8, SET, 1ull << 63, "the time of a rate limit"),

    OF("balloon", "all of the memory", 0, 4, SET, (FIXTURE_LOW_SIZE + FIXTURE_HIGH_SIZE) >> 12,
       "the balloon's target"),
    OF("balloon", "16 TiB", 0, 4, SET, UINT32_MAX, "the balloon's target"),
    OF("balloon", "no rate limit", 88, 1, SET, 0, "whether there is a rate limit"),
    OF("balloon", "a bucket fuller than full", 89, 8, SET, 65537, "the balance"),
    OF("balloon", "extra tokens", 97, 8, SET, 1, "the extra tokens"),
    OF("balloon", "tokens where there is no limit", 113, 8, SET, 1, "the balance"),

    OF("vsock", "CID 0", 0, 8, SET, 0, "the guest's CID"),
    OF("vsock", "CID 1", 0, 8, SET, 1, "the guest's CID"),
    OF("vsock", "the host's CID", 0, 8, SET, 2, "the guest's CID"),
    OF("vsock", "any CID", 0, 8, SET, UINT32_MAX, "the guest's CID"),
    OF("vsock", "a CID of 64 bits", 0, 8, SET, 7 + (1ull << 32), "the guest's CID"),

    OF("serial", "an unknown interrupt enabled", 0, 1, SET, 0x10, "the interrupt enable register"),
    OF("serial", "bits of FCR that are not kept", 1, 1, SET, 0xc7, "the FIFO control register"),
    OF("serial", "a trigger level without FIFO", 1, 1, SET, 0xc0, "the FIFO control register"),
    OF("serial", "an unknown modem output", 3, 1, SET, 0x20, "the modem control register"),
    OF("serial", "an unknown error of the line", 7, 1, SET, 0x80, "the line's errors"),
    OF("serial", "an unknown change of the modem", 8, 1, SET, 0x10, "the modem's changes"),
    OF("serial", "a FIFO that begins beyond its end", 25, 1, SET, 16, "the begin of the receive"),
    OF("serial", "a FIFO that begins far beyond", 25, 1, SET, 255, "the begin of the receive"),
    OF("serial", "a FIFO with 17 bytes", 26, 1, SET, 17, "the fill of the receive FIFO"),
    OF("serial", "a FIFO with 255 bytes", 26, 1, SET, 255, "the fill of the receive FIFO"),
    OF("serial", "two bytes without FIFO", 1, 1, SET, 0, "the fill of the receive FIFO"),
    OF("serial", "a transmit interrupt that is disabled", 27, 1, SET, 1, "the transmit interrupt"),
    OF("serial", "a transmit interrupt that is 2 pending", 27, 1, SET, 2, "a truth value"),
    OF("serial", "a disabled transmitter that waits", 28, 1, SET, 1, "what the transmitter waits"),
    OF("serial", "a transmitter that is 2 deferred", 29, 1, SET, 2, "a truth value"),
    OF("serial", "an edge that is 2 owed", 30, 1, SET, 2, "a truth value"),
    OF("serial", "a line that is 2 high", 31, 1, SET, 2, "a truth value"),

    OF("i8042", "65 bytes flushed", 0, 4, SET, 65, "the number of flushed bytes"),
    OF("i8042", "2^32 - 1 bytes flushed", 0, 4, SET, UINT32_MAX, "the number of flushed bytes"),
    OF("i8042", "the timer's output", 4, 1, SET, 0x20, "port B"),
    OF("power", "the sleep enable bit", 0, 1, SET, 0x20, "the sleep type"),
    OF("power", "bits around the sleep type", 0, 1, SET, 0x03, "the sleep type"),
    OF("ioapic", "a delivery that is pending", 2, 8, SET, 1u << 12 | 1u << 16,
       "the delivery status of a pin"),
    OF("ioapic", "an edge in service", 2, 8, SET, 1u << 14 | 1u << 16, "the remote IRR of a pin"),
    OF("ioapic", "a pin that is 2 high", 10, 1, SET, 2, "a truth value"),
    OF("ioapic", "a pin that is 2 pending", 11, 1, SET, 2, "a truth value"),
    OF("ioapic", "every bit of the last pin", 2 + 23 * 10, 8, SET, UINT64_MAX,
       "the delivery status of a pin"),
};

static void alter_field(struct bench *bench, const struct field_case *wrong)
{
    struct saved altered = saved_copy(&bench->saved);
    struct saved_section section = saved_find(&altered, wrong->section);
    uint64_t value = 0;

    assert_true(wrong->at + wrong->width <= section.length);
    memcpy(&value, section.content + wrong->at, wrong->width);
    value = wrong->how == SET ? wrong->value : value + wrong->value;
    memcpy(section.content + wrong->at, &value, wrong->width);
    saved_seal(&altered);
    expect_refusal(bench, wrong->what, &altered, wrong->why);
    saved_release(&altered);
}

static void alter_fields(struct bench *bench)
{
    for (size_t i = 0; i < ARRAY_LENGTH(field_cases); i++) {
        const struct field_case *wrong = &field_cases[i];

        if (wrong->kind ? strcmp(wrong->kind, bench->kind->name) == 0 : bench->kind->class != NULL)
            alter_field(bench, wrong);
    }
}

/* Every byte in turn, sealed: a device that takes one of them works on or stands still. */
static void alter_every_byte(struct bench *bench)
{
    for (size_t at = SAVED_HEADER; at < bench->saved.length; at++) {
        struct saved altered = saved_copy(&bench->saved);
        struct error error = ERROR_INIT;

        altered.bytes[at] ^= (uint8_t)(1u << at % 8);
        saved_seal(&altered);
        saved_world_make(&bench->world, bench->kind);
        if (device_load(bench->world.device, &altered, &error) < 0)
            assert_true(error.message[0] != '\0');
        else if (bench->kind->class)
            fake_driver_run(&bench->world.driver);
        saved_world_end(&bench->world, bench->kind);
        saved_release(&altered);
    }
}

static void test_altered_devices_are_refused_by_name(void **state)
{
    size_t count;
    const struct saved_kind *kinds = saved_kinds(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct bench bench = { .kind = &kinds[i] };
        struct error error = ERROR_INIT;

        saved_world_open(&bench.world, bench.kind);
        saved_world_save(&bench.world, bench.kind, &bench.saved);
        alter_sections(&bench);
        alter_fields(&bench);
        alter_every_byte(&bench);
        /* What was not altered is loaded. */
        saved_world_make(&bench.world, bench.kind);
        if (device_load(bench.world.device, &bench.saved, &error) < 0)
            fail_msg("%s: %s", bench.kind->name, error.message);
        saved_world_end(&bench.world, bench.kind);
        saved_release(&bench.saved);
        saved_world_close(&bench.world, bench.kind);
    }
    printf("tampered devices: %u refused by name\n", tampered);
    assert_true(tampered >= 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_altered_devices_are_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
