/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_look.h"

#include <asm/bootparam.h>
#include <stddef.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/monitor/boot/elf_image.h"
#include "vmm/monitor/boot/kernel_marks.h"

/* No vmlinux is smaller; what is, is another kernel, and costs no time. */
#define VMLINUX_MIN (1u << 20)

/* Boot protocol of Linux 5.5. */
#define VERSION_WHOSE_UNPACKER_TELLS 0x020f
#define HEADER_OFFSET 0x1f1
#define HEADER_MAGIC 0x53726448 /* "HdrS" */
#define SECTOR 512u

/* ---- vmlinux -------------------------------------------------------------- */

static struct kernel_look look_at_vmlinux(const struct image *kernel)
{
    struct kernel_look look = { .is_linux = false };
    const struct kernel_mark marks[] = {
        { "rdinit=", &look.is_linux },
        { "acpi_os_name=", &look.acpi },
        { "intel,ce4100-cp", &look.device_tree }, /* of the only such boards there are; in the reader's table */
        { "uart8250", &look.serial },
    };

    if (kernel->size >= VMLINUX_MIN)
        kernel_marks_scan_section(kernel, ".init.data", marks, ARRAY_LENGTH(marks));
    return look;
}

/* ---- bzImage -------------------------------------------------------------- */

/* The unpacker's code stands before and behind what it unpacks. */
static struct kernel_look look_at_bzimage(const struct image *kernel,
                                          const struct setup_header *header)
{
    struct kernel_look look = { .is_linux = header->version >= VERSION_WHOSE_UNPACKER_TELLS,
                                .packed = true, .serial = true };
    const struct kernel_mark mark = { "RSD PTR ", &look.acpi };
    uint64_t sectors = header->setup_sects ? header->setup_sects : 4;
    uint64_t payload = (sectors + 1) * SECTOR + header->payload_offset;
    uint64_t end = payload + header->payload_length;

    if (!look.is_linux)
        return look;
    kernel_marks_scan(kernel, end, KERNEL_MARKS_SCAN_MAX, &mark, 1);
    kernel_marks_scan(kernel, 0, payload < KERNEL_MARKS_SCAN_MAX ? payload : KERNEL_MARKS_SCAN_MAX, &mark, 1);
    /* What else it may have is packed.  Mote's own has this. */
    look.device_tree = !look.acpi;
    return look;
}

struct kernel_look kernel_look_at(const struct image *kernel)
{
    struct error ignored = ERROR_INIT;
    struct setup_header header;

    if (elf_has_magic(kernel))
        return look_at_vmlinux(kernel);
    if (image_read(kernel, HEADER_OFFSET, &header, sizeof(header), &ignored) == 0 &&
        header.header == HEADER_MAGIC)
        return look_at_bzimage(kernel, &header);
    return (struct kernel_look){ .is_linux = false };
}
