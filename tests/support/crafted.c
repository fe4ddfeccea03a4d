/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/crafted.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEADER_END (CRAFTED_HEADER + sizeof(struct setup_header))
#define JUMP_TARGET_BASE 0x202u

static void fill(uint8_t *bytes, size_t length, uint8_t seed)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(seed + i * 7 + i / 256);
}

void craft_bzimage(struct crafted *crafted)
{
    struct setup_header header = {
        .setup_sects = CRAFTED_SETUP_SIZE / 512 - 1,
        .syssize = CRAFTED_KERNEL_SIZE / 16,
        .boot_flag = 0xaa55,
        .jump = (uint16_t)((HEADER_END - JUMP_TARGET_BASE) << 8 | 0xeb),
        .header = 0x53726448,
        .version = 0x020f,
        .loadflags = LOADED_HIGH,
        .initrd_addr_max = 0x7fffffff,
        .kernel_alignment = 0x200000,
        .relocatable_kernel = 1,
        .min_alignment = 21,
        .xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G,
        .cmdline_size = 2047,
        .payload_offset = 0x300,
        .payload_length = 0x400,
        .pref_address = CRAFTED_LOAD_ADDRESS,
        .init_size = CRAFTED_INIT_SIZE,
    };

    *crafted = (struct crafted){ .size = CRAFTED_SETUP_SIZE + CRAFTED_KERNEL_SIZE };
    memcpy(crafted->bytes + CRAFTED_HEADER, &header, sizeof(header));
    fill(crafted->bytes + CRAFTED_SETUP_SIZE, CRAFTED_KERNEL_SIZE, 3);
}

/* Appends a note; returns the bytes that it takes. */
static size_t add_note(uint8_t *at, const char *owner, uint32_t type, const void *bytes,
                       size_t length)
{
    size_t owner_size = strlen(owner) + 1, owner_room = (owner_size + 3) & ~(size_t)3;
    Elf64_Nhdr note = {
        .n_namesz = (uint32_t)owner_size, .n_descsz = (uint32_t)length, .n_type = type,
    };

    memcpy(at, &note, sizeof(note));
    memcpy(at + sizeof(note), owner, owner_size);
    memcpy(at + sizeof(note) + owner_room, bytes, length);
    return sizeof(note) + owner_room + ((length + 3) & ~(size_t)3);
}

static size_t add_notes(uint8_t *at, bool with_pvh_note)
{
    const uint8_t build_id[20] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    const uint32_t entry = (uint32_t)CRAFTED_PVH_ENTRY;
    size_t size = add_note(at, "GNU", NT_GNU_BUILD_ID, build_id, sizeof(build_id));

    if (with_pvh_note)
        size += add_note(at + size, "Xen", 18, &entry, sizeof(entry));
    return size;
}

void craft_elf(struct crafted *crafted, bool with_pvh_note)
{
    const Elf64_Ehdr header = {
        .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = CRAFTED_ENTRY,
        .e_phoff = CRAFTED_PROGRAM_HEADERS,
        .e_ehsize = sizeof(header),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = CRAFTED_HEADERS,
    };
    Elf64_Phdr segments[CRAFTED_HEADERS] = {
        [CRAFTED_TEXT] = {
            .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_align = 0x1000,
            .p_offset = CRAFTED_TEXT_OFFSET, .p_filesz = CRAFTED_TEXT_SIZE,
            .p_memsz = CRAFTED_TEXT_SIZE, .p_paddr = CRAFTED_LOAD_ADDRESS,
        },
        [CRAFTED_DATA] = {
            .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_align = 0x1000,
            .p_offset = CRAFTED_DATA_OFFSET, .p_filesz = CRAFTED_DATA_SIZE,
            .p_memsz = CRAFTED_DATA_MEMORY, .p_paddr = CRAFTED_DATA_ADDRESS,
        },
        [CRAFTED_NOTES] = { .p_type = PT_NOTE, .p_offset = CRAFTED_NOTES_OFFSET, .p_align = 4 },
    };

    *crafted = (struct crafted){ .size = CRAFTED_DATA_OFFSET + CRAFTED_DATA_SIZE };
    segments[CRAFTED_NOTES].p_filesz =
        add_notes(crafted->bytes + CRAFTED_NOTES_OFFSET, with_pvh_note);
    memcpy(crafted->bytes, &header, sizeof(header));
    memcpy(crafted->bytes + CRAFTED_PROGRAM_HEADERS, segments, sizeof(segments));
    fill(crafted->bytes + CRAFTED_TEXT_OFFSET, CRAFTED_TEXT_SIZE, 11);
    fill(crafted->bytes + CRAFTED_DATA_OFFSET, CRAFTED_DATA_SIZE, 77);
}

void craft_elf32(struct crafted *crafted, bool with_pvh_note)
{
    const Elf32_Ehdr header = {
        .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
        .e_type = ET_EXEC,
        .e_machine = EM_386,
        .e_version = EV_CURRENT,
        .e_entry = (Elf32_Addr)CRAFTED_ENTRY,
        .e_phoff = CRAFTED_PROGRAM_HEADERS,
        .e_ehsize = sizeof(header),
        .e_phentsize = sizeof(Elf32_Phdr),
        .e_phnum = CRAFTED_HEADERS,
    };
    Elf32_Phdr small[CRAFTED_HEADERS];
    Elf64_Phdr large[CRAFTED_HEADERS];

    craft_elf(crafted, with_pvh_note);
    memcpy(large, crafted->bytes + CRAFTED_PROGRAM_HEADERS, sizeof(large));
    for (size_t i = 0; i < CRAFTED_HEADERS; i++)
        small[i] = (Elf32_Phdr){
            .p_type = large[i].p_type,
            .p_flags = large[i].p_flags,
            .p_align = (Elf32_Word)large[i].p_align,
            .p_offset = (Elf32_Off)large[i].p_offset,
            .p_filesz = (Elf32_Word)large[i].p_filesz,
            .p_memsz = (Elf32_Word)large[i].p_memsz,
            .p_paddr = (Elf32_Addr)large[i].p_paddr,
        };
    memset(crafted->bytes, 0, CRAFTED_PROGRAM_HEADERS + sizeof(large));
    memcpy(crafted->bytes, &header, sizeof(header));
    memcpy(crafted->bytes + CRAFTED_PROGRAM_HEADERS, small, sizeof(small));
}

void craft_poke(struct crafted *crafted, const struct poke *poke)
{
    for (size_t i = 0; i < poke->width; i++)
        crafted->bytes[poke->offset + i] = (uint8_t)(poke->value >> (8 * i));
}

struct image crafted_open(const struct crafted *crafted, const char *role)
{
    size_t length = crafted->size < CRAFTED_MAX ? crafted->size : CRAFTED_MAX;
    int fd = memfd_create(role, MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)crafted->size) < 0 ||
        pwrite(fd, crafted->bytes, length, 0) != (ssize_t)length)
        abort();
    return (struct image){ .role = role, .path = "crafted", .fd = fd, .size = crafted->size };
}
