/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "tests/support/loading.h"
#include "vmm/monitor/arch/x86_64/boot.h"
#include "vmm/monitor/arch/x86_64/layout.h"

#define DAMAGED "damaged bzImage header ("
#define JUMP (CRAFTED_HEADER + offsetof(struct setup_header, jump) + 1)

static const struct loading_case cases[] = {
    /* The file's size. */
    { "no_bytes_behind_the_boot_sector", { { 0 } }, 512, 0, EINVAL, "is no bzImage" },
    { "header_cut", { { 0 } }, 767, 0, EINVAL, "truncated" },
    { "setup_code_cut", { { 0 } }, 1023, 0, EINVAL, DAMAGED "setup_sects reaches beyond" },
    { "setup_code_alone", { { 0 } }, 1024, 0, EINVAL, DAMAGED "setup_sects reaches beyond" },
    { "kernel_cut_by_a_unit", { { 0 } }, 5104, 0, EINVAL, "truncated: 4080 of 4096 bytes" },
    { "kernel_cut_in_its_last_unit", { { 0 } }, 5105, 0, 0, NULL },
    { "bytes_behind_the_kernel_are_ignored", { { 0 } }, 6000, 0, 0, NULL },
    { "file_of_2_to_the_63", { { 0 } }, INT64_MAX, 0, 0, NULL },
    { "file_of_2_to_the_63_without_syssize", { { HEADER_FIELD(syssize), 0 } }, INT64_MAX, 0,
      EINVAL, DAMAGED "pref_address and init_size reach beyond 1 GiB" },

    /* Signatures. */
    { "no_boot_flag", { { HEADER_FIELD(boot_flag), 0x55aa } }, 0, 0, EINVAL, "is no bzImage" },
    { "no_header_magic", { { HEADER_FIELD(header), 0 } }, 0, 0, EINVAL, "is no bzImage" },
    { "header_length_hides_the_magic", { { JUMP, 1, 0 } }, 0, 0, EINVAL, "is no bzImage" },
    { "header_length_hides_xloadflags", { { JUMP, 1, 0x30 } }, 0, 0, EINVAL,
      "has no 64-bit entry point" },
    { "header_length_hides_init_size", { { JUMP, 1, 0x50 } }, 0, 0, EINVAL,
      DAMAGED "init_size is 0" },
    { "header_length_at_its_most", { { JUMP, 1, 0xff } }, 0, 0, 0, NULL },
    { "protocol_2_11", { { HEADER_FIELD(version), 0x020b } }, 0, 0, EINVAL,
      "boot protocol 2.11 is too old" },
    { "protocol_0", { { HEADER_FIELD(version), 0 } }, 0, 0, EINVAL, "boot protocol 0.00" },
    { "protocol_2_12", { { HEADER_FIELD(version), 0x020c } }, 0, 0, 0, NULL },
    { "zimage", { { HEADER_FIELD(loadflags), 0 } }, 0, 0, EINVAL, "is a zImage" },
    { "no_64_bit_entry", { { HEADER_FIELD(xloadflags), 0xfe } }, 0, 0, EINVAL,
      "no 64-bit entry point (a 32-bit kernel)" },

    /* Where the parts lie in the file. */
    { "setup_sects_255", { { HEADER_FIELD(setup_sects), 255 } }, 0, 0, EINVAL,
      DAMAGED "setup_sects reaches beyond the file" },
    { "setup_sects_0_means_4", { { HEADER_FIELD(setup_sects), 0 }, { HEADER_FIELD(syssize), 160 } },
      0, 0, 0, NULL },
    { "setup_sects_0_and_cut", { { HEADER_FIELD(setup_sects), 0 } }, 0, 0, EINVAL, "truncated" },
    { "syssize_at_its_most", { { HEADER_FIELD(syssize), UINT32_MAX } }, 0, 0, EINVAL,
      "truncated: 4096 of 68719476720 bytes" },
    { "syssize_0_means_the_rest", { { HEADER_FIELD(syssize), 0 } }, 0, 0, 0, NULL },
    { "syssize_ends_at_the_entry", { { HEADER_FIELD(syssize), 0x20 } }, 0, 0, EINVAL,
      DAMAGED "syssize leaves no room for the entry point" },
    { "syssize_just_beyond_the_entry",
      { { HEADER_FIELD(syssize), 0x21 }, { HEADER_FIELD(payload_offset), 0 },
        { HEADER_FIELD(payload_length), 0x210 } }, 0, 0, 0, NULL },
    { "payload_offset_beyond", { { HEADER_FIELD(payload_offset), 4097 } }, 0, 0, EINVAL,
      DAMAGED "the payload reaches beyond the file" },
    { "payload_length_beyond", { { HEADER_FIELD(payload_length), 4096 - 0x300 + 1 } }, 0, 0,
      EINVAL, DAMAGED "the payload reaches beyond the file" },
    { "payload_to_the_last_byte", { { HEADER_FIELD(payload_length), 4096 - 0x300 } }, 0, 0, 0,
      NULL },
    { "payload_sum_overflows",
      { { HEADER_FIELD(payload_offset), 0x300 }, { HEADER_FIELD(payload_length), 0xfffffd00 } }, 0,
      0, EINVAL, DAMAGED "the payload reaches beyond the file" },

    /* Where the kernel goes. */
    { "alignment_0", { { HEADER_FIELD(kernel_alignment), 0 } }, 0, 0, EINVAL,
      DAMAGED "kernel_alignment is no power of two" },
    { "alignment_2048", { { HEADER_FIELD(kernel_alignment), 2048 } }, 0, 0, EINVAL,
      DAMAGED "kernel_alignment" },
    { "alignment_3_times_4096", { { HEADER_FIELD(kernel_alignment), 12288 } }, 0, 0, EINVAL,
      DAMAGED "kernel_alignment" },
    { "alignment_2_gib", { { HEADER_FIELD(kernel_alignment), 1u << 31 } }, 0, 0, EINVAL,
      DAMAGED "pref_address and init_size reach beyond 1 GiB" },
    { "init_size_0", { { HEADER_FIELD(init_size), 0 } }, 0, 0, EINVAL, DAMAGED "init_size is 0" },
    { "init_size_at_its_most", { { HEADER_FIELD(init_size), UINT32_MAX } }, 0, 0, EINVAL,
      DAMAGED "pref_address and init_size reach beyond 1 GiB" },
    { "init_size_to_1_gib", { { HEADER_FIELD(init_size), 0x3f000000 } }, 0, 0, ENOMEM,
      "give --memory 1024M or more" },
    { "init_size_beyond_1_gib", { { HEADER_FIELD(init_size), 0x3f000001 } }, 0, 0, EINVAL,
      DAMAGED "pref_address and init_size reach beyond 1 GiB" },
    { "init_size_fills_the_ram", { { HEADER_FIELD(init_size), 48 << 20 } }, 0, 0, 0, NULL },
    { "init_size_beyond_the_ram", { { HEADER_FIELD(init_size), (48 << 20) + 1 } }, 0, 0, ENOMEM,
      "does not fit in 64 MiB of guest memory; give --memory 65M or more" },
    { "init_size_less_than_the_file", { { HEADER_FIELD(init_size), 1 } }, 0, 0, 0, NULL },
    { "pref_address_at_its_most", { { HEADER_FIELD(pref_address), UINT64_MAX } }, 0, 0, EINVAL,
      DAMAGED "pref_address is out of range" },
    { "pref_address_at_its_most_aligned", { { HEADER_FIELD(pref_address), 0xffffffffffe00000 } }, 0,
      0, EINVAL, DAMAGED "pref_address and init_size reach beyond 1 GiB" },
    { "pref_address_1_gib", { { HEADER_FIELD(pref_address), 1u << 30 } }, 0, 0, EINVAL,
      DAMAGED "pref_address and init_size reach beyond 1 GiB" },
    { "pref_address_beyond_the_ram", { { HEADER_FIELD(pref_address), 64 * MIB } }, 0, 0, ENOMEM,
      "give --memory 66M or more" },
    { "pref_address_0_and_fixed",
      { { HEADER_FIELD(pref_address), 0 }, { HEADER_FIELD(relocatable_kernel), 0 } }, 0, 0, EINVAL,
      DAMAGED "pref_address is below 1 MiB or unaligned" },
    { "pref_address_unaligned_and_fixed",
      { { HEADER_FIELD(pref_address), 0x1001000 }, { HEADER_FIELD(relocatable_kernel), 0 } }, 0, 0,
      EINVAL, DAMAGED "pref_address is below 1 MiB or unaligned" },
    { "fixed_kernel", { { HEADER_FIELD(relocatable_kernel), 0 } }, 0, 0, 0, NULL },
    { "cmdline_size_0", { { HEADER_FIELD(cmdline_size), 0 } }, 0, 0, EINVAL,
      DAMAGED "cmdline_size is 0" },

    /* The guest's size. */
    { "ram_of_2_mib", { { 0 } }, 0, 2 * MIB, ENOMEM, "give --memory 18M or more" },
    { "ram_of_1_mib", { { 0 } }, 0, MIB, ENOMEM, "give --memory 18M or more" },
    { "ram_of_4_kib", { { 0 } }, 0, 4096, ENOMEM, "give --memory 18M or more" },
    { "ram_just_right", { { 0 } }, 0, 18 * MIB, 0, NULL },
    { "ram_a_page_short", { { 0 } }, 0, 18 * MIB - 4096, ENOMEM, "give --memory 18M or more" },
};

