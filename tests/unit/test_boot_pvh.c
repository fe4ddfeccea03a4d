/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "tests/support/loading.h"
#include "vmm/monitor/arch/x86_64/boot.h"
#include "vmm/monitor/arch/x86_64/layout.h"

#define DAMAGED "damaged ELF file ("
#define NOTE_SIZE DAMAGED "a note's size does not fit"
#define NO_NOTE "has no PVH note"
#define OUTSIDE "is outside of its segments"

/* Fields of the notes: the foreign one, then Xen's. */
#define FOREIGN_NAMESZ CRAFTED_NOTES_OFFSET, 4
#define FOREIGN_DESCSZ CRAFTED_NOTES_OFFSET + 4, 4
#define XEN_NAMESZ CRAFTED_XEN_NOTE, 4
#define XEN_DESCSZ CRAFTED_XEN_NOTE + 4, 4
#define XEN_TYPE CRAFTED_XEN_NOTE + 8, 4
#define XEN_NAME CRAFTED_XEN_NOTE + 12, 4
#define XEN_ENTRY CRAFTED_XEN_NOTE + 16, 4
#define NOTES_SIZE SEGMENT_FIELD(CRAFTED_NOTES, p_filesz)
#define NOTES_OFFSET SEGMENT_FIELD(CRAFTED_NOTES, p_offset)

static const struct loading_case cases[] = {
    { "note_is_found", { { 0 } }, 0, 0, 0, NULL },
    { "no_note_segment", { { SEGMENT_FIELD(CRAFTED_NOTES, p_type), PT_NULL } }, 0, 0, EINVAL,
      NO_NOTE },
    { "note_of_another_type", { { XEN_TYPE, 17 } }, 0, 0, EINVAL, NO_NOTE },
    { "note_of_another_owner", { { XEN_NAME, 0x006e6559 } }, 0, 0, EINVAL, NO_NOTE },
    { "owner_without_its_nul", { { XEN_NAMESZ, 3 } }, 0, 0, EINVAL, NO_NOTE },
    { "notes_empty", { { NOTES_SIZE, 0 } }, 0, 0, EINVAL, NO_NOTE },
    { "notes_end_in_a_header", { { NOTES_SIZE, 36 + 11 } }, 0, 0, EINVAL, NO_NOTE },
    { "notes_end_behind_a_header", { { NOTES_SIZE, 36 + 12 } }, 0, 0, EINVAL, NOTE_SIZE },
    { "notes_end_in_a_name", { { NOTES_SIZE, 36 + 15 } }, 0, 0, EINVAL, NOTE_SIZE },
    { "notes_end_in_a_descriptor", { { NOTES_SIZE, 36 + 19 } }, 0, 0, EINVAL, NOTE_SIZE },
    { "notes_to_the_last_byte", { { NOTES_SIZE, 36 + 20 } }, 0, 0, 0, NULL },
    { "notes_of_4_kib", { { NOTES_SIZE, 4096 } }, 0, 0, 0, NULL },
    { "notes_over_4_kib", { { NOTES_SIZE, 4097 } }, 0, 0, EINVAL,
      DAMAGED "its notes are larger than 4 KiB" },
    { "notes_at_their_most", { { NOTES_SIZE, UINT64_MAX } }, 0, 0, EINVAL,
      DAMAGED "its notes are larger than 4 KiB" },
    { "notes_beyond_the_file", { { NOTES_OFFSET, 0x18f0 } }, 0, 0, EINVAL,
      DAMAGED "its notes reach beyond the file" },
    { "notes_offset_at_its_most", { { NOTES_OFFSET, UINT64_MAX } }, 0, 0, EINVAL,
      DAMAGED "its notes reach beyond the file" },
    { "foreign_name_too_long", { { FOREIGN_NAMESZ, 0x1000 } }, 0, 0, EINVAL, NOTE_SIZE },
    { "foreign_name_at_its_most", { { FOREIGN_NAMESZ, UINT32_MAX } }, 0, 0, EINVAL, NOTE_SIZE },
    { "foreign_descriptor_too_long", { { FOREIGN_DESCSZ, 0x1000 } }, 0, 0, EINVAL, NOTE_SIZE },
    { "foreign_descriptor_at_its_most", { { FOREIGN_DESCSZ, UINT32_MAX } }, 0, 0, EINVAL,
      NOTE_SIZE },
    { "both_sizes_at_their_most",
      { { FOREIGN_NAMESZ, UINT32_MAX }, { FOREIGN_DESCSZ, UINT32_MAX } }, 0, 0, EINVAL, NOTE_SIZE },
    { "foreign_sizes_padded", { { FOREIGN_NAMESZ, 1 }, { FOREIGN_DESCSZ, 17 } }, 0, 0, 0, NULL },
    { "entry_of_8_bytes", { { XEN_DESCSZ, 8 }, { NOTES_SIZE, 36 + 24 } }, 0, 0, 0, NULL },
    { "entry_of_2_bytes", { { XEN_DESCSZ, 2 } }, 0, 0, EINVAL, NOTE_SIZE },
    { "entry_of_12_bytes", { { XEN_DESCSZ, 12 }, { NOTES_SIZE, 36 + 28 } }, 0, 0, EINVAL,
      NOTE_SIZE },
    { "entry_of_0_bytes", { { XEN_DESCSZ, 0 }, { NOTES_SIZE, 36 + 16 } }, 0, 0, EINVAL, NOTE_SIZE },
    { "entry_above_4_gib",
      { { XEN_DESCSZ, 8 }, { NOTES_SIZE, 36 + 24 }, { CRAFTED_XEN_NOTE + 20, 4, 1 } }, 0, 0, EINVAL,
      "its PVH entry point 0x101000020 " OUTSIDE },
    { "pvh_entry_0", { { XEN_ENTRY, 0 } }, 0, 0, EINVAL, OUTSIDE },
    { "pvh_entry_just_beyond", { { XEN_ENTRY, CRAFTED_LOAD_ADDRESS + CRAFTED_TEXT_SIZE } }, 0, 0,
      EINVAL, OUTSIDE },
    { "pvh_entry_in_low_memory", { { XEN_ENTRY, LAYOUT_PVH_INFO } }, 0, 0, EINVAL, OUTSIDE },
    { "elf_entry_does_not_matter", { { ELF_FIELD(e_entry), UINT64_MAX } }, 0, 0, 0, NULL },
    { "header_is_checked", { { ELF_FIELD(e_machine), EM_386 } }, 0, 0, EINVAL, "32-bit x86" },
    { "segments_are_checked", { { SEGMENT_FIELD(CRAFTED_DATA, p_paddr), 0 } }, 0, 0, EINVAL,
      DAMAGED "a segment's p_paddr is below 1 MiB" },
    { "pvh_in_2_mib", { { 0 } }, 0, 2 * MIB, ENOMEM, "give --memory 17M or more" },
};

