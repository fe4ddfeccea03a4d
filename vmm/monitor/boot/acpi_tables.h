/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_ACPI_TABLES_H
#define MOTE_ACPI_TABLES_H

/*
 * The ACPI 6.5 structures that any machine's tables have, as they lie in guest
 * memory: packed, little-endian like the host.  Section and table numbers are
 * those of the ACPI Specification 6.5.  What tells of interrupt controllers is the
 * architecture's own.
 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* Root System Description Pointer, 5.2.5.3, revision 2. */
struct acpi_rsdp {
    char signature[8]; /* "RSD PTR " */
    uint8_t checksum;  /* over the first 20 bytes, all that revision 0 had */
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt_address;
    uint32_t length;
    uint64_t xsdt_address;
    uint8_t extended_checksum; /* over the whole structure */
    uint8_t reserved[3];
} __attribute__((packed));

static_assert(sizeof(struct acpi_rsdp) == 36, "table 5.3");
static_assert(offsetof(struct acpi_rsdp, length) == 20, "table 5.3");
static_assert(offsetof(struct acpi_rsdp, extended_checksum) == 32, "table 5.3");

/* The header of every other table, 5.2.6.  All bytes of a table add up to 0. */
struct acpi_header {
    char signature[4];
    uint32_t length;
    uint8_t revision;
    uint8_t checksum;
    char oem_id[6];
    char oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} __attribute__((packed));

static_assert(sizeof(struct acpi_header) == 36, "table 5.4");
static_assert(offsetof(struct acpi_header, checksum) == 9, "table 5.4");
static_assert(offsetof(struct acpi_header, creator_id) == 28, "table 5.4");

/* Extended System Description Table, 5.2.8: the addresses of the others. */
struct acpi_xsdt {
    struct acpi_header header;
    uint64_t entries[2]; /* FADT, MADT; the FADT leads to the DSDT */
} __attribute__((packed));

static_assert(sizeof(struct acpi_xsdt) == 52, "table 5.8");

/* Generic Address Structure, 5.2.3.2. */
struct acpi_address {
    uint8_t space; /* 0 memory, 1 I/O ports */
    uint8_t bit_width;
    uint8_t bit_offset;
    uint8_t access_size; /* 1 is a byte */
    uint64_t address;
} __attribute__((packed));

static_assert(sizeof(struct acpi_address) == 12, "table 5.1");

/*
 * Fixed ACPI Description Table, 5.2.9.  A machine of the hardware-reduced kind
 * (4.1) has none of the classic fixed hardware: no PM1 blocks, no PM timer, no
 * system control interrupt.  It sleeps through the sleep control and status
 * registers (4.8.3.7) and resets through the reset register (4.8.3.6).
 */
struct acpi_fadt {
    struct acpi_header header;
    uint32_t facs;
    uint32_t dsdt; /* ignored where x_dsdt is set */
    uint8_t reserved1;
    uint8_t preferred_pm_profile;
    uint8_t fixed_hardware[62]; /* ignored in hardware-reduced ACPI, 5.2.9.1 */
    uint8_t century;
    uint16_t boot_architecture; /* 5.2.9.3 */
    uint8_t reserved2;
    uint32_t flags; /* table 5.10 */
    struct acpi_address reset_register;
    uint8_t reset_value;
    uint16_t arm_boot_architecture;
    uint8_t minor_revision;
    uint64_t x_facs;
    uint64_t x_dsdt;
    struct acpi_address x_fixed_hardware[8]; /* likewise ignored */
    struct acpi_address sleep_control;
    struct acpi_address sleep_status;
    char hypervisor_vendor[8];
} __attribute__((packed));

static_assert(sizeof(struct acpi_fadt) == 276, "table 5.9");
static_assert(offsetof(struct acpi_fadt, preferred_pm_profile) == 45, "table 5.9");
static_assert(offsetof(struct acpi_fadt, century) == 108, "table 5.9");
static_assert(offsetof(struct acpi_fadt, flags) == 112, "table 5.9");
static_assert(offsetof(struct acpi_fadt, minor_revision) == 131, "table 5.9");
static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "table 5.9");
static_assert(offsetof(struct acpi_fadt, sleep_control) == 244, "table 5.9");
static_assert(offsetof(struct acpi_fadt, hypervisor_vendor) == 268, "table 5.9");

/* FADT flags, table 5.10. */
#define ACPI_FADT_WBINVD (1u << 0)
#define ACPI_FADT_PROC_C1 (1u << 2)
#define ACPI_FADT_NO_POWER_BUTTON (1u << 4) /* none in fixed hardware */
#define ACPI_FADT_NO_SLEEP_BUTTON (1u << 5)
#define ACPI_FADT_RESET_REGISTER (1u << 10)
#define ACPI_FADT_HARDWARE_REDUCED (1u << 20)

#endif