static void check_case(void **state)
{
    const struct loading_case *c = *state;
    uint64_t size = c->memory ? c->memory : 64 * MIB;
    struct guest_memory *memory = loading_memory(size, 0);
    struct loaded_kernel kernel = { .entry = 0 };
    struct error error = ERROR_INIT;
    struct crafted crafted;
    struct image image;
    int result;

    craft_bzimage(&crafted);
    loading_apply(c, &crafted);
    image = crafted_open(&crafted, "kernel");
    result = boot_linux64.load(&image, memory, &kernel, &error);
    if (c->number) {
        loading_assert_error(result, &error, c->number, c->text);
        /* What was refused for its header left no trace in the guest. */
        if (size >= 16 * MIB + 8192)
            loading_assert_zero(memory, CRAFTED_LOAD_ADDRESS, 8192);
    } else {
        if (result < 0)
            fail_msg("%s", error.message);
        assert_true(kernel.range.address >= LAYOUT_HIGH_RAM);
        assert_true(kernel.range.address + kernel.range.size <= size);
        assert_int_equal(kernel.entry, kernel.range.address + 0x200);
    }
    image_close(&image);
    guest_memory_destroy(memory);
}

/* Loads the crafted image with POKES and returns what the loader found. */
static struct loaded_kernel load(const struct poke *pokes, size_t count,
                                 struct guest_memory *memory)
{
    struct loaded_kernel kernel = { .entry = 0 };
    struct error error = ERROR_INIT;
    struct crafted crafted;
    struct image image;

