/* SPDX-License-Identifier: Apache-2.0 */
/* ELF kernels by their 64-bit entry point: elf_image.c and boot_elf64.c. */
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

    /* The file header. */
    { "no_magic", { { 0, 1, 0 } }, 0, 0, EINVAL, "is no ELF file" },
    { "file_header_cut", { { 0 } }, 63, 0, EINVAL, "truncated" },
    { "elf32", { { EI_CLASS, 1, ELFCLASS32 } }, 0, 0, EINVAL,
      "is a 32-bit ELF file built for 64-bit x86" },
    { "elf_of_no_class", { { EI_CLASS, 1, 3 } }, 0, 0, EINVAL, "neither 32-bit nor 64-bit" },
    { "big_endian", { { EI_DATA, 1, ELFDATA2MSB } }, 0, 0, EINVAL, "is a big-endian ELF file" },
    { "machine_arm64", { { ELF_FIELD(e_machine), EM_AARCH64 } }, 0, 0, EINVAL,
      "is built for 64-bit Arm (ELF machine 183)" },
    { "machine_386", { { ELF_FIELD(e_machine), EM_386 } }, 0, 0, EINVAL, "32-bit x86" },
    { "machine_arm", { { ELF_FIELD(e_machine), EM_ARM } }, 0, 0, EINVAL, "32-bit Arm" },
    { "machine_riscv", { { ELF_FIELD(e_machine), EM_RISCV } }, 0, 0, EINVAL, "RISC-V" },
    { "machine_unknown", { { ELF_FIELD(e_machine), 0xfffe } }, 0, 0, EINVAL, "another machine" },
    { "relocatable_object", { { ELF_FIELD(e_type), ET_REL } }, 0, 0, EINVAL,
      "cannot be executed" },
    { "core_file", { { ELF_FIELD(e_type), ET_CORE } }, 0, 0, EINVAL, "cannot be executed" },
    { "position_independent", { { ELF_FIELD(e_type), ET_DYN } }, 0, 0, 0, NULL },

    /* The table of program headers. */
    { "phentsize_of_elf32", { { ELF_FIELD(e_phentsize), 32 } }, 0, 0, EINVAL,
      DAMAGED "e_phentsize" },
    { "phentsize_0", { { ELF_FIELD(e_phentsize), 0 } }, 0, 0, EINVAL, DAMAGED "e_phentsize" },
    { "phnum_0", { { ELF_FIELD(e_phnum), 0 } }, 0, 0, EINVAL, DAMAGED "e_phnum" },
    { "phnum_64_of_empty_headers", { { ELF_FIELD(e_phnum), 64 } }, 0, 0, 0, NULL },
    { "phnum_65", { { ELF_FIELD(e_phnum), 65 } }, 0, 0, EINVAL, DAMAGED "e_phnum" },
    { "phnum_at_its_most", { { ELF_FIELD(e_phnum), 0xffff } }, 0, 0, EINVAL, DAMAGED "e_phnum" },
    { "phoff_at_the_end", { { ELF_FIELD(e_phoff), 0x1900 } }, 0, 0, EINVAL, HEADERS_BEYOND },
    { "phoff_a_byte_too_far", { { ELF_FIELD(e_phoff), 0x1900 - 3 * 56 + 1 } }, 0, 0, EINVAL,
      HEADERS_BEYOND },
    { "phoff_at_its_most", { { ELF_FIELD(e_phoff), UINT64_MAX } }, 0, 0, EINVAL, HEADERS_BEYOND },
    { "phoff_negative_as_off_t", { { ELF_FIELD(e_phoff), 1ull << 63 } }, 0, 0, EINVAL,
      HEADERS_BEYOND },
    { "a_program_with_an_interpreter",
      { { SEGMENT_FIELD(CRAFTED_DATA, p_type), PT_INTERP } }, 0, 0, EINVAL, "is a program, no kernel" },
    { "nothing_to_load",
      { { SEGMENT_FIELD(CRAFTED_TEXT, p_type), PT_NULL },
        { SEGMENT_FIELD(CRAFTED_DATA, p_type), PT_NULL } }, 0, 0, EINVAL,
      DAMAGED "nothing to load" },
    { "only_empty_segments",
      { { SEGMENT_FIELD(CRAFTED_TEXT, p_filesz), 0 }, { SEGMENT_FIELD(CRAFTED_TEXT, p_memsz), 0 },
        { SEGMENT_FIELD(CRAFTED_DATA, p_filesz), 0 }, { SEGMENT_FIELD(CRAFTED_DATA, p_memsz), 0 } },
      0, 0, EINVAL, DAMAGED "nothing to load" },

    /* A segment's place in the file. */
    { "file_cut_in_a_segment", { { 0 } }, 0x18ff, 0, EINVAL, BEYOND_FILE },
    { "offset_beyond", { { SEGMENT_FIELD(CRAFTED_DATA, p_offset), 0x1801 } }, 0, 0, EINVAL,
      BEYOND_FILE },
    { "offset_at_its_most", { { SEGMENT_FIELD(CRAFTED_DATA, p_offset), UINT64_MAX } }, 0, 0, EINVAL,
      BEYOND_FILE },
    { "offset_and_size_overflow",
      { { SEGMENT_FIELD(CRAFTED_TEXT, p_offset), UINT64_MAX - 0x7ff } }, 0, 0, EINVAL,
      BEYOND_FILE },
    { "offset_and_size_overflow_in_a_huge_file",
      { { SEGMENT_FIELD(CRAFTED_TEXT, p_offset), INT64_MAX },
        { SEGMENT_FIELD(CRAFTED_TEXT, p_filesz), (1ull << 63) + 1 },
        { SEGMENT_FIELD(CRAFTED_TEXT, p_memsz), (1ull << 63) + 1 } },
      INT64_MAX, 0, EINVAL, BEYOND_FILE },
    { "filesz_beyond",
      { { SEGMENT_FIELD(CRAFTED_DATA, p_filesz), 0x101 } }, 0, 0, EINVAL, BEYOND_FILE },
    { "filesz_larger_than_memsz", { { SEGMENT_FIELD(CRAFTED_TEXT, p_memsz), 0x7ff } }, 0, 0, EINVAL,
      DAMAGED "p_filesz is larger than p_memsz" },
    { "filesz_at_its_most", { { SEGMENT_FIELD(CRAFTED_TEXT, p_filesz), UINT64_MAX } }, 0, 0, EINVAL,
      DAMAGED "p_filesz is larger than p_memsz" },
    { "file_of_2_to_the_63_in_one_segment",
      { { SEGMENT_FIELD(CRAFTED_TEXT, p_filesz), INT64_MAX - 0x1000 },
        { SEGMENT_FIELD(CRAFTED_TEXT, p_memsz), INT64_MAX - 0x1000 },
        { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), MIB } },
      INT64_MAX, 0, EINVAL, NO_RAM },

    /* A segment's place in memory. */
    { "paddr_and_memsz_overflow", { { SEGMENT_FIELD(CRAFTED_DATA, p_memsz), UINT64_MAX } }, 0, 0,
      EINVAL, DAMAGED "p_paddr + p_memsz overflows" },
    { "paddr_at_its_most", { { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), UINT64_MAX } }, 0, 0, EINVAL,
      DAMAGED "p_paddr + p_memsz overflows" },
    { "paddr_0", { { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), 0 } }, 0, 0, EINVAL,
      DAMAGED "a segment's p_paddr is below 1 MiB" },
    { "paddr_on_the_page_tables", { { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), LAYOUT_PAGE_TABLES } },
      0, 0, EINVAL, DAMAGED "a segment's p_paddr is below 1 MiB" },
    { "paddr_a_byte_below_1_mib", { { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), MIB - 1 } }, 0, 0,
      EINVAL, DAMAGED "a segment's p_paddr is below 1 MiB" },
    { "paddr_1_mib", { { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), MIB } }, 0, 0, 0, NULL },
    { "paddr_at_the_end_of_ram", { { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), 64 * MIB } }, 0, 0,
      ENOMEM, "give --memory 65M or more" },
    { "segment_ends_with_the_ram", { { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), 64 * MIB - 0x3000 } },
      0, 0, 0, NULL },
    { "segment_a_byte_beyond_the_ram",
      { { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), 64 * MIB - 0x2fff } }, 0, 0, ENOMEM,
      "give --memory 65M or more" },
    { "paddr_in_the_hole", { { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), LAYOUT_IOAPIC } }, 0, 0,
      EINVAL, NO_RAM },
    { "paddr_above_4_gib", { { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), LOADING_HIGH } }, 0, 0,
      EINVAL, NO_RAM },
    { "memsz_across_the_hole", { { SEGMENT_FIELD(CRAFTED_DATA, p_memsz), LOADING_HIGH } }, 0, 0,
      EINVAL, NO_RAM },
    { "same_place_twice", { { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), CRAFTED_LOAD_ADDRESS } }, 0, 0,
      EINVAL, DAMAGED "two segments overlap" },
    { "segments_overlap_by_a_byte",
      { { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), CRAFTED_LOAD_ADDRESS + CRAFTED_TEXT_SIZE - 1 } }, 0,
      0, EINVAL, DAMAGED "two segments overlap" },
    { "segments_overlap_in_falling_order",
      { { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), CRAFTED_LOAD_ADDRESS - 0x2fff } }, 0, 0, EINVAL,
      DAMAGED "two segments overlap" },
    { "segments_touch",
      { { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), CRAFTED_LOAD_ADDRESS + CRAFTED_TEXT_SIZE } }, 0, 0,
      0, NULL },
    { "empty_segment_may_lie_anywhere",
      { { SEGMENT_FIELD(CRAFTED_DATA, p_filesz), 0 }, { SEGMENT_FIELD(CRAFTED_DATA, p_memsz), 0 },
        { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), 0 } }, 0, 0, 0, NULL },
    { "empty_segment_inside_another",
      { { SEGMENT_FIELD(CRAFTED_DATA, p_filesz), 0 }, { SEGMENT_FIELD(CRAFTED_DATA, p_memsz), 0 },
        { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), CRAFTED_ENTRY } }, 0, 0, 0, NULL },
    { "another_inside_an_empty_segment",
      { { SEGMENT_FIELD(CRAFTED_TEXT, p_filesz), 0 }, { SEGMENT_FIELD(CRAFTED_TEXT, p_memsz), 0 },
        { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), CRAFTED_LOAD_ADDRESS - 0x1000 },
        { ELF_FIELD(e_entry), CRAFTED_LOAD_ADDRESS } }, 0, 0, 0, NULL },

    /* The entry point. */
    { "entry_0", { { ELF_FIELD(e_entry), 0 } }, 0, 0, EINVAL, "is outside of its segments" },
    { "entry_virtual", { { ELF_FIELD(e_entry), 0xffffffff81000000 } }, 0, 0, EINVAL,
      "its entry point 0xffffffff81000000 is outside of its segments" },
    { "entry_just_beyond", { { ELF_FIELD(e_entry), CRAFTED_LOAD_ADDRESS + CRAFTED_TEXT_SIZE } }, 0,
      0, EINVAL, "is outside of its segments" },
    { "entry_at_the_last_byte",
      { { ELF_FIELD(e_entry), CRAFTED_LOAD_ADDRESS + CRAFTED_TEXT_SIZE - 1 } }, 0, 0, 0, NULL },

    /* The guest's size. */
    { "elf_in_2_mib", { { 0 } }, 0, 2 * MIB, ENOMEM, "give --memory 17M or more" },
    { "elf_in_1_mib", { { 0 } }, 0, MIB, ENOMEM, "give --memory 17M or more" },
    { "elf_just_right", { { 0 } }, 0, CRAFTED_DATA_ADDRESS + CRAFTED_DATA_MEMORY, 0, NULL },
    { "elf_a_page_short", { { 0 } }, 0, CRAFTED_DATA_ADDRESS + CRAFTED_DATA_MEMORY - 4096, ENOMEM,
      "give --memory 19M or more" },
};

