/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_look.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <stddef.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/monitor/boot/elf_image.h"

/* No vmlinux is smaller; what is, is another kernel, and costs no time. */
#define VMLINUX_MIN (1u << 20)
/* Of a file without sections; Linux has some 60 MiB. */
#define SCAN_MAX (128u << 20)
#define SECTIONS_MAX 256
#define NAMES_MAX 8192
#define CHUNK 65536u
#define MARK_MAX 32u
#define START_SECTION ".init.data"

/* Boot protocol of Linux 5.5. */
#define VERSION_WHOSE_UNPACKER_TELLS 0x020f
#define HEADER_OFFSET 0x1f1
#define HEADER_MAGIC 0x53726448 /* "HdrS" */
#define SECTOR 512u

/* A text that only kernels with a certain part have in them. */
struct mark {
    const char *text;
    bool *found;
};

static bool all_found(const struct mark *marks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!*marks[i].found)
            return false;
    return true;
}

/* Looks for MARKS in [offset, offset + length) of the file, as far as that is there. */
static void scan(const struct image *kernel, uint64_t offset, uint64_t length,
                 const struct mark *marks, size_t count)
{
    char bytes[CHUNK + MARK_MAX];
    uint64_t end;

    if (offset >= kernel->size)
        return;
    end = length < kernel->size - offset ? offset + length : kernel->size;
    /* Pieces overlap, so that no mark is cut in two. */
    for (; offset < end && !all_found(marks, count); offset += CHUNK) {
        size_t piece = end - offset < sizeof(bytes) ? (size_t)(end - offset) : sizeof(bytes);
        struct error ignored = ERROR_INIT;

        if (image_read(kernel, offset, bytes, piece, &ignored) < 0)
            return;
        for (size_t i = 0; i < count; i++)
            if (!*marks[i].found && memmem(bytes, piece, marks[i].text, strlen(marks[i].text)))
                *marks[i].found = true;
    }
}

/* ---- vmlinux -------------------------------------------------------------- */

/* Where START_SECTION lies; false without sections or without that one. */
static bool find_start_section(const struct image *kernel, const Elf64_Ehdr *header,
                               Elf64_Shdr *found)
{
    Elf64_Shdr sections[SECTIONS_MAX];
    char names[NAMES_MAX];
    struct error ignored = ERROR_INIT;
    const Elf64_Shdr *table;
    uint64_t length;

    if (header->e_shnum == 0 || header->e_shnum > SECTIONS_MAX ||
        header->e_shentsize != sizeof(sections[0]) || header->e_shstrndx >= header->e_shnum ||
        image_read(kernel, header->e_shoff, sections, header->e_shnum * sizeof(sections[0]),
                   &ignored) < 0)
        return false;
    table = &sections[header->e_shstrndx];
    length = table->sh_size < sizeof(names) ? table->sh_size : sizeof(names);
    if (image_read(kernel, table->sh_offset, names, length, &ignored) < 0)
        return false;
    for (size_t i = 0; i < header->e_shnum; i++) {
        uint64_t name = sections[i].sh_name;

        if (name < length && length - name >= sizeof(START_SECTION) &&
            memcmp(names + name, START_SECTION, sizeof(START_SECTION)) == 0) {
            *found = sections[i];
            return true;
        }
    }
    return false;
}

static struct kernel_look look_at_vmlinux(const struct image *kernel)
{
    struct kernel_look look = { .is_linux = false };
    const struct mark marks[] = {
        { "rdinit=", &look.is_linux },
        { "acpi_os_name=", &look.acpi },
        { "intel,ce4100-cp", &look.device_tree }, /* of the only such boards there are; in the reader's table */
        { "uart8250", &look.serial },
    };
    struct error ignored = ERROR_INIT;
    Elf64_Shdr section = { .sh_offset = 0, .sh_size = SCAN_MAX };
    Elf64_Ehdr header;

    if (kernel->size < VMLINUX_MIN || image_read(kernel, 0, &header, sizeof(header), &ignored) < 0)
        return look;
    find_start_section(kernel, &header, &section);
    if (section.sh_size > SCAN_MAX)
        section.sh_size = SCAN_MAX;
    scan(kernel, section.sh_offset, section.sh_size, marks, ARRAY_LENGTH(marks));
    return look;
}

/* ---- bzImage -------------------------------------------------------------- */

/* The unpacker's code stands before and behind what it unpacks. */
static struct kernel_look look_at_bzimage(const struct image *kernel,
                                          const struct setup_header *header)
{
    struct kernel_look look = { .is_linux = header->version >= VERSION_WHOSE_UNPACKER_TELLS,
                                .packed = true, .serial = true };
    const struct mark mark = { "RSD PTR ", &look.acpi };
    uint64_t sectors = header->setup_sects ? header->setup_sects : 4;
    uint64_t payload = (sectors + 1) * SECTOR + header->payload_offset;
    uint64_t end = payload + header->payload_length;

    if (!look.is_linux)
        return look;
    scan(kernel, end, SCAN_MAX, &mark, 1);
    scan(kernel, 0, payload < SCAN_MAX ? payload : SCAN_MAX, &mark, 1);
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
