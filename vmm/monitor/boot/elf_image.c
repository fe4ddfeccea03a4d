/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/monitor/boot/elf_image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/machine/arch_facts.h"

bool elf_has_magic(const struct image *image)
{
    struct error ignored = ERROR_INIT;
    uint8_t magic[SELFMAG];

    return image_read(image, 0, magic, sizeof(magic), &ignored) == 0 &&
           memcmp(magic, ELFMAG, SELFMAG) == 0;
}

static int damaged(const struct image *image, const char *what, struct error *error)
{
    return error_set(error, EINVAL, "kernel %s: damaged ELF file (%s); fetch or build it again",
                     image->path, what);
}

static const char *machine_name(uint16_t machine)
{
    switch (machine) {
    case EM_AARCH64:
        return "64-bit Arm";
    case EM_386:
        return "32-bit x86";
    case EM_X86_64:
        return "64-bit x86";
    case EM_RISCV:
        return "RISC-V";
    case EM_ARM:
        return "32-bit Arm";
    default:
        return "another machine";
    }
}

/* The file header of either class, as that of ELF64: no file that loads is shorter. */
static int read_file_header(const struct image *image, Elf64_Ehdr *header, struct error *error)
{
    Elf32_Ehdr small;
    int result = image_read(image, 0, header, sizeof(*header), error);

    if (result < 0 || header->e_ident[EI_CLASS] != ELFCLASS32)
        return result;
    memcpy(&small, header, sizeof(small));
    *header = (Elf64_Ehdr){
        .e_type = small.e_type,
        .e_machine = small.e_machine,
        .e_entry = small.e_entry,
        .e_phoff = small.e_phoff,
        .e_phentsize = small.e_phentsize,
        .e_phnum = small.e_phnum,
    };
    memcpy(header->e_ident, small.e_ident, sizeof(header->e_ident));
    return 0;
}

static int check_file_header(const struct image *image, const Elf64_Ehdr *header,
                             struct error *error)
{
    const struct elf_target *target = &arch_elf_target;
    bool small = header->e_ident[EI_CLASS] == ELFCLASS32;
    uint16_t machine = small ? target->machine_32bit : target->machine;

    if (header->e_ident[EI_CLASS] != ELFCLASS64 && !small)
        return damaged(image, "it is neither 32-bit nor 64-bit", error);
    if (header->e_ident[EI_DATA] != ELFDATA2LSB)
        return error_set(error, EINVAL,
                         "kernel %s: is a big-endian ELF file; use one built for %s", image->path,
                         target->name);
    if (machine == EM_NONE || header->e_machine != machine)
        return error_set(error, EINVAL,
                         "kernel %s: is %sbuilt for %s (ELF machine %u); use one for %s",
                         image->path, small ? "a 32-bit ELF file " : "",
                         machine_name(header->e_machine), header->e_machine, target->name);
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
        return error_set(error, EINVAL,
                         "kernel %s: is an ELF object that cannot be executed; name a vmlinux",
                         image->path);
    if (header->e_phentsize != (small ? sizeof(Elf32_Phdr) : sizeof(Elf64_Phdr)))
        return damaged(image, small ? "e_phentsize is not that of ELF32"
                                    : "e_phentsize is not that of ELF64", error);
    if (header->e_phnum == 0 || header->e_phnum > ELF_SEGMENTS_MAX)
        return damaged(image, "e_phnum is 0 or over 64", error);
    return 0;
}

/* The program headers of a file whose header was checked, as those of ELF64. */
static int read_program_headers(const struct image *image, const Elf64_Ehdr *header,
                                struct elf_image *elf, struct error *error)
{
    Elf32_Phdr small[ELF_SEGMENTS_MAX];
    int result;