/* CONSTANT: the file is one that may be mapped, which makes no difference here. */
static void check(const struct loading_case *c, bool constant)
{
    uint64_t size = c->memory ? c->memory : 64 * MIB;
    struct guest_memory *memory = loading_memory(size, 0);
    struct loaded_kernel kernel = { .entry = 0 };
    struct error error = ERROR_INIT;
    struct crafted crafted;
    struct image image;
    int result;

    craft_elf(&crafted, false);
    loading_apply(c, &crafted);
    image = crafted_open(&crafted, "kernel");
    image.constant = constant;
    result = boot_elf64.load(&image, memory, &kernel, &error);
    if (c->number) {
        loading_assert_error(result, &error, c->number, c->text);
    } else {
        if (result < 0)
            fail_msg("%s", error.message);
        assert_true(kernel.range.address >= LAYOUT_HIGH_RAM);
        assert_true(kernel.range.address + kernel.range.size <= size);
        assert_true(kernel.entry - kernel.range.address < kernel.range.size);
    }
    /* Whatever the file says, low memory is not the kernel's. */
    loading_assert_zero(memory, 0, size < MIB ? size : MIB);
    image_close(&image);
    guest_memory_destroy(memory);
}

static void check_case(void **state)
{
    check(*state, false);
    check(*state, true);
}

