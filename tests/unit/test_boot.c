/* SPDX-License-Identifier: Apache-2.0 */
/* Loading as a whole: arch_boot_load() from the files to the entry state. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/fixture.h"
#include "tests/support/loading.h"
#include "tests/support/test_machine.h"
#include "vmm/monitor/arch/arch.h"
#include "vmm/monitor/arch/x86_64/arch_vm.h"
#include "vmm/monitor/arch/x86_64/layout.h"

#define INITRD_MAX_1 { HEADER_FIELD(initrd_addr_max), 0 }

enum kernel_kind { BZIMAGE, ELF, ELF_PVH, TEXT };

struct boot_case {
    const char *name;
    enum kernel_kind kind;
    struct poke pokes[POKES_MAX];
    const char *protocol;
    uint64_t memory;      /* MiB, 0 for 64 */
    uint64_t initrd_size; /* bytes, 0 for none */
    size_t line_length;   /* of the command line, in addition to "quiet" */
    enum describe describe;
    int number;
    const char *text;
};

static const struct boot_case cases[] = {
    /* Detection. */
    { .name = "bzimage_is_detected", .kind = BZIMAGE },
    { .name = "elf_is_detected", .kind = ELF },
    { .name = "elf_with_note_goes_by_its_64_bit_entry", .kind = ELF_PVH },
    { .name = "pvh_is_forced", .kind = ELF_PVH, .protocol = "pvh" },
    { .name = "pvh_where_the_entry_is_virtual", .kind = ELF_PVH,
      .pokes = { { ELF_FIELD(e_entry), 0xffffffff81000000 } } },
    { .name = "elf_without_any_entry", .kind = ELF, .pokes = { { ELF_FIELD(e_entry), 0 } },
      .number = EINVAL, .text = "is outside of its segments; if it has a PVH note" },
    { .name = "elf_for_arm64", .kind = ELF, .pokes = { { ELF_FIELD(e_machine), EM_AARCH64 } },
      .number = EINVAL, .text = "64-bit Arm" },
    { .name = "bzimage_forced_to_elf64", .kind = BZIMAGE, .protocol = "elf64", .number = EINVAL,
      .text = "is no ELF file" },
    { .name = "bzimage_forced_to_pvh", .kind = BZIMAGE, .protocol = "pvh", .number = EINVAL,
      .text = "is no ELF file" },
    { .name = "elf_forced_to_linux64", .kind = ELF, .protocol = "linux64", .number = EINVAL,
      .text = "is no bzImage" },
    { .name = "elf_without_note_forced_to_pvh", .kind = ELF, .protocol = "pvh", .number = EINVAL,
      .text = "has no PVH note; build it with CONFIG_PVH" },
    { .name = "unknown_protocol", .kind = BZIMAGE, .protocol = "multiboot", .number = EINVAL,
      .text = "is unknown; use one of linux64, elf64, pvh" },
    { .name = "no_kernel_at_all", .kind = TEXT, .number = EINVAL,
      .text = "is no kernel that Mote knows" },
    { .name = "arm64_image", .kind = TEXT, .pokes = { { 0, 2, 0x5a4d }, { 0x38, 4, 0x644d5241 } },
      .number = EINVAL, .text = "is a kernel for 64-bit Arm" },
    { .name = "riscv_image", .kind = TEXT, .pokes = { { 0x38, 4, 0x05435352 } }, .number = EINVAL,
      .text = "is a kernel for RISC-V" },
    { .name = "zboot_image", .kind = TEXT, .pokes = { { 4, 4, 0x676d697a } }, .number = EINVAL,
      .text = "is an EFI zboot kernel" },
    { .name = "efi_program", .kind = TEXT, .pokes = { { 0, 2, 0x5a4d } }, .number = EINVAL,
      .text = "is an EFI program" },
    { .name = "gzip_file", .kind = TEXT, .pokes = { { 0, 2, 0x8b1f } }, .number = EINVAL,
      .text = "is compressed by gzip; unpack it first" },
    { .name = "xz_file", .kind = TEXT, .pokes = { { 0, 5, 0x5a587a37fd } }, .number = EINVAL,
      .text = "is compressed by xz" },
    { .name = "zstd_file", .kind = TEXT, .pokes = { { 0, 4, 0xfd2fb528 } }, .number = EINVAL,
      .text = "is compressed by zstd" },
    { .name = "cpio_archive", .kind = TEXT, .pokes = { { 0, 6, 0x313037303730 } },
      .number = EINVAL, .text = "is a cpio archive, which belongs to --initrd" },
    { .name = "device_tree_file", .kind = TEXT, .pokes = { { 0, 4, 0xedfe0dd0 } },
      .number = EINVAL, .text = "is a device tree" },
    { .name = "script", .kind = TEXT, .pokes = { { 0, 2, 0x2123 } }, .number = EINVAL,
      .text = "is a script" },
    { .name = "archive", .kind = TEXT, .pokes = { { 0, 7, 0x3e686372613c21 } }, .number = EINVAL,
      .text = "is an archive" },

    /* The initrd. */
    { .name = "initrd_of_1_byte", .kind = BZIMAGE, .initrd_size = 1 },
    { .name = "initrd_of_a_page", .kind = BZIMAGE, .initrd_size = 4096 },
    { .name = "initrd_of_a_page_and_a_byte", .kind = ELF, .initrd_size = 4097 },
    { .name = "initrd_for_pvh", .kind = ELF_PVH, .protocol = "pvh", .initrd_size = 5000 },
    { .name = "initrd_fills_the_ram", .kind = BZIMAGE, .initrd_size = 46 * MIB },
    { .name = "initrd_a_byte_too_large", .kind = BZIMAGE, .initrd_size = 46 * MIB + 1,
      .number = ENOMEM,
      .text = "does not fit in 64 MiB of guest memory; give --memory 65M or more" },
    { .name = "initrd_behind_an_elf_of_odd_size", .kind = ELF,
      .pokes = { { SEGMENT_FIELD(CRAFTED_DATA, p_memsz), 0x2f01 } },
      .initrd_size = 64 * MIB - CRAFTED_DATA_ADDRESS - 0x3000 },
    { .name = "initrd_larger_than_ram", .kind = ELF, .initrd_size = 100 * MIB, .number = ENOMEM,
      .text = "give --memory 119M or more" },
    { .name = "initrd_of_3_gib", .kind = BZIMAGE, .initrd_size = 3072 * MIB, .number = EFBIG,
      .text = "do not fit between the kernel and 0x80000000" },
    { .name = "initrd_of_4_gib", .kind = ELF, .initrd_size = 4096 * MIB, .number = EFBIG,
      .text = "do not fit between the kernel and 0xc0000000, below which it wants them" },
    { .name = "initrd_of_2_to_the_63", .kind = ELF, .initrd_size = INT64_MAX, .number = EFBIG,
      .text = "use a smaller one" },
    { .name = "initrd_below_the_kernels_limit", .kind = BZIMAGE, .initrd_size = 4096,
      .pokes = { { HEADER_FIELD(initrd_addr_max), 0x1fffffe } } },
    { .name = "initrd_up_to_the_kernels_limit", .kind = BZIMAGE, .initrd_size = 14 * MIB,
      .pokes = { { HEADER_FIELD(initrd_addr_max), 0x1ffffff } } },
    { .name = "initrd_beyond_the_kernels_limit", .kind = BZIMAGE, .initrd_size = 14 * MIB,
      .pokes = { { HEADER_FIELD(initrd_addr_max), 0x1fffffe } }, .number = EFBIG,
      .text = "do not fit between the kernel and 0x1fff000" },
    { .name = "limit_counts_before_the_ram", .kind = BZIMAGE, .initrd_size = 14 * MIB, .memory = 20,
      .pokes = { { HEADER_FIELD(initrd_addr_max), 0x1fffffe } }, .number = EFBIG,
      .text = "do not fit between the kernel and 0x1fff000" },
    { .name = "initrd_limit_0", .kind = BZIMAGE, .initrd_size = 1, .pokes = { INITRD_MAX_1 },
      .number = EFBIG, .text = "do not fit between the kernel and 0x0" },
    { .name = "initrd_limit_inside_the_kernel", .kind = BZIMAGE, .initrd_size = 1,
      .pokes = { { HEADER_FIELD(initrd_addr_max), 0x10fffff } }, .number = EFBIG,
      .text = "do not fit between the kernel and 0x1100000" },
    { .name = "initrd_limit_at_its_most", .kind = BZIMAGE, .initrd_size = 8192,
      .pokes = { { HEADER_FIELD(initrd_addr_max), UINT32_MAX } } },
    { .name = "initrd_limit_0_without_initrd", .kind = BZIMAGE, .pokes = { INITRD_MAX_1 } },
    { .name = "kernel_fills_the_ram_without_initrd", .kind = BZIMAGE,
      .pokes = { { HEADER_FIELD(init_size), 48 << 20 } } },
    { .name = "kernel_fills_the_ram_with_initrd", .kind = BZIMAGE, .initrd_size = 1,
      .pokes = { { HEADER_FIELD(init_size), 48 << 20 } }, .number = ENOMEM,
      .text = "initrd crafted: does not fit in 64 MiB of guest memory; give --memory 65M" },

    /* The command line. */
    { .name = "command_line_at_the_images_limit", .kind = BZIMAGE, .line_length = 2042 },
    { .name = "command_line_over_the_images_limit", .kind = BZIMAGE, .line_length = 2043,
      .number = E2BIG, .text = "2048 bytes, this kernel takes 2047; shorten it" },
    { .name = "command_line_at_vmlinuxs_limit", .kind = ELF, .line_length = 2042 },
    { .name = "command_line_over_vmlinuxs_limit", .kind = ELF, .line_length = 2043,
      .number = E2BIG, .text = "this kernel takes 2047" },
    { .name = "command_line_over_pvhs_limit", .kind = ELF_PVH, .protocol = "pvh",
      .line_length = 2043, .number = E2BIG, .text = "this kernel takes 2047" },
    { .name = "command_line_of_a_kernel_that_takes_1_byte", .kind = BZIMAGE,
      .pokes = { { HEADER_FIELD(cmdline_size), 1 } }, .number = E2BIG,
      .text = "5 bytes, this kernel takes 1" },
    { .name = "command_line_at_the_layouts_limit", .kind = BZIMAGE, .line_length = 65530,
      .pokes = { { HEADER_FIELD(cmdline_size), UINT32_MAX } } },
    { .name = "command_line_over_the_layouts_limit", .kind = BZIMAGE, .line_length = 65531,
      .pokes = { { HEADER_FIELD(cmdline_size), UINT32_MAX } }, .number = E2BIG,
      .text = "65536 bytes, this kernel takes 65535" },
    { .name = "windows_count_for_the_limit", .kind = BZIMAGE, .line_length = 2042,
      .describe = DESCRIBE_CMDLINE, .number = E2BIG, .text = "bytes with the devices" },

    /* The description. */
    { .name = "linux64_with_device_tree", .kind = BZIMAGE, .describe = DESCRIBE_FDT },
    { .name = "elf64_with_device_tree", .kind = ELF, .describe = DESCRIBE_FDT,
      .initrd_size = 4096 },
    { .name = "pvh_with_device_tree", .kind = ELF_PVH, .protocol = "pvh", .describe = DESCRIBE_FDT,
      .number = EINVAL, .text = "the pvh protocol cannot hand over a device tree" },
    { .name = "linux64_with_command_line", .kind = BZIMAGE, .describe = DESCRIBE_CMDLINE },
    { .name = "pvh_with_command_line", .kind = ELF_PVH, .protocol = "pvh",
      .describe = DESCRIBE_CMDLINE },
    { .name = "unknown_description", .kind = BZIMAGE, .describe = DESCRIBE_COUNT,
      .number = EINVAL, .text = "--describe: is out of range" },

    /* Memory. */
    { .name = "load_into_2_mib", .kind = BZIMAGE, .memory = 2, .number = ENOMEM,
      .text = "give --memory 18M or more" },
    { .name = "small_kernel_in_2_mib", .kind = BZIMAGE, .memory = 2, .initrd_size = 4096,
      .pokes = { { HEADER_FIELD(pref_address), MIB }, { HEADER_FIELD(kernel_alignment), 4096 },
                 { HEADER_FIELD(init_size), 0x8000 } } },
    { .name = "memory_above_4_gib", .kind = BZIMAGE, .memory = 4096, .initrd_size = 4096 },
};

