/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_X86_MPTABLE_H
#define MOTE_X86_MPTABLE_H

/*
 * The Intel MultiProcessor Specification 1.4 table: how a kernel that has
 * neither ACPI nor a device tree learns of CPUs and interrupts.  It says
 * nothing of devices; the command line does.
 *
 * A floating pointer in the BIOS area leads to a configuration table: a header,
 * then entries in ascending order of type.  Interrupt entries go from an ISA
 * bus to the IOAPIC one to one, so that Linux numbers interrupt n as pin n, the
 * number that `virtio_mmio.device=` gives.
 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/machine/machine.h"

/* MP floating pointer structure, section 4.1. */
struct mp_pointer {
    char signature[4]; /* "_MP_" */
    uint32_t table;
    uint8_t length; /* in 16-byte units */
    uint8_t revision;
    uint8_t checksum;
    uint8_t default_configuration; /* 0: there is a table */
    uint8_t features;              /* bit 7: the IMCR is present (PIC mode) */
    uint8_t reserved[3];
} __attribute__((packed));

static_assert(sizeof(struct mp_pointer) == 16, "figure 4-2");
static_assert(offsetof(struct mp_pointer, checksum) == 10, "figure 4-2");

/* MP configuration table header, section 4.2. */
struct mp_header {
    char signature[4]; /* "PCMP" */
    uint16_t length;
    uint8_t revision;
    uint8_t checksum;
    char oem_id[8];
    char product_id[12];
    uint32_t oem_table;
    uint16_t oem_table_size;
    uint16_t entry_count;
    uint32_t local_apic;
    uint16_t extended_length;
    uint8_t extended_checksum;
    uint8_t reserved;
} __attribute__((packed));

static_assert(sizeof(struct mp_header) == 44, "figure 4-3");
static_assert(offsetof(struct mp_header, entry_count) == 34, "figure 4-3");

enum mp_entry_type {
    MP_PROCESSOR,
    MP_BUS,
    MP_IO_APIC,
    MP_IO_INTERRUPT,
    MP_LOCAL_INTERRUPT,
};

/* Section 4.3.1. */
struct mp_processor {
    uint8_t type;
    uint8_t apic_id;
    uint8_t apic_version;
    uint8_t flags; /* bit 0 enabled, bit 1 the bootstrap processor */
    uint32_t signature;
    uint32_t features;
    uint32_t reserved[2];
} __attribute__((packed));

static_assert(sizeof(struct mp_processor) == 20, "figure 4-4");

/* Section 4.3.2. */
struct mp_bus {
    uint8_t type;
    uint8_t id;
    char name[6];
} __attribute__((packed));

static_assert(sizeof(struct mp_bus) == 8, "figure 4-5");

/* Section 4.3.3. */
struct mp_io_apic {
    uint8_t type;
    uint8_t id;
    uint8_t version;
    uint8_t flags; /* bit 0: enabled */
    uint32_t address;
} __attribute__((packed));

static_assert(sizeof(struct mp_io_apic) == 8, "figure 4-6");

/* Sections 4.3.4 and 4.3.5: I/O and local interrupt assignment. */
struct mp_interrupt {
    uint8_t type;
    uint8_t kind;   /* 0 vectored, 1 NMI */
    uint16_t flags; /* bits 0-1 polarity, 1 is high; bits 2-3 trigger, 1 is edge */
    uint8_t source_bus;
    uint8_t source_irq;
    uint8_t apic_id; /* 0xff: every local APIC */
    uint8_t input;
} __attribute__((packed));

static_assert(sizeof(struct mp_interrupt) == 8, "figure 4-7");

/*
 * Writes pointer and table at LAYOUT_MP_TABLE.  Describes IOAPIC inputs 0 to 23
 * and above them all up to the highest that a device of MACHINE uses.
 */
int mptable_write(const struct machine *machine, struct error *error);

#endif
