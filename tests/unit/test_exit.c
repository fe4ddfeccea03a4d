/* SPDX-License-Identifier: Apache-2.0 */
/* Port I/O exits, on a kvm_run area as KVM would fill it. */
#include <linux/kvm.h>
#include <string.h>

#include "tests/support/loading.h"
#include "vmm/monitor/arch/arch.h"

#define RUN_SIZE 8192u
#define DATA 4096u
#define PORT 0x3f8

struct recorder {
    struct device device;
    unsigned int reads, writes;
    uint64_t offset;
    size_t length;
    uint8_t written[64];
    size_t count;
};

static void record_read(struct device *device, uint64_t offset, uint8_t *bytes, size_t length)
{
    struct recorder *recorder = (struct recorder *)device;

    recorder->reads++;
    recorder->offset = offset;
    recorder->length = length;
    memset(bytes, (int)recorder->reads, length);
}

static void record_write(struct device *device, uint64_t offset, const uint8_t *bytes,
                         size_t length)
{
    struct recorder *recorder = (struct recorder *)device;

    recorder->writes++;
    recorder->offset = offset;
    recorder->length = length;
    for (size_t i = 0; i < length && recorder->count < sizeof(recorder->written); i++)
        recorder->written[recorder->count++] = bytes[i];
}

static const struct device_ops recorder_ops = {
    .name = "recorder", .read = record_read, .write = record_write,
};

struct world {
    struct recorder recorder;
    struct bus ports;
    union {
        struct kvm_run run;
        uint8_t bytes[RUN_SIZE];
    };
};

