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
#include "tests/support/test_tool.h"
#include "vmm/monitor/arch/x86_64/acpi.h"
#include "vmm/monitor/arch/x86_64/acpi_madt.h"
#include "vmm/monitor/arch/x86_64/layout.h"
#include "vmm/base/cleanup.h"

#define MIB (1ull << 20)

static const struct {
    unsigned int cpus;
    size_t windows;
} extremes[] = { { 1, 0 }, { 1, 1 }, { 4, 5 }, { 64, 0 }, { 1, 100 }, { 64, 100 } };

/* The tables as a guest finds them: by the pointer, never by knowing the writer. */
struct found {
    const struct acpi_rsdp *rsdp;
    const struct acpi_xsdt *xsdt;
    const struct acpi_fadt *fadt;
    const struct acpi_madt *madt;
    const struct acpi_header *dsdt;
};

static const void *find_table(const struct test_machine *test, uint64_t address,
                              const char *signature)
{
    const struct acpi_header *header;

    header = (const void *)test_machine_bytes(test, address, sizeof(*header));
    assert_memory_equal(header->signature, signature, 4);
    assert_true(address >= LAYOUT_ACPI);
    assert_true(address + header->length <= LAYOUT_ACPI + LAYOUT_ACPI_SIZE);
    assert_int_equal(test_sum(header, header->length), 0);
    return header;
}

static void find_tables(const struct test_machine *test, uint64_t rsdp, struct found *found)
{
    found->rsdp = (const void *)test_machine_bytes(test, rsdp, sizeof(*found->rsdp));
    assert_memory_equal(found->rsdp->signature, "RSD PTR ", 8);
    assert_int_equal(found->rsdp->revision, 2);
    assert_int_equal(test_sum(found->rsdp, 20), 0);
    assert_int_equal(test_sum(found->rsdp, sizeof(*found->rsdp)), 0);
    found->xsdt = find_table(test, found->rsdp->xsdt_address, "XSDT");
    assert_int_equal(found->xsdt->header.length, sizeof(*found->xsdt));
    found->fadt = find_table(test, found->xsdt->entries[0], "FACP");
    found->madt = find_table(test, found->xsdt->entries[1], "APIC");
    found->dsdt = find_table(test, found->fadt->x_dsdt, "DSDT");
}

static void write_tables(struct test_machine *test, unsigned int cpus, size_t windows,
                         struct found *found)
{
    struct error error = ERROR_INIT;
    uint64_t rsdp = 0;

    test_machine_create(test, 16 * MIB, cpus, windows);
    assert_int_equal(acpi_write(&test->machine, &rsdp, &error), 0);
    assert_int_equal(rsdp, LAYOUT_ACPI);
    assert_int_equal(rsdp % 16, 0);
    find_tables(test, rsdp, found);
}

static void tables_lead_to_each_other(void **state)
{
    struct test_machine test;
    struct found found;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(extremes); i++) {
        write_tables(&test, extremes[i].cpus, extremes[i].windows, &found);
        test_machine_destroy(&test);
    }
}

static void the_mp_table_area_stays_free(void **state)
{
    static const uint8_t zeros[LAYOUT_MP_TABLE_SIZE];
    struct test_machine test;
    struct found found;

    (void)state;
    write_tables(&test, 64, 100, &found);
    assert_memory_equal(test_machine_bytes(&test, LAYOUT_MP_TABLE, LAYOUT_MP_TABLE_SIZE), zeros,
                        sizeof(zeros));
    test_machine_destroy(&test);
}

static void assert_port(const struct acpi_address *address, uint64_t number)
{
    assert_int_equal(address->space, 1);
    assert_int_equal(address->bit_width, 8);
    assert_int_equal(address->bit_offset, 0);
    assert_int_equal(address->access_size, 1);
    assert_int_equal(address->address, number);
}

static void fadt_names_the_power_ports(void **state)
{
    struct test_machine test;
    struct found found;

    (void)state;
    write_tables(&test, 1, 0, &found);
    assert_int_equal(found.fadt->header.revision, 6);
    assert_port(&found.fadt->sleep_control, 0x600);
    assert_port(&found.fadt->sleep_status, 0x601);
    assert_port(&found.fadt->reset_register, 0x602);
    assert_int_equal(found.fadt->reset_value, 1);
    assert_int_equal(found.fadt->flags, 1u << 20 | 1u << 10 | 1u << 5 | 1u << 4 | 1u << 2 | 1u);
    assert_int_equal(found.fadt->boot_architecture, 1u << 5 | 1u << 2);
    test_machine_destroy(&test);
}

