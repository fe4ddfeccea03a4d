/* SPDX-License-Identifier: Apache-2.0 */
#include "acpi.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "acpi_dsdt.h"
#include "acpi_madt.h"
#include "layout.h"
#include "vmm/machine/power_registers.h"
#include "vmm/monitor/boot/acpi_area.h"

/* 64 CPUs take 1.3 KiB, 100 windows 5 KiB. */
#define DSDT_SIZE_MAX 16384

static uint64_t place_dsdt(struct acpi_area *area, const struct machine *machine)
{
    uint8_t table[DSDT_SIZE_MAX];
    struct acpi_header header = { 0 };
    struct aml aml;

    aml_init(&aml, table + sizeof(header), sizeof(table) - sizeof(header));
    acpi_dsdt_write(&aml, machine);
    if (!aml_fits(&aml))
        area->overflow = true;
    acpi_header_fill(&header, "DSDT", 2, sizeof(header) + aml.length);
    memcpy(table, &header, sizeof(header));
    return acpi_area_place(area, table, header.length);
}

static struct acpi_address port(uint64_t address)
{
    return (struct acpi_address){
        .space = 1,
        .bit_width = 8,
        .access_size = 1,
        .address = address,
    };
}

static uint64_t place_fadt(struct acpi_area *area, const struct machine *machine, uint64_t dsdt)
{
    struct acpi_fadt fadt = {
        .boot_architecture = ACPI_BOOT_NO_VGA | ACPI_BOOT_NO_CMOS_RTC,
        .flags = ACPI_FADT_WBINVD | ACPI_FADT_PROC_C1 | ACPI_FADT_NO_POWER_BUTTON |
                 ACPI_FADT_NO_SLEEP_BUTTON | ACPI_FADT_HARDWARE_REDUCED,
        .minor_revision = 5,
        .x_dsdt = dsdt,
        .hypervisor_vendor = { 'M', 'O', 'T', 'E' },
    };

    for (size_t i = 0; i < machine->device_count; i++) {
        const struct machine_device *device = &machine->devices[i];

        if (device->kind != DEVICE_POWER || device->space != ADDRESS_PORT)
            continue;
        fadt.flags |= ACPI_FADT_RESET_REGISTER;
        fadt.reset_register = port(device->base + POWER_RESET);
        fadt.reset_value = POWER_RESET_VALUE;
        fadt.sleep_control = port(device->base + POWER_SLEEP_CONTROL);
        fadt.sleep_status = port(device->base + POWER_SLEEP_STATUS);
    }
    acpi_header_fill(&fadt.header, "FACP", 6, sizeof(fadt));
    return acpi_area_place(area, &fadt, sizeof(fadt));
}

static uint64_t place_madt(struct acpi_area *area, const struct machine *machine)
{
    struct {
        struct acpi_madt madt;
        struct acpi_io_apic io_apic;
        struct acpi_local_apic_nmi nmi;
        struct acpi_local_apic cpus[MACHINE_CPUS_MAX];
    } __attribute__((packed)) table = {
        .madt.local_apic_address = LAYOUT_LAPIC,
        .io_apic = {
            .type = 1,
            .length = sizeof(table.io_apic),
            .id = (uint8_t)machine->cpu_count, /* the first that no local APIC has */
            .address = LAYOUT_IOAPIC,
            .gsi_base = 0,
        },
        .nmi = {
            .type = 4,
            .length = sizeof(table.nmi),
            .processor_uid = 0xff,
            .flags = 0x5, /* active high, edge */
            .lint = 1,
        },
    };
    size_t length = sizeof(table) - sizeof(table.cpus);

    for (unsigned int i = 0; i < machine->cpu_count; i++, length += sizeof(table.cpus[0]))
        table.cpus[i] = (struct acpi_local_apic){
            .type = 0,
            .length = sizeof(table.cpus[0]),
            .processor_uid = (uint8_t)i,
            .apic_id = (uint8_t)i,
            .flags = 1,
        };
    acpi_header_fill(&table.madt.header, "APIC", 5, length);
    return acpi_area_place(area, &table, length);
}

int acpi_write(const struct machine *machine, uint64_t *rsdp_address, struct error *error)
{
    struct acpi_area area;
    struct acpi_xsdt xsdt = { 0 };
    uint64_t dsdt, root;
    int result;

    if (machine->cpu_count == 0 || machine->cpu_count > MACHINE_CPUS_MAX)
        return error_set(error, EINVAL, "ACPI tables: %u CPUs; 1 to %d are possible",
                         machine->cpu_count, MACHINE_CPUS_MAX);
    result = acpi_area_begin(&area, machine->memory, LAYOUT_ACPI, LAYOUT_ACPI_SIZE, error);
    if (result < 0)
        return result;
    dsdt = place_dsdt(&area, machine);
    xsdt.entries[0] = place_fadt(&area, machine, dsdt);
    xsdt.entries[1] = place_madt(&area, machine);
    acpi_header_fill(&xsdt.header, "XSDT", 1, sizeof(xsdt));
    root = acpi_area_place(&area, &xsdt, sizeof(xsdt));
    if (!acpi_area_finish(&area, root))
        return error_set(error, ENOSPC,
                         "ACPI tables: %u CPUs and %zu devices need more than the %d bytes there "
                         "are; give fewer devices",
                         machine->cpu_count, machine->device_count, DSDT_SIZE_MAX);
    *rsdp_address = LAYOUT_ACPI;
    return 0;
}