static int load(const struct loading_case *c, struct guest_memory *memory,
                struct loaded_kernel *kernel, bool *probed, struct error *error)
{
    struct crafted crafted;
    struct image image;
    int result;

    craft_elf(&crafted, true);
    loading_apply(c, &crafted);
    image = crafted_open(&crafted, "kernel");
    *probed = boot_pvh.probe(&image);
    result = boot_pvh.load(&image, memory, kernel, error);
    image_close(&image);
    return result;
}

static void check_case(void **state)
{
    const struct loading_case *c = *state;
    struct guest_memory *memory = loading_memory(c->memory ? c->memory : 64 * MIB, 0);
    struct loaded_kernel kernel = { .entry = 0 };
    struct error error = ERROR_INIT;
    bool probed;
    int result = load(c, memory, &kernel, &probed, &error);

    if (c->number) {
        loading_assert_error(result, &error, c->number, c->text);
        loading_assert_zero(memory, 0, MIB);
    } else {
        if (result < 0)
            fail_msg("%s", error.message);
        assert_true(probed);
        assert_int_equal(kernel.entry, CRAFTED_PVH_ENTRY);
        assert_int_equal(kernel.range.address, CRAFTED_LOAD_ADDRESS);
        assert_int_equal(kernel.initrd_end_max, LAYOUT_MMIO);
        assert_int_equal(kernel.command_line_max, 2047);
    }
    guest_memory_destroy(memory);
}

/* start_info.h of Xen, version 1, byte by byte. */
static uint64_t field(const uint8_t *bytes, size_t offset, size_t width)
{
    uint64_t value = 0;

    memcpy(&value, bytes + offset, width);
    return value;
}