static void without_power_there_is_no_reset_register(void **state)
{
    struct error error = ERROR_INIT;
    struct test_machine test;
    struct found found;
    uint64_t rsdp;

    (void)state;
    test_machine_create(&test, 16 * MIB, 1, 0);
    test.machine.device_count = 1; /* the serial port */
    assert_int_equal(acpi_write(&test.machine, &rsdp, &error), 0);
    find_tables(&test, rsdp, &found);
    assert_int_equal(found.fadt->flags & ACPI_FADT_RESET_REGISTER, 0);
    assert_int_equal(found.fadt->sleep_control.address, 0);
    test_machine_destroy(&test);
}

static void check_madt(const struct acpi_madt *madt, unsigned int cpus)
{
    const uint8_t *entry = (const uint8_t *)(madt + 1);
    const uint8_t *end = (const uint8_t *)madt + madt->header.length;
    unsigned int cpu = 0, io_apics = 0, nmis = 0;

    assert_int_equal(madt->local_apic_address, 0xfee00000);
    assert_int_equal(madt->flags, 0); /* no 8259 */
    for (; entry < end; entry += entry[1]) {
        assert_true(entry[1] >= 2 && entry[1] <= end - entry);
        if (entry[0] == 0) {
            const struct acpi_local_apic *apic = (const void *)entry;

            assert_int_equal(apic->processor_uid, cpu);
            assert_int_equal(apic->apic_id, cpu++);
            assert_int_equal(apic->flags, 1);
        } else if (entry[0] == 1) {
            const struct acpi_io_apic *apic = (const void *)entry;

            assert_int_equal(apic->id, cpus);
            assert_int_equal(apic->address, 0xfec00000);
            assert_int_equal(apic->gsi_base, 0);
            io_apics++;
        } else {
            const struct acpi_local_apic_nmi *nmi = (const void *)entry;

            assert_int_equal(nmi->type, 4);
            assert_int_equal(nmi->processor_uid, 0xff);
            assert_int_equal(nmi->lint, 1);
            nmis++;
        }
    }
    assert_ptr_equal(entry, end);
    assert_int_equal(cpu, cpus);
    assert_int_equal(io_apics, 1);
    assert_int_equal(nmis, 1);
}

static void madt_lists_every_cpu_and_one_ioapic(void **state)
{
    struct test_machine test;
    struct found found;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(extremes); i++) {
        write_tables(&test, extremes[i].cpus, extremes[i].windows, &found);
        check_madt(found.madt, extremes[i].cpus);
        test_machine_destroy(&test);
    }
}

static void a_guest_without_the_bios_area_is_refused(void **state)
{
    struct guest_range range = { .size = LAYOUT_ACPI + LAYOUT_ACPI_SIZE - 4096 };
    struct machine machine = { .cpu_count = 1 };
    struct error error = ERROR_INIT;
    uint64_t rsdp;

    (void)state;
    assert_int_equal(guest_memory_create(&machine.memory, &range, 1, &error), 0);
    assert_true(acpi_write(&machine, &rsdp, &error) < 0);
    assert_non_null(strstr(error.message, "--memory"));
    guest_memory_destroy(machine.memory);
}

static void impossible_machines_are_refused(void **state)
{
    struct machine_device many[600];
    struct test_machine test;
    struct error error = ERROR_INIT;
    uint64_t rsdp;

    (void)state;
    test_machine_create(&test, 16 * MIB, 0, 0);
    assert_true(acpi_write(&test.machine, &rsdp, &error) < 0);
    test.machine.cpu_count = MACHINE_CPUS_MAX + 1;
    assert_true(acpi_write(&test.machine, &rsdp, &error) < 0);
    test.machine.cpu_count = 1;
    for (size_t i = 0; i < ARRAY_LENGTH(many); i++)
        many[i] = (struct machine_device){ .kind = DEVICE_VIRTIO_MMIO,
                                           .base = 0xd0000000,
                                           .size = 0x1000 };
    test.machine.devices = many;
    test.machine.device_count = ARRAY_LENGTH(many);
    assert_int_equal(acpi_write(&test.machine, &rsdp, &error), -28 /* ENOSPC */);
    assert_non_null(strstr(error.message, "fewer devices"));
    test_machine_destroy(&test);
}

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;

    for (; (text = strstr(text, what)); text += strlen(what))
        count++;
    return count;
}

