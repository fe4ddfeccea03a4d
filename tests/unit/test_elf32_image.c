/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels in 32-bit ELF files, which start by their PVH note alone: elf_image.c, boot_pvh.c. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/loading.h"
#include "vmm/monitor/arch/x86_64/boot.h"
#include "vmm/monitor/arch/x86_64/layout.h"
#include "vmm/monitor/boot/elf_image.h"

#define DAMAGED "damaged ELF file ("
#define BEYOND_FILE DAMAGED "a segment reaches beyond the file"
#define HEADERS_BEYOND DAMAGED "the program headers reach beyond the file"
#define NO_RAM "where no RAM can be; use another kernel"

static const struct loading_case cases[] = {
    { "crafted_image_loads", { { 0 } }, 0, 0, 0, NULL },
    { "own_entry_does_not_matter", { { ELF32_FIELD(e_entry), UINT32_MAX } }, 0, 0, 0, NULL },
    { "position_independent", { { ELF32_FIELD(e_type), ET_DYN } }, 0, 0, 0, NULL },

    /* The file header. */
    { "header_cut", { { 0 } }, 51, 0, EINVAL, "truncated" },
    { "cut_behind_its_header", { { 0 } }, 64, 0, EINVAL, HEADERS_BEYOND },
    { "big_endian", { { EI_DATA, 1, ELFDATA2MSB } }, 0, 0, EINVAL, "is a big-endian ELF file" },
    { "machine_x86_64", { { ELF32_FIELD(e_machine), EM_X86_64 } }, 0, 0, EINVAL,
      "is a 32-bit ELF file built for 64-bit x86" },
    { "machine_arm", { { ELF32_FIELD(e_machine), EM_ARM } }, 0, 0, EINVAL, "32-bit Arm" },
    { "relocatable_object", { { ELF32_FIELD(e_type), ET_REL } }, 0, 0, EINVAL, "cannot be executed" },
    { "phentsize_of_elf64", { { ELF32_FIELD(e_phentsize), 56 } }, 0, 0, EINVAL,
      DAMAGED "e_phentsize is not that of ELF32" },
    { "phentsize_0", { { ELF32_FIELD(e_phentsize), 0 } }, 0, 0, EINVAL, DAMAGED "e_phentsize" },
    { "phnum_0", { { ELF32_FIELD(e_phnum), 0 } }, 0, 0, EINVAL, DAMAGED "e_phnum" },
    { "phnum_64_of_empty_headers", { { ELF32_FIELD(e_phnum), 64 } }, 0, 0, 0, NULL },
    { "phnum_65", { { ELF32_FIELD(e_phnum), 65 } }, 0, 0, EINVAL, DAMAGED "e_phnum" },
    { "phnum_at_its_most", { { ELF32_FIELD(e_phnum), 0xffff } }, 0, 0, EINVAL, DAMAGED "e_phnum" },
    { "phoff_a_byte_too_far", { { ELF32_FIELD(e_phoff), 0x1900 - 3 * 32 + 1 } }, 0, 0, EINVAL,
      HEADERS_BEYOND },
    { "phoff_at_its_most", { { ELF32_FIELD(e_phoff), UINT32_MAX } }, 0, 0, EINVAL, HEADERS_BEYOND },

    /* Segments: no sum of two 32-bit numbers may be taken for a smaller one. */
    { "offset_at_its_most", { { SEGMENT32_FIELD(CRAFTED_DATA, p_offset), UINT32_MAX } }, 0, 0, EINVAL,
      BEYOND_FILE },
    { "offset_and_size_overflow_32_bits",
      { { SEGMENT32_FIELD(CRAFTED_DATA, p_offset), UINT32_MAX - 0xff } }, 0, 0, EINVAL, BEYOND_FILE },
    { "filesz_beyond", { { SEGMENT32_FIELD(CRAFTED_DATA, p_filesz), 0x101 } }, 0, 0, EINVAL,
      BEYOND_FILE },
    { "filesz_larger_than_memsz", { { SEGMENT32_FIELD(CRAFTED_TEXT, p_memsz), 0x7ff } }, 0, 0, EINVAL,
      DAMAGED "p_filesz is larger than p_memsz" },
    { "filesz_at_its_most", { { SEGMENT32_FIELD(CRAFTED_TEXT, p_filesz), UINT32_MAX } }, 0, 0, EINVAL,
      DAMAGED "p_filesz is larger than p_memsz" },
    { "paddr_0", { { SEGMENT32_FIELD(CRAFTED_DATA, p_paddr), 0 } }, 0, 0, EINVAL,
      DAMAGED "a segment's p_paddr is below 1 MiB" },
    { "paddr_and_memsz_overflow_32_bits",
      { { SEGMENT32_FIELD(CRAFTED_DATA, p_paddr), UINT32_MAX },
        { SEGMENT32_FIELD(CRAFTED_DATA, p_memsz), UINT32_MAX } }, 0, 0, EINVAL, NO_RAM },
    { "memsz_at_its_most", { { SEGMENT32_FIELD(CRAFTED_DATA, p_memsz), UINT32_MAX } }, 0, 0, EINVAL,
      NO_RAM },
    { "paddr_at_the_end_of_ram", { { SEGMENT32_FIELD(CRAFTED_DATA, p_paddr), 64 * MIB } }, 0, 0,
      ENOMEM, "give --memory 65M or more" },
    { "segments_overlap", { { SEGMENT32_FIELD(CRAFTED_DATA, p_paddr), CRAFTED_LOAD_ADDRESS } }, 0, 0,
      EINVAL, DAMAGED "two segments overlap" },

    /* The note, which is read the same way from both. */
    { "no_note", { { SEGMENT32_FIELD(CRAFTED_NOTES, p_type), PT_NULL } }, 0, 0, EINVAL,
      "has no PVH note" },
    { "notes_beyond_the_file", { { SEGMENT32_FIELD(CRAFTED_NOTES, p_offset), UINT32_MAX } }, 0, 0,
      EINVAL, DAMAGED "its notes reach beyond the file" },
    { "notes_at_their_most", { { SEGMENT32_FIELD(CRAFTED_NOTES, p_filesz), UINT32_MAX } }, 0, 0,
      EINVAL, DAMAGED "its notes are larger than 4 KiB" },
    { "pvh_entry_outside", { { CRAFTED_XEN_NOTE + 16, 4, LAYOUT_PVH_INFO } }, 0, 0, EINVAL,
      "is outside of its segments" },
};