/* What one case makes, and what came of it. */
struct attempt {
    struct test_machine test;
    struct arch_vm arch;
    struct image kernel, initrd;
    char line[70000];
    int result;
    struct error error;
};

static struct image craft(const struct boot_case *c)
{
    const struct loading_case broken = {
        .pokes = { c->pokes[0], c->pokes[1], c->pokes[2], c->pokes[3] },
    };
    struct crafted crafted = { .size = 1000 };

    if (c->kind == BZIMAGE)
        craft_bzimage(&crafted);
    else if (c->kind != TEXT)
        craft_elf(&crafted, c->kind == ELF_PVH);
    loading_apply(&broken, &crafted);
    return crafted_open(&crafted, "kernel");
}

static struct image craft_initrd(uint64_t size)
{
    struct crafted crafted = { .size = size };

    for (size_t i = 0; i < CRAFTED_MAX && i < size; i++)
        crafted.bytes[i] = (uint8_t)(i * 5 + 1);
    return crafted_open(&crafted, "initrd");
}

static struct attempt *attempt_make(const struct boot_case *c, uint64_t memory_mib)
{
    struct attempt *attempt = test_calloc(1, sizeof(*attempt));
    struct log log = LOG_INIT;
    struct boot_source source = {
        .protocol = c->protocol, .kernel = &attempt->kernel, .command_line = attempt->line,
    };