/* Code is the file's own pages, data are read, and what is behind either is zero. */
static void maps_what_is_not_written_to(void **state)
{
    struct guest_memory *memory = loading_memory(64 * MIB, 0);
    struct loaded_kernel kernel;
    struct error error = ERROR_INIT;
    struct crafted crafted;
    struct image image;

    (void)state;
    craft_elf(&crafted, false);
    crafted.size = 0x8000;
    craft_poke(&crafted, &(struct poke){ SEGMENT_FIELD(CRAFTED_TEXT, p_filesz), 0x2800 });
    craft_poke(&crafted, &(struct poke){ SEGMENT_FIELD(CRAFTED_TEXT, p_memsz), 0x2800 });
    craft_poke(&crafted, &(struct poke){ SEGMENT_FIELD(CRAFTED_DATA, p_offset), 0x4000 });
    craft_poke(&crafted, &(struct poke){ SEGMENT_FIELD(CRAFTED_DATA, p_filesz), 0x2000 });
    memset(crafted.bytes + 0x3000, 0x33, 0x1000);
    image = crafted_open(&crafted, "kernel");
    image.constant = true;
    assert_int_equal(boot_elf64.load(&image, memory, &kernel, &error), 0);
    assert_memory_equal(loading_bytes(memory, CRAFTED_LOAD_ADDRESS, 0x2800),
                        crafted.bytes + CRAFTED_TEXT_OFFSET, 0x2800);
    loading_assert_zero(memory, CRAFTED_LOAD_ADDRESS + 0x2800, 0x800);
    for (uint64_t page = CRAFTED_LOAD_ADDRESS; page < 64 * MIB; page += 4096)
        assert_int_equal(guest_memory_page_has_file(memory, page),
                         page < CRAFTED_LOAD_ADDRESS + 0x2000);
    image_close(&image);
    guest_memory_destroy(memory);
}