    craft_bzimage(&crafted);
    for (size_t i = 0; i < count; i++)
        craft_poke(&crafted, &pokes[i]);
    image = crafted_open(&crafted, "kernel");
    if (boot_linux64.load(&image, memory, &kernel, &error) < 0)
        fail_msg("%s", error.message);
    image_close(&image);
    return kernel;
}

static void loads_the_protected_mode_kernel(void **state)
{
    struct guest_memory *memory = loading_memory(64 * MIB, 0);
    struct loaded_kernel kernel = load(NULL, 0, memory);
    struct crafted crafted;

    (void)state;
    craft_bzimage(&crafted);
    assert_int_equal(kernel.range.address, CRAFTED_LOAD_ADDRESS);
    assert_int_equal(kernel.range.size, CRAFTED_INIT_SIZE);
    assert_int_equal(kernel.entry, CRAFTED_LOAD_ADDRESS + 0x200);
    assert_int_equal(kernel.initrd_end_max, 0x80000000);
    assert_int_equal(kernel.command_line_max, 2047);
    assert_int_equal(kernel.header.type_of_loader, 0xff);
    assert_int_equal(kernel.header.version, 0x020f);
    assert_memory_equal(loading_bytes(memory, CRAFTED_LOAD_ADDRESS, CRAFTED_KERNEL_SIZE),
                        crafted.bytes + CRAFTED_SETUP_SIZE, CRAFTED_KERNEL_SIZE);
    loading_assert_zero(memory, 0, CRAFTED_LOAD_ADDRESS);
    loading_assert_zero(memory, CRAFTED_LOAD_ADDRESS + CRAFTED_KERNEL_SIZE, 2 * MIB);
    guest_memory_destroy(memory);
}