    test_machine_create(&attempt->test, memory_mib * MIB, 2, 3);
    attempt->test.machine.describe = c->describe;
    attempt->kernel = craft(c);
    attempt->initrd.fd = -1;
    if (c->initrd_size) {
        attempt->initrd = craft_initrd(c->initrd_size);
        source.initrd = &attempt->initrd;
    }
    strcpy(attempt->line, "quiet");
    memset(attempt->line + 5, 'a', c->line_length);
    attempt->arch.log = &log;
    attempt->result = arch_boot_load(&attempt->arch, &source, &attempt->test.machine,
                                     &attempt->error);
    return attempt;
}

static void attempt_free(struct attempt *attempt)
{
    image_close(&attempt->kernel);
    image_close(&attempt->initrd);
    test_machine_destroy(&attempt->test);
    test_free(attempt);
}

static uint64_t load_u64(const uint8_t *bytes, size_t offset)
{
    uint64_t value;

    memcpy(&value, bytes + offset, sizeof(value));
    return value;
}

/* Where the guest is told that its initrd lies. */
static struct guest_range told_initrd(const struct attempt *attempt, const uint8_t *info,
                                      uint32_t *line)
{
    if (attempt->arch.entry.long_mode) {
        const struct boot_params *params = (const struct boot_params *)(const void *)info;

        *line = params->hdr.cmd_line_ptr;
        return (struct guest_range){ params->hdr.ramdisk_image, params->hdr.ramdisk_size };
    }
    *line = (uint32_t)load_u64(info, 24);
    info = test_machine_bytes(&attempt->test, load_u64(info, 16), 32);
    return (struct guest_range){ load_u64(info, 0), load_u64(info, 8) };
}

