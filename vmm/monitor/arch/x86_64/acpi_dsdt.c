/* SPDX-License-Identifier: Apache-2.0 */
#include "acpi_dsdt.h"

#include <assert.h>
#include <stdio.h>

#include "layout.h"
#include "vmm/machine/power_registers.h"

/* A device's name: one letter for its kind, its number in hexadecimal. */
static struct aml_mark numbered_device(struct aml *aml, char letter, unsigned int number)
{
    char name[5];

    snprintf(name, sizeof(name), "%c%03X", letter, number & 0xfff);
    return aml_device(aml, name);
}

static void write_uid(struct aml *aml, unsigned int number)
{
    aml_name(aml, "_UID");
    aml_integer(aml, number);
}

/* ACPI 6.5 section 8.4: a processor is a device that the MADT names by its _UID. */
static void write_cpu(struct aml *aml, unsigned int number)
{
    struct aml_mark device = numbered_device(aml, 'C', number);

    aml_name(aml, "_HID");
    aml_string(aml, "ACPI0007");
    write_uid(aml, number);
    aml_end(aml, device);
}

static void write_serial(struct aml *aml, const struct machine_device *serial, unsigned int number)
{
    struct aml_mark device = numbered_device(aml, 'S', number), resources;

    aml_name(aml, "_HID");
    aml_eisa_id(aml, "PNP0501");
    write_uid(aml, number);
    aml_name(aml, "_CRS");
    resources = aml_resources(aml);
    aml_io(aml, (uint16_t)serial->base, (uint8_t)serial->size);
    aml_irq(aml, serial->irq);
    aml_resources_end(aml, resources);
    aml_end(aml, device);
}

/*
 * No _CCA: where it is missing x86 takes it as 1, memory that devices and CPUs
 * see alike (section 6.2.17).
 */
static void write_mmio(struct aml *aml, const struct machine_device *record, char letter,
                       const char *hardware_id, unsigned int number)
{
    struct aml_mark device = numbered_device(aml, letter, number), resources;

    assert(record->space == ADDRESS_MMIO && record->base + record->size <= UINT32_MAX);
    aml_name(aml, "_HID");
    aml_string(aml, hardware_id);
    write_uid(aml, number);
    aml_name(aml, "_CRS");
    resources = aml_resources(aml);
    aml_memory32_fixed(aml, (uint32_t)record->base, (uint32_t)record->size);
    if (record->irq != MACHINE_NO_IRQ)
        aml_interrupt(aml, record->irq);
    aml_resources_end(aml, resources);
    aml_end(aml, device);
}

#define GENERATION_CHANGED 0x80

/*
 * The VM generation ID (Microsoft, "Virtual Machine Generation ID"): sixteen bytes
 * in memory that change when the VM goes on from a snapshot.  Its first name is
 * the one that ACPI allows, the other two are what drivers look for.
 */
static void write_generation(struct aml *aml)
{
    static const char *const names[] = { "VMGENCTR", "VM_GEN_COUNTER", "VM_Gen_Counter" };
    struct aml_mark device = aml_device(aml, "VGEN"), package;

    aml_name(aml, "_HID");
    aml_string(aml, "MOTE0001");
    aml_name(aml, "_CID");
    package = aml_package(aml, sizeof(names) / sizeof(names[0]));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        aml_string(aml, names[i]);
    aml_end(aml, package);
    aml_name(aml, "_DDN");
    aml_string(aml, "VM_Gen_Counter");
    aml_name(aml, "ADDR");
    package = aml_package(aml, 2);
    aml_integer(aml, LAYOUT_GENERATION);
    aml_integer(aml, 0);
    aml_end(aml, package);
    aml_end(aml, device);
}

/* Section 5.6.9: a generic event device passes an interrupt on as a notification. */
static void write_events(struct aml *aml)
{
    struct aml_mark device = aml_device(aml, "GED_"), resources, method;

    aml_name(aml, "_HID");
    aml_string(aml, "ACPI0013");
    write_uid(aml, 0);
    aml_name(aml, "_CRS");
    resources = aml_resources(aml);
    aml_interrupt(aml, LAYOUT_GENERATION_GSI);
    aml_resources_end(aml, resources);
    method = aml_method(aml, "_EVT");
    aml_notify(aml, "VGEN", GENERATION_CHANGED);
    aml_end(aml, method);
    aml_end(aml, device);
}

/*
 * Section 7.4.2: the first element is the value for the sleep control register;
 * the others are for fixed hardware that this machine lacks.
 */
static void write_soft_off(struct aml *aml)
{
    struct aml_mark package;

    aml_name(aml, "\\_S5_");
    package = aml_package(aml, 4);
    aml_integer(aml, POWER_SLEEP_TYPE_S5);
    for (int i = 0; i < 3; i++)
        aml_integer(aml, 0);
    aml_end(aml, package);
}

void acpi_dsdt_write(struct aml *aml, const struct machine *machine)
{
    unsigned int numbers[DEVICE_KIND_COUNT] = { 0 };
    bool power = false;
    struct aml_mark scope = aml_scope(aml, "\\_SB_");

    for (unsigned int cpu = 0; cpu < machine->cpu_count; cpu++)
        write_cpu(aml, cpu);
    for (size_t i = 0; i < machine->device_count; i++) {
        const struct machine_device *device = &machine->devices[i];
        unsigned int number = numbers[device->kind]++;

        if (device->kind == DEVICE_SERIAL)
            write_serial(aml, device, number);
        else if (device->kind == DEVICE_PVPANIC)
            write_mmio(aml, device, 'P', "QEMU0001", number);
        else if (device->kind == DEVICE_VIRTIO_MMIO)
            write_mmio(aml, device, 'V', "LNRO0005", number);
        else if (device->kind == DEVICE_POWER)
            power = true;
    }
    write_generation(aml);
    write_events(aml);
    aml_end(aml, scope);
    if (power)
        write_soft_off(aml);
}
