/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/test_machine.h"
#include "vmm/monitor/arch/x86_64/layout.h"
#include "vmm/monitor/arch/x86_64/mptable.h"
#include "vmm/base/cleanup.h"

#define MIB (1ull << 20)

/* What a walk over the entries found. */
struct walk {
    unsigned int processors, buses, io_apics, inputs, local;
};

/* Finds the pointer as a kernel does: every 16 bytes of the scanned area. */
static const struct mp_header *find_table(const struct test_machine *test)
{
    const uint8_t *area = test_machine_bytes(test, 0xf0000, 0x10000);

    for (size_t offset = 0; offset < 0x10000; offset += 16) {
        const struct mp_pointer *pointer = (const void *)(area + offset);
        const struct mp_header *header;

        if (memcmp(pointer->signature, "_MP_", 4) != 0)
            continue;
        assert_int_equal(pointer->length, 1);
        assert_int_equal(pointer->revision, 4);
        assert_int_equal(pointer->default_configuration, 0);
        assert_int_equal(pointer->features, 0); /* no PIC mode */
        assert_int_equal(test_sum(pointer, sizeof(*pointer)), 0);
        header = (const void *)test_machine_bytes(test, pointer->table, sizeof(*header));
        assert_memory_equal(header->signature, "PCMP", 4);
        assert_int_equal(header->revision, 4);
        assert_int_equal(header->local_apic, 0xfee00000);
        assert_true(header->length <= 4096); /* Linux maps one page to read the length */
        assert_true(pointer->table + header->length <= 0x100000);
        assert_int_equal(test_sum(header, header->length), 0);
        return header;
    }
    fail_msg("no MP floating pointer");
    return NULL;
}

static void check_processor(const struct mp_processor *processor, unsigned int index)
{
    assert_int_equal(processor->apic_id, index);
    assert_int_equal(processor->flags, index == 0 ? 3 : 1);
}

static void check_io_interrupt(const struct mp_interrupt *interrupt, unsigned int input,
                               unsigned int io_apic)
{
    assert_int_equal(interrupt->kind, 0);
    assert_int_equal(interrupt->flags, 5);
    assert_int_equal(interrupt->source_bus, 0);
    assert_int_equal(interrupt->source_irq, input);
    assert_int_equal(interrupt->input, input);
    assert_int_equal(interrupt->apic_id, io_apic);
}

static void walk_entries(const struct mp_header *header, unsigned int cpus, struct walk *walk)
{
    const uint8_t *entry = (const uint8_t *)(header + 1);
    const uint8_t *end = (const uint8_t *)header + header->length;
    unsigned int last = 0, count = 0;

    *walk = (struct walk){ 0 };
    for (; entry < end; entry += last == MP_PROCESSOR ? 20 : 8, count++) {
        assert_true(entry[0] >= last && entry[0] <= MP_LOCAL_INTERRUPT);
        last = entry[0];
        if (last == MP_PROCESSOR) {
            check_processor((const void *)entry, walk->processors++);
        } else if (last == MP_BUS) {
            assert_memory_equal(((const struct mp_bus *)entry)->name, "ISA   ", 6);
            walk->buses++;
        } else if (last == MP_IO_APIC) {
            const struct mp_io_apic *io_apic = (const void *)entry;

            assert_int_equal(io_apic->address, 0xfec00000);
            assert_int_equal(io_apic->flags, 1);
            assert_int_equal(io_apic->id, cpus);
            walk->io_apics++;
        } else if (last == MP_IO_INTERRUPT) {
            check_io_interrupt((const void *)entry, walk->inputs++, cpus);
        } else {
            const struct mp_interrupt *nmi = (const void *)entry;

            assert_int_equal(nmi->kind, 1);
            assert_int_equal(nmi->apic_id, 0xff);
            assert_int_equal(nmi->input, 1);
            walk->local++;
        }
    }
    assert_ptr_equal(entry, end);
    assert_int_equal(count, header->entry_count);
}

static void check_machine(unsigned int cpus, size_t windows, unsigned int inputs)
{
    struct error error = ERROR_INIT;
    struct test_machine test;
    struct walk walk;

    test_machine_create(&test, 16 * MIB, cpus, windows);
    assert_int_equal(mptable_write(&test.machine, &error), 0);
    walk_entries(find_table(&test), cpus, &walk);
    assert_int_equal(walk.processors, cpus);
    assert_int_equal(walk.buses, 1);
    assert_int_equal(walk.io_apics, 1);
    assert_int_equal(walk.inputs, inputs);
    assert_int_equal(walk.local, 1);
    test_machine_destroy(&test);
}

static void small_machines_have_the_isa_inputs(void **state)
{
    (void)state;
    check_machine(1, 0, 16);
    check_machine(4, 11, 16); /* inputs 5 to 15 */
}

static void more_windows_bring_more_inputs(void **state)
{
    (void)state;
    check_machine(4, 20, 25);
    check_machine(64, 100, 105);
}

static void impossible_machines_are_refused(void **state)
{
    struct error error = ERROR_INIT;
    struct test_machine test;

    (void)state;
    test_machine_create(&test, 16 * MIB, 0, 1);
    assert_true(mptable_write(&test.machine, &error) < 0);
    test.machine.cpu_count = MACHINE_CPUS_MAX + 1;
    assert_true(mptable_write(&test.machine, &error) < 0);
    test.machine.cpu_count = 1;
    test.devices[0].irq = LAYOUT_IOAPIC_PINS - 1;
    assert_int_equal(mptable_write(&test.machine, &error), 0);
    test.devices[0].irq = LAYOUT_IOAPIC_PINS;
    assert_true(mptable_write(&test.machine, &error) < 0);
    assert_non_null(strstr(error.message, "interrupt 120"));
    test.devices[0].irq = MACHINE_NO_IRQ - 1;
    assert_true(mptable_write(&test.machine, &error) < 0);
    test_machine_destroy(&test);
}

static void a_guest_without_the_bios_area_is_refused(void **state)
{
    struct guest_range range = { .size = LAYOUT_MP_TABLE };
    struct machine machine = { .cpu_count = 1 };
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(guest_memory_create(&machine.memory, &range, 1, &error), 0);
    assert_true(mptable_write(&machine, &error) < 0);
    assert_non_null(strstr(error.message, "--memory"));
    guest_memory_destroy(machine.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_machines_have_the_isa_inputs),
        cmocka_unit_test(more_windows_bring_more_inputs),
        cmocka_unit_test(impossible_machines_are_refused),
        cmocka_unit_test(a_guest_without_the_bios_area_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