static void check_description(const struct boot_case *c, const struct attempt *attempt,
                              const uint8_t *info)
{
    const struct boot_params *params = (const struct boot_params *)(const void *)info;
    const uint8_t *bytes;

    if (c->describe == DESCRIBE_ACPI) {
        uint64_t rsdp = attempt->arch.entry.long_mode ? params->acpi_rsdp_addr : load_u64(info, 32);

        assert_memory_equal(test_machine_bytes(&attempt->test, rsdp, 8), "RSD PTR ", 8);
    } else if (c->describe == DESCRIBE_FDT) {
        bytes = test_machine_bytes(&attempt->test, params->hdr.setup_data, 32);
        assert_int_equal(load_u64(bytes, 0), 0);         /* next */
        assert_int_equal(bytes[8], SETUP_DTB);           /* type */
        assert_memory_equal(bytes + 16, "\xd0\x0d\xfe\xed", 4);
        assert_int_equal(bytes[12] | bytes[13] << 8, bytes[22] << 8 | bytes[23]);
    } else {
        assert_memory_equal(test_machine_bytes(&attempt->test, LAYOUT_MP_TABLE, 4), "_MP_", 4);
    }
}

static void check_success(const struct boot_case *c, const struct attempt *attempt)
{
    const struct boot_entry *entry = &attempt->arch.entry;
    const uint8_t *info = test_machine_bytes(&attempt->test, entry->argument, 4096);
    struct guest_range ram = boot_low_ram(attempt->test.machine.memory);
    uint32_t line_address;
    struct guest_range initrd = told_initrd(attempt, info, &line_address);
    const char *line;

    assert_true(entry->rip >= MIB && entry->rip < ram.address + ram.size);
    assert_int_equal(entry->long_mode,
                     !(c->protocol && strcmp(c->protocol, "pvh") == 0) &&
                         strcmp(c->name, "pvh_where_the_entry_is_virtual") != 0);
    assert_int_equal(initrd.size, c->initrd_size);
    if (initrd.size) {
        struct crafted crafted = { .size = 0 };
        size_t length = initrd.size < CRAFTED_MAX ? initrd.size : CRAFTED_MAX;

        assert_int_equal(pread(attempt->initrd.fd, crafted.bytes, length, 0), (ssize_t)length);
        assert_memory_equal(test_machine_bytes(&attempt->test, initrd.address, length),
                            crafted.bytes, length);
        assert_int_equal(initrd.address % 4096, 0);
        assert_true(initrd.address > entry->rip);
        assert_true(initrd.address + initrd.size <= ram.address + ram.size);
        /* As high as it may be: below the end of RAM and the kernel's own limit. */
        if (c->kind == BZIMAGE) {
            const struct setup_header *header = (const void *)(info + CRAFTED_HEADER);
            uint64_t end = header->initrd_addr_max + 1ull;

            assert_true(initrd.address + initrd.size <= end);
            if (end < ram.address + ram.size)
                ram.size = (end & ~4095ull) - ram.address;
        }
        assert_true(ram.address + ram.size - (initrd.address + initrd.size) < 4096);
    }
    line = (const char *)test_machine_bytes(&attempt->test, line_address,
                                            strlen(attempt->line) + 1);
    if (c->describe == DESCRIBE_CMDLINE)
        assert_non_null(strstr(line, "quiet virtio_mmio.device="));
    else
        assert_string_equal(line, attempt->line);
    check_description(c, attempt, info);
}