static void relocatable_kernel_moves_to_its_alignment(void **state)
{
    static const struct {
        uint64_t pref_address, alignment, address;
    } moves[] = {
        { 0, 4096, MIB },
        { 0, 2 * MIB, 2 * MIB },
        { MIB - 1, 4096, MIB },
        { MIB + 1, 4096, MIB + 4096 },
        { 16 * MIB + 1, 2 * MIB, 18 * MIB },
        { 16 * MIB, 32 * MIB, 32 * MIB },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
        struct guest_memory *memory = loading_memory(64 * MIB, 0);
        const struct poke pokes[] = {
            { HEADER_FIELD(pref_address), moves[i].pref_address },
            { HEADER_FIELD(kernel_alignment), moves[i].alignment },
        };

        assert_int_equal(load(pokes, 2, memory).range.address, moves[i].address);
        guest_memory_destroy(memory);
    }
}

static void initrd_limit_does_not_wrap(void **state)
{
    struct guest_memory *memory = loading_memory(64 * MIB, 0);
    const struct poke most = { HEADER_FIELD(initrd_addr_max), UINT32_MAX };
    const struct poke least = { HEADER_FIELD(initrd_addr_max), 0 };

    (void)state;
    assert_int_equal(load(&most, 1, memory).initrd_end_max, 0x100000000);
    assert_int_equal(load(&least, 1, memory).initrd_end_max, 1);
    guest_memory_destroy(memory);
}

/* A header that ends early must not let the bytes behind it in. */
static void header_is_cut_at_its_length(void **state)
{
    struct guest_memory *memory = loading_memory(64 * MIB, 0);
    /* 0x264 - 0x202: up to and with init_size. */
    const struct poke pokes[] = {
        { JUMP, 1, 0x62 }, { HEADER_FIELD(handover_offset), 0x12345678 },
        { HEADER_FIELD(kernel_info_offset), 0x9abcdef0 },
    };
    struct loaded_kernel kernel = load(pokes, 3, memory);

    (void)state;
    assert_int_equal(kernel.header.init_size, CRAFTED_INIT_SIZE);
    assert_int_equal(kernel.header.handover_offset, 0);
    assert_int_equal(kernel.header.kernel_info_offset, 0);
    kernel = load(pokes + 1, 2, memory);
    assert_int_equal(kernel.header.handover_offset, 0x12345678);
    assert_int_equal(kernel.header.kernel_info_offset, 0x9abcdef0);
    guest_memory_destroy(memory);
}

static void probe_looks_for_the_magic_only(void **state)
{
    struct crafted crafted = { .size = 0x206 };
    struct image image;

    (void)state;
    craft_poke(&crafted, &(struct poke){ 0x202, 4, 0x53726448 });
    image = crafted_open(&crafted, "kernel");
    assert_true(boot_linux64.probe(&image));
    image.size = 0x205;
    assert_false(boot_linux64.probe(&image));
    image_close(&image);
    craft_elf(&crafted, true);
    image = crafted_open(&crafted, "kernel");
    assert_false(boot_linux64.probe(&image));
    image_close(&image);
}

int main(void)
{
    struct CMUnitTest tests[96] = {
        cmocka_unit_test(loads_the_protected_mode_kernel),
        cmocka_unit_test(relocatable_kernel_moves_to_its_alignment),
        cmocka_unit_test(initrd_limit_does_not_wrap),
        cmocka_unit_test(header_is_cut_at_its_length),
        cmocka_unit_test(probe_looks_for_the_magic_only),
    };
    size_t count = 5;

    count += LOADING_ADD(tests + count, cases, check_case);
    return _cmocka_run_group_tests("boot_linux64", tests, count, NULL, NULL);
}