static void loads_each_segment(void **state)
{
    struct guest_memory *memory = loading_memory(64 * MIB, 0);
    struct loaded_kernel kernel;
    struct error error = ERROR_INIT;
    struct crafted crafted;
    struct image image;

    (void)state;
    craft_elf(&crafted, false);
    image = crafted_open(&crafted, "kernel");
    assert_int_equal(boot_elf64.load(&image, memory, &kernel, &error), 0);
    assert_int_equal(kernel.entry, CRAFTED_ENTRY);
    assert_int_equal(kernel.range.address, CRAFTED_LOAD_ADDRESS);
    assert_int_equal(kernel.range.address + kernel.range.size,
                     CRAFTED_DATA_ADDRESS + CRAFTED_DATA_MEMORY);
    assert_int_equal(kernel.initrd_end_max, LAYOUT_MMIO);
    assert_int_equal(kernel.command_line_max, 2047);
    assert_int_equal(kernel.header.header, 0x53726448);
    assert_int_equal(kernel.header.boot_flag, 0xaa55);
    assert_memory_equal(loading_bytes(memory, CRAFTED_LOAD_ADDRESS, CRAFTED_TEXT_SIZE),
                        crafted.bytes + CRAFTED_TEXT_OFFSET, CRAFTED_TEXT_SIZE);
    assert_memory_equal(loading_bytes(memory, CRAFTED_DATA_ADDRESS, CRAFTED_DATA_SIZE),
                        crafted.bytes + CRAFTED_DATA_OFFSET, CRAFTED_DATA_SIZE);
    loading_assert_zero(memory, CRAFTED_LOAD_ADDRESS + CRAFTED_TEXT_SIZE,
                        2 * MIB - CRAFTED_TEXT_SIZE);
    loading_assert_zero(memory, CRAFTED_DATA_ADDRESS + CRAFTED_DATA_SIZE, MIB);
    image_close(&image);
    guest_memory_destroy(memory);
}