static void start_info_has_every_field(void **state)
{
    struct guest_memory *memory = loading_memory(64 * MIB, 16 * MIB);
    const struct loaded_kernel kernel = { .entry = CRAFTED_PVH_ENTRY };
    const struct boot_handover handover = {
        .command_line = LAYOUT_COMMAND_LINE, .initrd = { 0x3000000, 0x12345 }, .rsdp = 0xe0000,
    };
    static const struct {
        uint64_t address, size;
        uint32_t type;
    } map[] = {
        { 0, 0xa0000, 1 },
        { 0xa0000, 0x4f000, 2 },
        { 0xf0000, 0x10000, 2 },
        { MIB, 63 * MIB, 1 },
        { LOADING_HIGH, 16 * MIB, 1 },
    };
    struct boot_entry entry;
    struct error error = ERROR_INIT;
    const uint8_t *info, *module, *entries;

    (void)state;
    assert_int_equal(boot_pvh.hand_over(memory, &kernel, &handover, &entry, &error), 0);
    assert_false(entry.long_mode);
    assert_int_equal(entry.rip, CRAFTED_PVH_ENTRY);
    assert_int_equal(entry.argument, LAYOUT_PVH_INFO);
    info = loading_bytes(memory, entry.argument, 56);
    assert_int_equal(field(info, 0, 4), 0x336ec578);
    assert_int_equal(field(info, 4, 4), 1);
    assert_int_equal(field(info, 8, 4), 0);
    assert_int_equal(field(info, 12, 4), 1);
    assert_int_equal(field(info, 24, 8), LAYOUT_COMMAND_LINE);
    assert_int_equal(field(info, 32, 8), 0xe0000);
    assert_int_equal(field(info, 48, 4), 5);
    assert_int_equal(field(info, 52, 4), 0);
    module = loading_bytes(memory, field(info, 16, 8), 32);
    assert_int_equal(field(module, 0, 8), 0x3000000);
    assert_int_equal(field(module, 8, 8), 0x12345);
    assert_int_equal(field(module, 16, 8), 0);
    assert_int_equal(field(module, 24, 8), 0);
    entries = loading_bytes(memory, field(info, 40, 8), sizeof(map));
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(field(entries, i * 24, 8), map[i].address);
        assert_int_equal(field(entries, i * 24 + 8, 8), map[i].size);
        assert_int_equal(field(entries, i * 24 + 16, 4), map[i].type);
        assert_int_equal(field(entries, i * 24 + 20, 4), 0);
    }
    loading_assert_zero(memory, LAYOUT_BOOT_PARAMS, MIB - LAYOUT_BOOT_PARAMS);
    guest_memory_destroy(memory);
}

static void no_initrd_is_no_module(void **state)
{
    struct guest_memory *memory = loading_memory(64 * MIB, 0);
    const struct loaded_kernel kernel = { .entry = CRAFTED_PVH_ENTRY };
    const struct boot_handover handover = { .command_line = LAYOUT_COMMAND_LINE };
    struct boot_entry entry;
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(boot_pvh.hand_over(memory, &kernel, &handover, &entry, &error), 0);
    assert_int_equal(field(loading_bytes(memory, LAYOUT_PVH_INFO, 56), 12, 4), 0);
    guest_memory_destroy(memory);
}

static void hand_over_needs_low_memory(void **state)
{
    struct guest_memory *memory = loading_memory(0x6000, 0);
    const struct loaded_kernel kernel = { .entry = 0 };
    const struct boot_handover handover = { .command_line = 0 };
    struct boot_entry entry;
    struct error error = ERROR_INIT;

    (void)state;
    loading_assert_error(boot_pvh.hand_over(memory, &kernel, &handover, &entry, &error), &error,
                         EINVAL, "give --memory 2M or more");
    guest_memory_destroy(memory);
}

int main(void)
{
    struct CMUnitTest tests[64] = {
        cmocka_unit_test(start_info_has_every_field),
        cmocka_unit_test(no_initrd_is_no_module),
        cmocka_unit_test(hand_over_needs_low_memory),
    };
    size_t count = 3;

    count += LOADING_ADD(tests + count, cases, check_case);
    return _cmocka_run_group_tests("boot_pvh", tests, count, NULL, NULL);
}
