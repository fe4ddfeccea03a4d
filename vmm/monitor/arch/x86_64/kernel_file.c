/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the start of a kernel's file tells of how it is packed: a bzImage (Documentation/arch/x86/boot.rst: setup_sects,
 * payload_offset, payload_length) holds a compressed vmlinux, which is an ELF file.
 */

#include <asm/bootparam.h>
#include <elf.h>
#include <stddef.h>
#include <string.h>

#include "vmm/machine/arch_facts.h"

#define SECTOR 512u
#define HEADER_OFFSET offsetof(struct boot_params, hdr)
#define MAGIC_OFFSET (HEADER_OFFSET + offsetof(struct setup_header, header))
#define HEADER_END (HEADER_OFFSET + offsetof(struct setup_header, setup_data)) /* as far as it is read here */
#define BOOT_FLAG 0xaa55
#define VERSION_WITH_PAYLOAD 0x0208

_Static_assert(HEADER_END <= ARCH_KERNEL_START, "all that is needed is read");

bool arch_kernel_is_packed(const uint8_t *start, size_t length)
{
    return length >= MAGIC_OFFSET + 4 && memcmp(start + MAGIC_OFFSET, "HdrS", 4) == 0;
}

bool arch_kernel_is_unpacked(const uint8_t *start, size_t length)
{
    return length >= SELFMAG && memcmp(start, ELFMAG, SELFMAG) == 0;
}

const char *arch_kernel_payload(const uint8_t *start, size_t length, struct packed_kernel *kernel)
{
    struct setup_header header = { 0 };
    uint64_t sectors;

    if (!arch_kernel_is_packed(start, length) || length < HEADER_END)
        return "it has no boot header";
    memcpy(&header, start + HEADER_OFFSET, HEADER_END - HEADER_OFFSET);
    if (header.boot_flag != BOOT_FLAG)
        return "it has no boot header";
    if (header.version < VERSION_WITH_PAYLOAD)
        return "its boot protocol is too old";
    sectors = header.setup_sects ? header.setup_sects : 4;
    *kernel = (struct packed_kernel){
        .offset = (sectors + 1) * SECTOR + header.payload_offset, .length = header.payload_length, .size_follows = true,
    };
    return NULL;
}
