/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_ACPI_AREA_H
#define MOTE_ACPI_AREA_H

/*
 * The area of guest memory that ACPI's tables go to: first room for the root pointer, then one table behind the other.
 *
 * What has no room is dropped and noted, so that only the last step, acpi_area_finish(), can fail.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/machine/guest_memory.h"
#include "vmm/monitor/boot/acpi_tables.h"

struct acpi_area {
    uint64_t address;
    struct guest_slice slice;
    size_t used;
    bool overflow; /* sticky; the caller may set it, too */
};

/* -EFAULT with a message where MEMORY has no SIZE bytes at ADDRESS. */
int acpi_area_begin(struct acpi_area *area, const struct guest_memory *memory, uint64_t address, size_t size,
                    struct error *error);

/* All of a table's header but its checksum; LENGTH with what follows the header. */
void acpi_header_fill(struct acpi_header *header, const char *signature, uint8_t revision, size_t length);

/* Puts a finished table there, sums it up and returns its guest address. */
uint64_t acpi_area_place(struct acpi_area *area, const void *table, size_t length);

/* The root pointer to XSDT, at the area's start; false: something had no room. */
bool acpi_area_finish(struct acpi_area *area, uint64_t xsdt);

#endif
