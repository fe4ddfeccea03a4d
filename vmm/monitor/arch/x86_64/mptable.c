/* SPDX-License-Identifier: Apache-2.0 */
#include "mptable.h"

#include <errno.h>
#include <string.h>

#include "layout.h"

#define REVISION 4      /* of the specification: 1.4 */
#define APIC_VERSION 0x14 /* an integrated APIC, as KVM has it */
#define IO_APIC_VERSION 0x11
#define ACTIVE_HIGH_EDGE 0x5
#define ISA_BUS 0

/* All of the table, and no more than the specification's 16-bit length holds. */
struct table {
    struct mp_header header;
    uint8_t entries[MACHINE_CPUS_MAX * sizeof(struct mp_processor) + sizeof(struct mp_bus) +
                    sizeof(struct mp_io_apic) +
                    (LAYOUT_IOAPIC_PINS + 1) * sizeof(struct mp_interrupt)];
} __attribute__((packed));

static_assert(sizeof(struct mp_pointer) + sizeof(struct table) <= LAYOUT_MP_TABLE_SIZE,
              "the largest machine's table must fit its area");

static uint8_t checksum(const void *bytes, size_t length)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
    return (uint8_t)-sum;
}

static void add(struct table *table, const void *entry, size_t length)
{
    memcpy((uint8_t *)table + table->header.length, entry, length);
    table->header.length = (uint16_t)(table->header.length + length);
    table->header.entry_count++;
}

static void add_processors(struct table *table, unsigned int count)
{
    for (unsigned int i = 0; i < count; i++) {
        struct mp_processor processor = {
            .type = MP_PROCESSOR,
            .apic_id = (uint8_t)i,
            .apic_version = APIC_VERSION,
            .flags = i == 0 ? 0x3 : 0x1,
            /* The guest reads the rest from CPUID: family 6, an APIC on chip. */
            .signature = 0x600,
            .features = 1u << 9,
        };

        add(table, &processor, sizeof(processor));
    }
}

static unsigned int input_count(const struct machine *machine)
{
    unsigned int count = LAYOUT_IOAPIC_PINS_MIN;

    for (size_t i = 0; i < machine->device_count; i++) {
        uint32_t irq = machine->devices[i].irq;

        if (irq != MACHINE_NO_IRQ && irq >= count)
            count = irq + 1;
    }
    return count;
}

static void add_interrupts(struct table *table, unsigned int count, uint8_t io_apic_id)
{
    struct mp_interrupt nmi = {
        .type = MP_LOCAL_INTERRUPT,
        .kind = 1,
        .flags = ACTIVE_HIGH_EDGE,
        .source_bus = ISA_BUS,
        .apic_id = 0xff,
        .input = 1, /* LINT1 */
    };

    for (unsigned int i = 0; i < count; i++) {
        struct mp_interrupt interrupt = {
            .type = MP_IO_INTERRUPT,
            .kind = 0,
            .flags = ACTIVE_HIGH_EDGE,
            .source_bus = ISA_BUS,
            .source_irq = (uint8_t)i,
            .apic_id = io_apic_id,
            .input = (uint8_t)i,
        };

        add(table, &interrupt, sizeof(interrupt));
    }
    /* There is no 8259 whose interrupts LINT0 could take. */
    add(table, &nmi, sizeof(nmi));
}

static void fill_table(struct table *table, const struct machine *machine)
{
    const struct mp_bus isa = { .type = MP_BUS, .id = ISA_BUS, .name = "ISA   " };
    const struct mp_io_apic io_apic = {
        .type = MP_IO_APIC,
        .id = (uint8_t)machine->cpu_count, /* the first that no local APIC has */
        .version = IO_APIC_VERSION,
        .flags = 1,
        .address = LAYOUT_IOAPIC,
    };

    table->header = (struct mp_header){
        .signature = "PCMP",
        .length = sizeof(table->header),
        .revision = REVISION,
        .oem_id = "MOTE    ",
        .product_id = "MOTE-MICROVM",
        .local_apic = LAYOUT_LAPIC,
    };
    add_processors(table, machine->cpu_count);
    add(table, &isa, sizeof(isa));
    add(table, &io_apic, sizeof(io_apic));
    add_interrupts(table, input_count(machine), io_apic.id);
    table->header.checksum = checksum(table, table->header.length);
}

int mptable_write(const struct machine *machine, struct error *error)
{
    struct mp_pointer pointer = {
        .signature = "_MP_",
        .table = LAYOUT_MP_TABLE + sizeof(pointer),
        .length = sizeof(pointer) / 16,
        .revision = REVISION,
    };
    struct table table;

    if (machine->cpu_count == 0 || machine->cpu_count > MACHINE_CPUS_MAX)
        return error_set(error, EINVAL, "MP table: %u CPUs; 1 to %d are possible",
                         machine->cpu_count, MACHINE_CPUS_MAX);
    if (input_count(machine) > LAYOUT_IOAPIC_PINS)
        return error_set(error, EINVAL,
                         "MP table: a device uses interrupt %u; the interrupt controller has %d "
                         "inputs, give fewer devices",
                         input_count(machine) - 1, LAYOUT_IOAPIC_PINS);
    fill_table(&table, machine);
    pointer.checksum = checksum(&pointer, sizeof(pointer));
    if (guest_memory_write(machine->memory, pointer.table, &table, table.header.length) < 0 ||
        guest_memory_write(machine->memory, LAYOUT_MP_TABLE, &pointer, sizeof(pointer)) < 0)
        return error_set(error, EFAULT,
                         "MP table: the guest has no RAM at 0x%llx; give at least 2 MiB by "
                         "--memory",
                         LAYOUT_MP_TABLE);
    return 0;
}
