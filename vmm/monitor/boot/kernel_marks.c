/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/monitor/boot/kernel_marks.h"

#include <elf.h>
#include <string.h>

#define SECTIONS_MAX 256
#define NAMES_MAX 8192
#define CHUNK 65536u

static bool all_found(const struct kernel_mark *marks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!*marks[i].found)
            return false;
    return true;
}

void kernel_marks_scan(const struct image *kernel, uint64_t offset, uint64_t length, const struct kernel_mark *marks,
                       size_t count)
{
    char bytes[CHUNK + KERNEL_MARK_MAX];
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

/* Where section WANTED lies; false without sections or without that one. */
static bool find_section(const struct image *kernel, const Elf64_Ehdr *header, const char *wanted, Elf64_Shdr *found)
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

        if (name < length && length - name > strlen(wanted) &&
            memcmp(names + name, wanted, strlen(wanted) + 1) == 0) {
            *found = sections[i];
            return true;
        }
    }
    return false;
}

void kernel_marks_scan_section(const struct image *kernel, const char *name, const struct kernel_mark *marks,
                               size_t count)
{
    struct error ignored = ERROR_INIT;
    Elf64_Shdr section = { .sh_offset = 0, .sh_size = KERNEL_MARKS_SCAN_MAX };
    Elf64_Ehdr header;

    if (image_read(kernel, 0, &header, sizeof(header), &ignored) < 0)
        return;
    find_section(kernel, &header, name, &section);
    if (section.sh_size > KERNEL_MARKS_SCAN_MAX)
        section.sh_size = KERNEL_MARKS_SCAN_MAX;
    kernel_marks_scan(kernel, section.sh_offset, section.sh_size, marks, count);
}