    if (!elf->is_32bit)
        return image_read(image, header->e_phoff, elf->segments,
                          header->e_phnum * sizeof(elf->segments[0]), error);
    result = image_read(image, header->e_phoff, small, header->e_phnum * sizeof(small[0]), error);
    for (size_t i = 0; result == 0 && i < header->e_phnum; i++)
        elf->segments[i] = (Elf64_Phdr){
            .p_type = small[i].p_type,
            .p_flags = small[i].p_flags,
            .p_offset = small[i].p_offset,
            .p_vaddr = small[i].p_vaddr,
            .p_paddr = small[i].p_paddr,
            .p_filesz = small[i].p_filesz,
            .p_memsz = small[i].p_memsz,
            .p_align = small[i].p_align,
        };
    return result;
}

/* A program that needs an interpreter such as ld.so is for a kernel to start, not for a machine. */
static bool is_program(const struct elf_image *elf)
{
    for (size_t i = 0; i < elf->segment_count; i++)
        if (elf->segments[i].p_type == PT_INTERP)
            return true;
    return false;
}

static int check_segment(const struct image *image, const Elf64_Phdr *segment, struct error *error)
{
    if (segment->p_filesz > segment->p_memsz)
        return damaged(image, "p_filesz is larger than p_memsz", error);
    if (segment->p_memsz > UINT64_MAX - segment->p_paddr)
        return damaged(image, "p_paddr + p_memsz overflows", error);
    if (segment->p_offset > image->size || segment->p_filesz > image->size - segment->p_offset)
        return damaged(image, "a segment reaches beyond the file", error);
    if (segment->p_memsz > 0 && segment->p_paddr < arch_elf_target.lowest) {
        char what[64];

        snprintf(what, sizeof(what), "a segment's p_paddr is below %llu MiB",
                 (unsigned long long)(arch_elf_target.lowest >> 20));
        return damaged(image, what, error);
    }
    return 0;
}

/*
 * Whether segment INDEX shares memory with one before it.  No linker makes such
 * a file; 64 segments of one place would only make loading take 64 times as long.
 */
static bool overlaps(const struct elf_image *elf, size_t index)
{
    const Elf64_Phdr *segment = &elf->segments[index];

    for (size_t i = 0; i < index && segment->p_memsz > 0; i++) {
        const Elf64_Phdr *other = &elf->segments[i];

        if (other->p_type == PT_LOAD && other->p_memsz > 0 &&
            segment->p_paddr < other->p_paddr + other->p_memsz &&
            other->p_paddr < segment->p_paddr + segment->p_memsz)
            return true;
    }
    return false;
}

int elf_read(const struct image *image, struct elf_image *elf, struct error *error)
{
    Elf64_Ehdr header;
    bool loads = false;
    int result;

    if (!elf_has_magic(image))
        return error_set(error, EINVAL, "kernel %s: is no ELF file; name %s", image->path,
                         arch_kernel_formats);
    result = read_file_header(image, &header, error);
    if (result < 0)
        return result;
    result = check_file_header(image, &header, error);
    if (result < 0)
        return result;
    elf->is_32bit = header.e_ident[EI_CLASS] == ELFCLASS32;
    result = read_program_headers(image, &header, elf, error);
    if (result < 0)
        return damaged(image, "the program headers reach beyond the file", error);
    elf->entry = header.e_entry;
    elf->segment_count = header.e_phnum;
    if (is_program(elf))
        return error_set(error, EINVAL, "kernel %s: is a program, no kernel; name %s", image->path,
                         arch_kernel_formats);
    for (size_t i = 0; i < elf->segment_count; i++) {
        if (elf->segments[i].p_type != PT_LOAD)
            continue;
        result = check_segment(image, &elf->segments[i], error);
        if (result < 0)
            return result;
        if (overlaps(elf, i))
            return damaged(image, "two segments overlap", error);
        loads = loads || elf->segments[i].p_memsz > 0;
    }
    if (!loads)
        return damaged(image, "nothing to load", error);
    return 0;
}

/*
 * Code and constants stay as in the file but for what Linux patches; what is written
 * to would only cost a fault and a copy for each page.
 */