static int set_up(void **state)
{
    struct world *world = test_calloc(1, sizeof(*world));
    struct error error = ERROR_INIT;

    device_init(&world->recorder.device, &recorder_ops);
    assert_int_equal(bus_add(&world->ports, PORT, 8, &world->recorder.device, &error), 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    device_release(&world->recorder.device);
    test_free(world);
    return 0;
}

static bool exit_io(struct world *world, uint8_t direction, uint16_t port, uint8_t size,
                    uint32_t count, uint64_t data_offset)
{
    world->run.exit_reason = KVM_EXIT_IO;
    world->run.io.direction = direction;
    world->run.io.port = port;
    world->run.io.size = size;
    world->run.io.count = count;
    world->run.io.data_offset = data_offset;
    return arch_vcpu_exit(NULL, &world->run, RUN_SIZE, &world->ports);
}

static void each_size_writes(void **state)
{
    struct world *world = *state;

    for (uint8_t size = 1; size <= 4; size = (uint8_t)(size * 2)) {
        memcpy(world->bytes + DATA, "abcd", 4);
        world->recorder.count = 0;
        assert_true(exit_io(world, KVM_EXIT_IO_OUT, PORT + 4, size, 1, DATA));
        assert_int_equal(world->recorder.offset, 4);
        assert_int_equal(world->recorder.length, size);
        assert_memory_equal(world->recorder.written, "abcd", size);
    }
    assert_int_equal(world->recorder.writes, 3);
    assert_int_equal(world->recorder.reads, 0);
}

static void each_size_reads(void **state)
{
    struct world *world = *state;

    for (uint8_t size = 1; size <= 4; size = (uint8_t)(size * 2)) {
        memset(world->bytes + DATA, 0xee, 8);
        world->recorder.reads = 0;
        assert_true(exit_io(world, KVM_EXIT_IO_IN, PORT, size, 1, DATA));
        for (unsigned int i = 0; i < 8; i++)
            assert_int_equal(world->bytes[DATA + i], i < size ? 1 : 0xee);
    }
    assert_int_equal(world->recorder.writes, 0);
}

/* OUTS and INS repeat one port. */
static void repeats_stay_at_one_port(void **state)
{
    struct world *world = *state;

    memcpy(world->bytes + DATA, "0123456789ab", 12);
    assert_true(exit_io(world, KVM_EXIT_IO_OUT, PORT + 2, 2, 6, DATA));
    assert_int_equal(world->recorder.writes, 6);
    assert_int_equal(world->recorder.offset, 2);
    assert_memory_equal(world->recorder.written, "0123456789ab", 12);
    assert_true(exit_io(world, KVM_EXIT_IO_IN, PORT + 2, 4, 3, DATA));
    assert_int_equal(world->recorder.reads, 3);
    assert_memory_equal(world->bytes + DATA, "\1\1\1\1\2\2\2\2\3\3\3\3", 12);
}

static void absent_port_reads_ones(void **state)
{
    struct world *world = *state;

    memset(world->bytes + DATA, 0, 8);
    assert_true(exit_io(world, KVM_EXIT_IO_IN, 0x80, 4, 1, DATA));
    assert_memory_equal(world->bytes + DATA, "\xff\xff\xff\xff\0\0\0\0", 8);
    assert_true(exit_io(world, KVM_EXIT_IO_OUT, 0xffff, 1, 1, DATA));
    assert_int_equal(world->recorder.writes, 0);
}

/* An access over the window's end is no device's. */
static void access_across_the_windows_end(void **state)
{
    struct world *world = *state;

    assert_true(exit_io(world, KVM_EXIT_IO_IN, PORT + 7, 2, 1, DATA));
    assert_memory_equal(world->bytes + DATA, "\xff\xff", 2);
    assert_true(exit_io(world, KVM_EXIT_IO_OUT, PORT - 1, 4, 1, DATA));
    assert_int_equal(world->recorder.reads + world->recorder.writes, 0);
}

static void data_lies_inside_the_area(void **state)
{
    struct world *world = *state;

    assert_true(exit_io(world, KVM_EXIT_IO_OUT, PORT, 1, 1, RUN_SIZE - 1));
    assert_true(exit_io(world, KVM_EXIT_IO_OUT, PORT, 4, 2, RUN_SIZE - 8));
    assert_true(exit_io(world, KVM_EXIT_IO_OUT, PORT, 4, 0, RUN_SIZE));
    world->recorder.writes = 0;
    assert_false(exit_io(world, KVM_EXIT_IO_OUT, PORT, 1, 1, RUN_SIZE));
    assert_false(exit_io(world, KVM_EXIT_IO_OUT, PORT, 4, 1, RUN_SIZE - 3));
    assert_false(exit_io(world, KVM_EXIT_IO_OUT, PORT, 4, 3, RUN_SIZE - 8));
    assert_false(exit_io(world, KVM_EXIT_IO_OUT, PORT, 4, UINT32_MAX, DATA));
    assert_false(exit_io(world, KVM_EXIT_IO_OUT, PORT, 1, 1, RUN_SIZE + 1));
    assert_false(exit_io(world, KVM_EXIT_IO_OUT, PORT, 1, 1, UINT64_MAX));
    assert_false(exit_io(world, KVM_EXIT_IO_OUT, PORT, 4, 1, UINT64_MAX - 1));
    assert_int_equal(world->recorder.writes, 0);
}

/* x86 has ports of 1, 2 and 4 bytes; a device need not expect others. */
static void other_sizes_are_refused(void **state)
{
    static const uint8_t sizes[] = { 0, 3, 5, 8, 16, 255 };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(sizes); i++) {
        assert_false(exit_io(world, KVM_EXIT_IO_OUT, PORT, sizes[i], 1, DATA));
        assert_false(exit_io(world, KVM_EXIT_IO_IN, PORT, sizes[i], 1, DATA));
    }
    assert_false(exit_io(world, KVM_EXIT_IO_IN, PORT, 0, UINT32_MAX, DATA));
    assert_int_equal(world->recorder.reads + world->recorder.writes, 0);
}

static void other_exits_are_not_ours(void **state)
{
    struct world *world = *state;

    exit_io(world, KVM_EXIT_IO_OUT, 0x80, 1, 1, DATA);
    for (uint32_t reason = 0; reason < 64; reason++) {
        world->run.exit_reason = reason;
        assert_int_equal(arch_vcpu_exit(NULL, &world->run, RUN_SIZE, &world->ports),
                         reason == KVM_EXIT_IO);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_size_writes),
        TEST(each_size_reads),
        TEST(repeats_stay_at_one_port),
        TEST(absent_port_reads_ones),
        TEST(access_across_the_windows_end),
        TEST(data_lies_inside_the_area),
        TEST(other_sizes_are_refused),
        TEST(other_exits_are_not_ours),
    };

    return cmocka_run_group_tests_name("exit", tests, NULL, NULL);
}