static void check_case(void **state)
{
    const struct loading_case *c = *state;
    struct guest_memory *memory = loading_memory(c->memory ? c->memory : 64 * MIB, 0);
    struct loaded_kernel kernel = { .entry = 0 };
    struct error error = ERROR_INIT;
    struct crafted crafted;
    struct image image;
    int result;

    craft_elf32(&crafted, true);
    loading_apply(c, &crafted);
    image = crafted_open(&crafted, "kernel");
    result = boot_pvh.load(&image, memory, &kernel, &error);
    if (c->number) {
        loading_assert_error(result, &error, c->number, c->text);
        loading_assert_zero(memory, 0, MIB);
    } else {
        if (result < 0)
            fail_msg("%s", error.message);
        assert_true(boot_pvh.probe(&image));
        assert_int_equal(kernel.entry, CRAFTED_PVH_ENTRY);
        assert_int_equal(kernel.range.address, CRAFTED_LOAD_ADDRESS);
        assert_int_equal(kernel.range.size, CRAFTED_DATA_ADDRESS + CRAFTED_DATA_MEMORY - CRAFTED_LOAD_ADDRESS);
        assert_memory_equal(loading_bytes(memory, CRAFTED_DATA_ADDRESS, CRAFTED_DATA_SIZE),
                            crafted.bytes + CRAFTED_DATA_OFFSET, CRAFTED_DATA_SIZE);
    }
    assert_false(boot_elf64.probe(&image));
    image_close(&image);
    guest_memory_destroy(memory);
}

/* No 64-bit entry is in it, whatever its header names. */
static void never_by_a_64_bit_entry(void **state)
{
    struct guest_memory *memory = loading_memory(64 * MIB, 0);
    struct loaded_kernel kernel;
    struct error error = ERROR_INIT;
    struct crafted crafted;
    struct image image;

    (void)state;
    craft_elf32(&crafted, true);
    image = crafted_open(&crafted, "kernel");
    loading_assert_error(boot_elf64.load(&image, memory, &kernel, &error), &error, EINVAL,
                         "is a 32-bit ELF file, which can only start by a PVH note; use one built for "
                         "x86-64, or with such a note by --boot-protocol pvh");
    image_close(&image);
    guest_memory_destroy(memory);
}

int main(void)
{
    struct CMUnitTest tests[64] = { cmocka_unit_test(never_by_a_64_bit_entry) };
    size_t count = 1;

    count += LOADING_ADD(tests + count, cases, check_case);
    return _cmocka_run_group_tests("elf32_image", tests, count, NULL, NULL);
}