/* Disassembles DIRECTORY/NAME.dat and compiles the result, warnings being errors. */
static void judge(const struct test_directory *directory, const char *name, char *source,
                  size_t size)
{
    char file[16], path[128], output[16384];
    char iasl[] = "iasl", disassemble[] = "-d", strict[] = "-we", prefix[] = "-p";
    char again[] = "again";
    FILE *stream;

    snprintf(file, sizeof(file), "%s.dat", name);
    test_tool_run(directory, (char *[]){ iasl, disassemble, file, NULL }, output, sizeof(output));
    assert_null(strstr(output, "rror"));
    assert_null(strstr(output, "arning"));
    snprintf(file, sizeof(file), "%s.dsl", name);
    snprintf(path, sizeof(path), "%s/%s", directory->path, file);
    stream = fopen(path, "r");
    assert_non_null(stream);
    source[fread(source, 1, size - 1, stream)] = '\0';
    fclose(stream);
    assert_null(strstr(source, "ncorrect"));
    test_tool_run(directory, (char *[]){ iasl, strict, prefix, again, file, NULL }, output,
                  sizeof(output));
    if (!strstr(output, "Compilation successful. 0 Errors, 0 Warnings"))
        fail_msg("%s:\n%s", name, output);
}

static void judge_all(unsigned int cpus, size_t windows)
{
    static char source[1 << 20];
    struct test_directory directory;
    struct test_machine test;
    struct found found;

    write_tables(&test, cpus, windows, &found);
    test_directory_create(&directory);
    test_directory_write(&directory, "xsdt.dat", found.xsdt, found.xsdt->header.length);
    test_directory_write(&directory, "fadt.dat", found.fadt, found.fadt->header.length);
    test_directory_write(&directory, "madt.dat", found.madt, found.madt->header.length);
    test_directory_write(&directory, "dsdt.dat", found.dsdt, found.dsdt->length);
    /* Not the RSDP: iasl reads only tables with the common header. */
    judge(&directory, "xsdt", source, sizeof(source));
    judge(&directory, "fadt", source, sizeof(source));
    judge(&directory, "madt", source, sizeof(source));
    judge(&directory, "dsdt", source, sizeof(source));
    assert_int_equal(count_of(source, "\"ACPI0007\""), cpus);
    assert_int_equal(count_of(source, "\"LNRO0005\""), windows);
    assert_int_equal(count_of(source, "\"QEMU0001\""), 1);
    assert_int_equal(count_of(source, "EisaId (\"PNP0501\")"), 1);
    assert_int_equal(count_of(source, "Edge, ActiveHigh, Exclusive"), windows + 2);
    assert_int_equal(count_of(source, "\"VM_GEN_COUNTER\""), 1);
    assert_int_equal(count_of(source, "Notify (VGEN, 0x80)"), 1);
    assert_int_equal(count_of(source, "Name (\\_S5, Package (0x04)"), 1);
    assert_int_equal(count_of(source, "0x03F8,             // Range Minimum"), 1);
    assert_int_equal(count_of(source, "IRQ (Edge, ActiveHigh, Exclusive, )"), 1);
    assert_int_equal(count_of(source, "0xCFFF0000,         // Address Base"), 1);
    assert_int_equal(count_of(source, "0x00001000,         // Address Length"), windows);
    if (windows == 100) {
        assert_int_equal(count_of(source, "Device (V063)"), 1);
        assert_int_equal(count_of(source, "0xD0063000,         // Address Base"), 1);
        assert_int_equal(count_of(source, "0x00000005,"), 1); /* the first interrupt */
        assert_int_equal(count_of(source, "0x00000068,"), 1); /* the last: 104 */
    }
    test_directory_remove(&directory);
    test_machine_destroy(&test);
}

static void iasl_takes_the_smallest_machine(void **state)
{
    (void)state;
    judge_all(1, 0);
}

static void iasl_takes_the_largest_machine(void **state)
{
    (void)state;
    judge_all(64, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_lead_to_each_other),
        cmocka_unit_test(the_mp_table_area_stays_free),
        cmocka_unit_test(fadt_names_the_power_ports),
        cmocka_unit_test(without_power_there_is_no_reset_register),
        cmocka_unit_test(madt_lists_every_cpu_and_one_ioapic),
        cmocka_unit_test(a_guest_without_the_bios_area_is_refused),
        cmocka_unit_test(impossible_machines_are_refused),
        cmocka_unit_test(iasl_takes_the_smallest_machine),
        cmocka_unit_test(iasl_takes_the_largest_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