static void check_case(void **state)
{
    const struct boot_case *c = *state;
    struct attempt *attempt = attempt_make(c, c->memory ? c->memory : 64);
    const char *remedy = strstr(attempt->error.message, "give --memory ");

    if (c->number) {
        loading_assert_error(attempt->result, &attempt->error, c->number, c->text);
    } else {
        if (attempt->result < 0)
            fail_msg("%s", attempt->error.message);
        check_success(c, attempt);
    }
    /* The remedy that the message names helps at least until the next complaint. */
    if (remedy) {
        struct attempt *again =
            attempt_make(c, strtoull(remedy + strlen("give --memory "), NULL, 10));

        assert_null(strstr(again->error.message, "does not fit in"));
        attempt_free(again);
    }
    attempt_free(attempt);
}

/* ---- files that change while they are read ---- */

/* After so many reads, each byte read from the kernel's first 4 KiB is inverted. */
static int reads_until_change = -1;
static int changing_fd = -1;

ssize_t pread(int fd, void *buffer, size_t length, off_t offset)
{
    ssize_t count = syscall(SYS_pread64, fd, buffer, length, offset);

    if (fd == changing_fd && fd >= 0 && reads_until_change-- <= 0)
        for (ssize_t i = 0; i < count && offset + i < 4096; i++)
            ((uint8_t *)buffer)[i] = (uint8_t)~((uint8_t *)buffer)[i];
    return count;
}

