/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/monitor/boot/acpi_area.h"

#include <errno.h>
#include <string.h>

#define TABLE_ALIGNMENT 16

int acpi_area_begin(struct acpi_area *area, const struct guest_memory *memory, uint64_t address, size_t size,
                    struct error *error)
{
    *area = (struct acpi_area){ .address = address, .used = sizeof(struct acpi_rsdp) };
    if (guest_memory_slice(memory, address, size, &area->slice) < 0)
        return error_set(error, EFAULT,
                         "ACPI tables: the guest has no RAM at 0x%llx; give at least 2 MiB by "
                         "--memory",
                         (unsigned long long)address);
    return 0;
}

static uint8_t checksum(const void *table, size_t length)
{
    const uint8_t *bytes = table;
    uint8_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return (uint8_t)-sum;
}

void acpi_header_fill(struct acpi_header *header, const char *signature, uint8_t revision, size_t length)
{
    memcpy(header->signature, signature, sizeof(header->signature));
    header->length = (uint32_t)length;
    header->revision = revision;
    memcpy(header->oem_id, "MOTE  ", sizeof(header->oem_id));
    memcpy(header->oem_table_id, "MOTEVM  ", sizeof(header->oem_table_id));
    header->oem_revision = 1;
    memcpy(header->creator_id, "MOTE", sizeof(header->creator_id));
    header->creator_revision = 1;
}

uint64_t acpi_area_place(struct acpi_area *area, const void *table, size_t length)
{
    size_t start = (area->used + TABLE_ALIGNMENT - 1) & ~(size_t)(TABLE_ALIGNMENT - 1);
    uint8_t *bytes;

    if (area->overflow || start > area->slice.length || length > area->slice.length - start) {
        area->overflow = true;
        return 0;
    }
    bytes = area->slice.bytes + start;
    memcpy(bytes, table, length);
    bytes[offsetof(struct acpi_header, checksum)] = 0;
    bytes[offsetof(struct acpi_header, checksum)] = checksum(bytes, length);
    area->used = start + length;
    return area->address + start;
}

bool acpi_area_finish(struct acpi_area *area, uint64_t xsdt)
{
    struct acpi_rsdp rsdp = {
        .signature = "RSD PTR ",
        .oem_id = "MOTE  ",
        .revision = 2,
        .length = sizeof(rsdp),
        .xsdt_address = xsdt,
    };

    if (area->overflow)
        return false;
    rsdp.checksum = checksum(&rsdp, offsetof(struct acpi_rsdp, length));
    rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
    memcpy(area->slice.bytes, &rsdp, sizeof(rsdp));
    return true;
}
