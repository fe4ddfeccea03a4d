/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_X86_ACPI_MADT_H
#define MOTE_X86_ACPI_MADT_H

/* What x86's ACPI tables have besides those of boot/acpi_tables.h. */

#include "vmm/monitor/boot/acpi_tables.h"

/*
 * IA-PC boot architecture flags, table 5.11.  What Linux 6.1 and 6.12 make of
 * each: LEGACY_DEVICES clear, it does not call the PnP BIOS; 8042 clear, it
 * does not probe the keyboard controller (the reset pulse works regardless);
 * NO_VGA, it does not probe text mode memory; NO_CMOS_RTC, it neither reads nor
 * registers the clock and takes the time from kvm-clock.
 */
#define ACPI_BOOT_NO_VGA (1u << 2)
#define ACPI_BOOT_NO_CMOS_RTC (1u << 5)

/* Multiple APIC Description Table, 5.2.12, followed by interrupt controller structures. */
struct acpi_madt {
    struct acpi_header header;
    uint32_t local_apic_address;
    uint32_t flags; /* bit 0: there are 8259s too */
} __attribute__((packed));

static_assert(sizeof(struct acpi_madt) == 44, "table 5.19");

/* Type 0, Processor Local APIC, 5.2.12.2. */
struct acpi_local_apic {
    uint8_t type;
    uint8_t length;
    uint8_t processor_uid; /* matches the _UID of the ACPI0007 device */
    uint8_t apic_id;
    uint32_t flags; /* bit 0: enabled */
} __attribute__((packed));

static_assert(sizeof(struct acpi_local_apic) == 8, "table 5.22");

/* Type 1, I/O APIC, 5.2.12.3. */
struct acpi_io_apic {
    uint8_t type;
    uint8_t length;
    uint8_t id;
    uint8_t reserved;
    uint32_t address;
    uint32_t gsi_base;
} __attribute__((packed));

static_assert(sizeof(struct acpi_io_apic) == 12, "table 5.24");

/* Type 4, Local APIC NMI, 5.2.12.7. */
struct acpi_local_apic_nmi {
    uint8_t type;
    uint8_t length;
    uint8_t processor_uid; /* 0xff: every processor */
    uint16_t flags;        /* MPS INTI flags, table 5.26 */
    uint8_t lint;
} __attribute__((packed));

static_assert(sizeof(struct acpi_local_apic_nmi) == 6, "table 5.29");
static_assert(offsetof(struct acpi_local_apic_nmi, lint) == 5, "table 5.29");

#endif