/* Whatever was checked is what is used: the file's second answer never counts unchecked. */
static void changing_file_never_leads_outside(void **state)
{
    static const enum kernel_kind kinds[] = { BZIMAGE, ELF, ELF_PVH };
    struct log log = LOG_INIT;
    int loaded = 0;

    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        for (int reads = 0; reads < 16; reads++) {
            const struct boot_case c = { .kind = kinds[kind] };
            struct image kernel = craft(&c);
            struct arch_vm arch = { .log = &log };
            struct boot_source source = {
                .kernel = &kernel, .command_line = "quiet",
                .protocol = kinds[kind] == ELF_PVH ? "pvh" : NULL,
            };
            struct test_machine test;
            struct error error = ERROR_INIT;

            test_machine_create(&test, 64 * MIB, 1, 0);
            changing_fd = kernel.fd;
            reads_until_change = reads;
            if (arch_boot_load(&arch, &source, &test.machine, &error) == 0) {
                assert_true(arch.entry.rip >= CRAFTED_LOAD_ADDRESS);
                assert_true(arch.entry.rip < CRAFTED_LOAD_ADDRESS + CRAFTED_INIT_SIZE);
                loaded++;
            } else {
                assert_true(strlen(error.message) > 0);
            }
            changing_fd = -1;
            image_close(&kernel);
            test_machine_destroy(&test);
        }
    }
    /* The changes stop at some number of reads, and then all three load. */
    assert_true(loaded > 16);
}

static void initrd_that_shrinks_is_truncated(void **state)
{
    const struct boot_case c = { .kind = BZIMAGE };
    struct image kernel = craft(&c), initrd = craft_initrd(8192);
    struct log log = LOG_INIT;
    struct arch_vm arch = { .log = &log };
    struct boot_source source = { .kernel = &kernel, .initrd = &initrd, .command_line = "" };
    struct test_machine test;
    struct error error = ERROR_INIT;

    (void)state;
    test_machine_create(&test, 64 * MIB, 1, 0);
    assert_int_equal(ftruncate(initrd.fd, 8191), 0);
    loading_assert_error(arch_boot_load(&arch, &source, &test.machine, &error), &error, EINVAL,
                         "initrd crafted: the file ends too early (truncated)");
    image_close(&kernel);
    image_close(&initrd);
    test_machine_destroy(&test);
}

static void names_of_protocols(void **state)
{
    (void)state;
    assert_string_equal(arch_boot_protocol_names(), "linux64, elf64, pvh");
    assert_true(arch_boot_protocol_known("linux64") && arch_boot_protocol_known("elf64") &&
                arch_boot_protocol_known("pvh"));
    assert_false(arch_boot_protocol_known("") || arch_boot_protocol_known("linux"));
}

int main(void)
{
    struct CMUnitTest tests[96] = {
        cmocka_unit_test(changing_file_never_leads_outside),
        cmocka_unit_test(initrd_that_shrinks_is_truncated),
        cmocka_unit_test(names_of_protocols),
    };
    size_t count = 3;

    count += LOADING_ADD(tests + count, cases, check_case);
    return _cmocka_run_group_tests("boot", tests, count, NULL, NULL);
}