/* The page tables of the entry state map 1 GiB. */
static void entry_must_be_mapped(void **state)
{
    struct guest_memory *memory = loading_memory(1025 * MIB, 0);
    struct loaded_kernel kernel;
    struct error error = ERROR_INIT;
    struct crafted crafted;
    struct image image;

    (void)state;
    craft_elf(&crafted, false);
    craft_poke(&crafted, &(struct poke){ SEGMENT_FIELD(CRAFTED_TEXT, p_paddr), 1024 * MIB });
    craft_poke(&crafted, &(struct poke){ ELF_FIELD(e_entry), 1024 * MIB });
    image = crafted_open(&crafted, "kernel");
    loading_assert_error(boot_elf64.load(&image, memory, &kernel, &error), &error, EINVAL,
                         "its entry point 0x40000000 is above 1 GiB");
    image_close(&image);
    guest_memory_destroy(memory);
}

static void shrinking_file_is_truncated(void **state)
{
    struct guest_memory *memory = loading_memory(64 * MIB, 0);
    struct loaded_kernel kernel;
    struct error error = ERROR_INIT;
    struct crafted crafted;
    struct image image;

    (void)state;
    craft_elf(&crafted, false);
    image = crafted_open(&crafted, "kernel");
    image.size += 4096; /* as if it had been that large when it was opened */
    craft_poke(&crafted, &(struct poke){ SEGMENT_FIELD(CRAFTED_DATA, p_filesz), 0x200 });
    assert_int_equal(pwrite(image.fd, crafted.bytes, 4096, 0), 4096);
    loading_assert_error(boot_elf64.load(&image, memory, &kernel, &error), &error, EINVAL,
                         "ends too early (truncated)");
    image_close(&image);
    guest_memory_destroy(memory);
}

static void probe_wants_the_entry_inside(void **state)
{
    struct crafted crafted;
    struct image image;

    (void)state;
    craft_elf(&crafted, true);
    image = crafted_open(&crafted, "kernel");
    assert_true(boot_elf64.probe(&image));
    image_close(&image);
    craft_poke(&crafted, &(struct poke){ ELF_FIELD(e_entry), 0 });
    image = crafted_open(&crafted, "kernel");
    assert_false(boot_elf64.probe(&image));
    image_close(&image);
    crafted.size = 3;
    image = crafted_open(&crafted, "kernel");
    assert_false(elf_has_magic(&image));
    image_close(&image);
}

int main(void)
{
    struct CMUnitTest tests[96] = {
        cmocka_unit_test(loads_each_segment),
        cmocka_unit_test(maps_what_is_not_written_to),
        cmocka_unit_test(entry_must_be_mapped),
        cmocka_unit_test(shrinking_file_is_truncated),
        cmocka_unit_test(probe_wants_the_entry_inside),
    };
    size_t count = 5;

    count += LOADING_ADD(tests + count, cases, check_case);
    return _cmocka_run_group_tests("elf_image", tests, count, NULL, NULL);
}