static int load_segment(const struct image *image, const Elf64_Phdr *segment,
                        struct guest_memory *memory, struct error *error)
{
    if (segment->p_flags & PF_W)
        return image_load(image, segment->p_offset, segment->p_filesz, memory, segment->p_paddr,
                          error);
    return image_place(image, segment->p_offset, segment->p_filesz, memory, segment->p_paddr,
                       error);
}

int elf_load(const struct image *image, const struct elf_image *elf, const struct load_area *area,
             struct guest_range *range, struct error *error)
{
    struct guest_range ram = area->ram;
    uint64_t start = UINT64_MAX, end = 0;

    for (size_t i = 0; i < elf->segment_count; i++) {
        const Elf64_Phdr *segment = &elf->segments[i];
        uint64_t offset = segment->p_paddr - ram.address;
        int result;

        if (segment->p_type != PT_LOAD || segment->p_memsz == 0)
            continue;
        if (offset >= ram.size || segment->p_memsz > ram.size - offset)
            return loading_needs_memory(image, area, segment->p_paddr + segment->p_memsz, error);
        result = load_segment(image, segment, area->memory, error);
        if (result < 0)
            return result;
        if (segment->p_paddr < start)
            start = segment->p_paddr;
        if (segment->p_paddr + segment->p_memsz > end)
            end = segment->p_paddr + segment->p_memsz;
    }
    *range = (struct guest_range){ .address = start, .size = end - start };
    return 0;
}

bool elf_holds(const struct elf_image *elf, uint64_t address)
{
    for (size_t i = 0; i < elf->segment_count; i++) {
        const Elf64_Phdr *segment = &elf->segments[i];

        if (segment->p_type == PT_LOAD && address >= segment->p_paddr &&
            address - segment->p_paddr < segment->p_memsz)
            return true;
    }
    return false;
}

/* A note's name and descriptor are each padded to four bytes. */
static size_t padded(uint32_t size)
{
    return ((size_t)size + 3) & ~(size_t)3;
}

/* Looks through LENGTH bytes of notes; as elf_number_note(). */
static int find_note(const uint8_t *notes, size_t length, const char *owner, uint32_t type,
                     uint64_t *number)
{
    size_t owner_size = strlen(owner) + 1;

    while (length >= sizeof(Elf64_Nhdr)) {
        const uint8_t *name = notes + sizeof(Elf64_Nhdr);
        size_t rest = length - sizeof(Elf64_Nhdr);
        size_t name_size, descriptor_size;
        Elf64_Nhdr note;

        memcpy(&note, notes, sizeof(note));
        name_size = padded(note.n_namesz);
        descriptor_size = padded(note.n_descsz);
        if (name_size > rest || descriptor_size > rest - name_size)
            return -EINVAL;
        if (note.n_type == type && note.n_namesz == owner_size &&
            memcmp(name, owner, owner_size) == 0) {
            if (note.n_descsz != 4 && note.n_descsz != 8)
                return -EINVAL;
            *number = 0;
            memcpy(number, name + name_size, note.n_descsz);
            return 1;
        }
        notes = name + name_size + descriptor_size;
        length = rest - name_size - descriptor_size;
    }
    return 0;
}

int elf_number_note(const struct image *image, const struct elf_image *elf, const char *owner,
                    uint32_t type, uint64_t *number, struct error *error)
{
    uint8_t notes[4096];

    for (size_t i = 0; i < elf->segment_count; i++) {
        const Elf64_Phdr *segment = &elf->segments[i];
        int result;

        if (segment->p_type != PT_NOTE)
            continue;
        if (segment->p_filesz > sizeof(notes))
            return damaged(image, "its notes are larger than 4 KiB", error);
        result = image_read(image, segment->p_offset, notes, segment->p_filesz, error);
        if (result < 0)
            return damaged(image, "its notes reach beyond the file", error);
        result = find_note(notes, segment->p_filesz, owner, type, number);
        if (result < 0)
            return damaged(image, "a note's size does not fit", error);
        if (result == 1)
            return 1;
    }
    return 0;
}
