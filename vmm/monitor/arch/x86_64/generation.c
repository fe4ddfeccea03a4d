/* SPDX-License-Identifier: Apache-2.0 */
/* The VM generation ID: what it is, and how the guest hears of another one (acpi_dsdt.c, fdt_x86.c). */

#include <errno.h>
#include <sys/random.h>

#include "arch_vm.h"
#include "ioapic.h"
#include "layout.h"
#include "vmm/monitor/arch/arch.h"

_Static_assert(LAYOUT_GENERATION_GSI != LAYOUT_SERIAL_GSI && LAYOUT_GENERATION_GSI < LAYOUT_VIRTIO_GSI &&
               LAYOUT_GENERATION_GSI < LAYOUT_IOAPIC_PINS_MIN, "an interrupt of its own, in every machine");

int arch_new_generation(struct arch_vm *arch, struct guest_memory *memory, bool changed,
                        struct error *error)
{
    struct irq_line line = ioapic_line(arch->ioapic, LAYOUT_GENERATION_GSI);
    uint8_t id[LAYOUT_GENERATION_SIZE];

    if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
        return error_system(error, errno, "VM generation ID");
    if (guest_memory_write(memory, LAYOUT_GENERATION, id, sizeof(id)) < 0)
        return error_set(error, ENOMEM, "guest memory: too small; give --memory 2M or more");
    if (changed)
        irq_line_pulse(&line);
    return 0;
}
