/* SPDX-License-Identifier: Apache-2.0 */
/* How a kernel's file decides what its guest is told of the machine: kernel_look.c, and arch_boot_load() by it. */
#include "tests/support/fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/crafted.h"
#include "tests/support/test_machine.h"
#include "vmm/monitor/arch/arch.h"
#include "vmm/monitor/arch/x86_64/arch_vm.h"
#include "vmm/monitor/arch/x86_64/kernel_look.h"
#include "vmm/monitor/arch/x86_64/layout.h"

#define MIB (1ull << 20)
#define SECTIONS 0x2000u   /* the headers of three sections */
#define NAMES 0x2200u      /* of them */
#define START_DATA 0x3000u /* the section .init.data */
#define START_SIZE 0x400u
#define SECTION_FIELD(index, field)                                                                \
    SECTIONS + (index) * sizeof(Elf64_Shdr) + offsetof(Elf64_Shdr, field), sizeof(((Elf64_Shdr *)0)->field)

/* Where Linux has them was looked at in built kernels; the boot tier sees that it still is so. */
#define LINUX "rdinit="
#define ACPI "acpi_os_name="
#define DEVICE_TREE "intel,ce4100-cp"
#define SERIAL "uart8250"
#define ROOT_POINTER "RSD PTR "

static void put(struct crafted *crafted, size_t offset, const char *text)
{
    memcpy(crafted->bytes + offset, text, strlen(text));
}

/* A vmlinux of 2 MiB with MARKS, each behind the other, in its .init.data. */
static void craft_vmlinux(struct crafted *crafted, const char *const *marks)
{
    const Elf64_Shdr sections[] = {
        { .sh_type = SHT_NULL },
        { .sh_name = 1, .sh_type = SHT_PROGBITS, .sh_offset = START_DATA, .sh_size = START_SIZE },
        { .sh_name = 12, .sh_type = SHT_STRTAB, .sh_offset = NAMES, .sh_size = 22 },
    };
    size_t at = START_DATA;

    craft_elf(crafted, true);
    crafted->size = 2 * MIB;
    memcpy(crafted->bytes + SECTIONS, sections, sizeof(sections));
    memcpy(crafted->bytes + NAMES, "\0.init.data\0.shstrtab", 22);
    craft_poke(crafted, &(struct poke){ ELF_FIELD(e_shoff), SECTIONS });
    craft_poke(crafted, &(struct poke){ ELF_FIELD(e_shnum), 3 });
    craft_poke(crafted, &(struct poke){ ELF_FIELD(e_shstrndx), 2 });
    craft_poke(crafted, &(struct poke){ ELF_FIELD(e_shentsize), sizeof(sections[0]) });
    for (; *marks; marks++) {
        put(crafted, at, *marks);
        at += strlen(*marks) + 1;
    }
}

static struct kernel_look look_at(const struct crafted *crafted)
{
    struct image image = crafted_open(crafted, "kernel");
    struct kernel_look look = kernel_look_at(&image);

    image_close(&image);
    return look;
}

#define MARKS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_what_a_vmlinux_has(void **state)
{
    static const struct {
        const char *marks[5];
        struct kernel_look look;
    } rows[] = {
        { { LINUX, ACPI, SERIAL }, { .is_linux = true, .acpi = true, .serial = true } },
        { { LINUX, DEVICE_TREE, SERIAL }, { .is_linux = true, .device_tree = true, .serial = true } },
        { { LINUX, SERIAL }, { .is_linux = true, .serial = true } },
        { { LINUX, ACPI, DEVICE_TREE }, { .is_linux = true, .acpi = true, .device_tree = true } },
        { { LINUX, ACPI }, { .is_linux = true, .acpi = true } },
        { { "rdinit", "acpi_os_nam=" }, { .is_linux = false } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct crafted crafted;
        struct kernel_look look;

        craft_vmlinux(&crafted, rows[i].marks);
        look = look_at(&crafted);
        assert_int_equal(look.is_linux, rows[i].look.is_linux);
        assert_int_equal(look.acpi, rows[i].look.acpi);
        assert_int_equal(look.device_tree, rows[i].look.device_tree);
        assert_int_equal(look.serial, rows[i].look.serial);
        assert_false(look.packed);
    }
}

/* Elsewhere such words may stand for any reason. */
static void test_only_the_section_counts(void **state)
{
    struct crafted crafted;

    (void)state;
    craft_vmlinux(&crafted, MARKS(LINUX));
    put(&crafted, CRAFTED_TEXT_OFFSET, ACPI);
    put(&crafted, START_DATA + START_SIZE, ACPI);
    put(&crafted, START_DATA + START_SIZE - 4, DEVICE_TREE);
    assert_false(look_at(&crafted).acpi);
    assert_false(look_at(&crafted).device_tree);
    /* To its last byte. */
    put(&crafted, START_DATA + START_SIZE - strlen(SERIAL), SERIAL);
    assert_true(look_at(&crafted).serial);
}

/* A mark may lie across the border of what is read at once, which is somewhere behind 64 KiB. */
static void test_without_sections_all_counts(void **state)
{
    (void)state;
    for (off_t at = 0x10000 - 16; at < 0x10040; at++) {
        struct crafted crafted;
        struct image image;
        struct kernel_look look;

        craft_vmlinux(&crafted, MARKS(LINUX));
        craft_poke(&crafted, &(struct poke){ ELF_FIELD(e_shnum), 0 });
        image = crafted_open(&crafted, "kernel");
        assert_int_equal(pwrite(image.fd, ACPI, strlen(ACPI), at), strlen(ACPI));
        assert_int_equal(pwrite(image.fd, SERIAL, strlen(SERIAL), (off_t)(2 * MIB - strlen(SERIAL))),
                         strlen(SERIAL));
        look = kernel_look_at(&image);
        assert_true(look.is_linux && look.acpi && look.serial);
        image_close(&image);
    }
}

/* Whatever the numbers say, it is looked at within the file, and in bounded time. */
static void test_hostile_sections(void **state)
{
    static const struct poke pokes[] = {
        { ELF_FIELD(e_shoff), UINT64_MAX }, { ELF_FIELD(e_shoff), UINT64_MAX - 100 },
        { ELF_FIELD(e_shoff), 2 * MIB - 1 }, { ELF_FIELD(e_shnum), UINT16_MAX },
        { ELF_FIELD(e_shnum), 256 }, { ELF_FIELD(e_shnum), 257 }, { ELF_FIELD(e_shstrndx), 3 },
        { ELF_FIELD(e_shstrndx), UINT16_MAX }, { ELF_FIELD(e_shentsize), 1 },
        { SECTION_FIELD(1, sh_name), UINT32_MAX }, { SECTION_FIELD(1, sh_name), 12 },
        { SECTION_FIELD(1, sh_name), 21 }, { SECTION_FIELD(1, sh_offset), UINT64_MAX },
        { SECTION_FIELD(1, sh_offset), 2 * MIB - 1 }, { SECTION_FIELD(1, sh_size), UINT64_MAX },
        { SECTION_FIELD(1, sh_size), 0 }, { SECTION_FIELD(2, sh_offset), UINT64_MAX },
        { SECTION_FIELD(2, sh_size), UINT64_MAX }, { SECTION_FIELD(2, sh_size), 0 },
        { SECTION_FIELD(2, sh_size), 11 }, { EI_CLASS, 1, ELFCLASS32 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(pokes) / sizeof(pokes[0]); i++) {
        struct crafted crafted;

        craft_vmlinux(&crafted, MARKS(LINUX, SERIAL));
        craft_poke(&crafted, &pokes[i]);
        /* Another kernel at worst, or the whole file: never one that has what it has not. */
        assert_false(look_at(&crafted).acpi);
        crafted.size = 1ull << 50;
        assert_false(look_at(&crafted).acpi);
        crafted.size = MIB - 1;
        assert_false(look_at(&crafted).is_linux);
        crafted.size = 10;
        assert_false(look_at(&crafted).is_linux);
    }
}

static void test_what_a_bzimage_has(void **state)
{
    const size_t payload = CRAFTED_SETUP_SIZE + 0x300, end = payload + 0x400;
    static const struct {
        size_t delta; /* of the mark, from the payload's begin or, at 0x400, its end */
        bool acpi;
    } places[] = { { (size_t)-8, true }, { (size_t)-4, false }, { 0, false }, { 0x3f8, false },
                   { 0x3fc, false }, { 0x400, true }, { 0x800, true } };
    struct crafted crafted;
    struct kernel_look look;

    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        craft_bzimage(&crafted);
        put(&crafted, payload + places[i].delta, ROOT_POINTER);
        look = look_at(&crafted);
        assert_true(look.is_linux && look.serial && look.packed);
        assert_int_equal(look.acpi, places[i].acpi);
        assert_int_equal(look.device_tree, !places[i].acpi);
    }
    /* Its unpacker did not look for it always. */
    craft_bzimage(&crafted);
    craft_poke(&crafted, &(struct poke){ HEADER_FIELD(version), 0x020e });
    assert_false(look_at(&crafted).is_linux);
    craft_bzimage(&crafted);
    put(&crafted, end, ROOT_POINTER);
    craft_poke(&crafted, &(struct poke){ HEADER_FIELD(payload_length), UINT32_MAX });
    assert_false(look_at(&crafted).acpi);
    craft_poke(&crafted, &(struct poke){ HEADER_FIELD(payload_offset), UINT32_MAX });
    assert_true(look_at(&crafted).acpi);
    crafted.size = 0x1f1 + 100;
    assert_false(look_at(&crafted).is_linux);
}

/* ---- what comes of it ------------------------------------------------------ */

struct outcome {
    int result;
    bool acpi, device_tree, mp_table, windows, no_pci;
    char log[512];
};

static void boot_as(const struct crafted *crafted, const char *protocol, bool console_matters,
                    enum describe describe, struct outcome *outcome)
{
    struct image kernel = crafted_open(crafted, "kernel");
    int fd = memfd_create("log", MFD_CLOEXEC);
    struct log log = { .fd = fd, .level = LOG_WARN };
    struct arch_vm arch = { .log = &log };
    struct boot_source source = {
        .kernel = &kernel, .command_line = "quiet", .protocol = protocol, .console_matters = console_matters,
    };
    struct test_machine test;
    struct error error = ERROR_INIT;

    *outcome = (struct outcome){ .result = 0 };
    test_machine_create(&test, 64 * MIB, 1, 1);
    test.machine.describe = describe;
    outcome->result = arch_boot_load(&arch, &source, &test.machine, &error);
    if (outcome->result < 0)
        fail_msg("%s", error.message);
    assert_int_equal(test.machine.describe, describe);
    outcome->acpi = memcmp(test_machine_bytes(&test, LAYOUT_ACPI, 8), ROOT_POINTER, 8) == 0;
    outcome->device_tree = memcmp(test_machine_bytes(&test, LAYOUT_SETUP_DATA + 16, 4), "\xd0\x0d\xfe\xed", 4) == 0;
    outcome->mp_table = memcmp(test_machine_bytes(&test, LAYOUT_MP_TABLE, 4), "_MP_", 4) == 0;
    outcome->windows = strstr((char *)test_machine_bytes(&test, LAYOUT_COMMAND_LINE, 256),
                              "virtio_mmio.device=") != NULL;
    outcome->no_pci = strstr((char *)test_machine_bytes(&test, LAYOUT_COMMAND_LINE, 256),
                             "pci=off") != NULL;
    assert_true(pread(fd, outcome->log, sizeof(outcome->log) - 1, 0) >= 0);
    close(fd);
    image_close(&kernel);
    test_machine_destroy(&test);
}

static void boot(const struct crafted *crafted, const char *protocol, bool console_matters,
                 struct outcome *outcome)
{
    boot_as(crafted, protocol, console_matters, DESCRIBE_AUTO, outcome);
}

static void assert_described(const char *const *marks, const char *protocol, const char *how)
{
    struct crafted crafted;
    struct outcome outcome;

    craft_vmlinux(&crafted, marks);
    boot(&crafted, protocol, false, &outcome);
    assert_int_equal(outcome.acpi, strcmp(how, "acpi") == 0);
    assert_int_equal(outcome.device_tree, strcmp(how, "fdt") == 0);
    assert_int_equal(outcome.mp_table, strcmp(how, "cmdline") == 0);
    assert_int_equal(outcome.windows, strcmp(how, "cmdline") == 0);
    /* Of another kernel a command line may be a program's arguments. */
    assert_int_equal(outcome.no_pci, strcmp(how, "acpi") == 0 && strcmp(marks[0], LINUX) == 0);
    assert_string_equal(outcome.log, "");
}

static void test_the_machine_is_described_so(void **state)
{
    struct crafted crafted;
    struct outcome outcome;

    (void)state;
    assert_described(MARKS(LINUX, ACPI), "elf64", "acpi");
    assert_described(MARKS(LINUX, ACPI, DEVICE_TREE), "elf64", "acpi");
    assert_described(MARKS(LINUX, DEVICE_TREE), "elf64", "fdt");
    assert_described(MARKS(LINUX, SERIAL), "elf64", "cmdline");
    /* PVH hands over no device tree. */
    assert_described(MARKS(LINUX, DEVICE_TREE), "pvh", "cmdline");
    assert_described(MARKS(LINUX, ACPI), "pvh", "acpi");
    /* No Linux: all that looks at all looks for this. */
    assert_described(MARKS("unikernel"), "pvh", "acpi");
    craft_bzimage(&crafted);
    boot(&crafted, NULL, true, &outcome);
    assert_true(outcome.device_tree && !outcome.acpi && !outcome.no_pci);
    put(&crafted, CRAFTED_SETUP_SIZE + 0x800, ROOT_POINTER);
    boot(&crafted, NULL, true, &outcome);
    assert_true(outcome.acpi && !outcome.device_tree && outcome.no_pci);
    assert_string_equal(outcome.log, "");
}

static void test_a_console_that_cannot_work(void **state)
{
    struct crafted crafted;
    struct outcome outcome;

    (void)state;
    craft_vmlinux(&crafted, MARKS(LINUX, ACPI));
    boot(&crafted, "elf64", true, &outcome);
    assert_non_null(strstr(outcome.log, "kernel crafted: has no driver of the serial console"));
    assert_non_null(strstr(outcome.log, "; use one with CONFIG_SERIAL_8250_CONSOLE"));
    craft_vmlinux(&crafted, MARKS(LINUX, ACPI, SERIAL));
    boot(&crafted, "elf64", true, &outcome);
    assert_string_equal(outcome.log, "");
    /* Of other kernels nothing is known. */
    craft_vmlinux(&crafted, MARKS("unikernel"));
    boot(&crafted, "elf64", true, &outcome);
    assert_string_equal(outcome.log, "");
}

/* What the user says is done, and what will come of it is said. */
static void test_a_description_that_is_not_read(void **state)
{
    static const char acpi[] = "has no ACPI, so it will find neither interrupts nor devices; leave out";
    static const char tree[] = "takes no device tree, so it will find neither";
    static const struct {
        const char *marks[4];
        enum describe describe;
        const char *warning; /* NULL: none */
    } rows[] = {
        { { LINUX, SERIAL, DEVICE_TREE }, DESCRIBE_ACPI, acpi },
        { { LINUX, SERIAL, ACPI }, DESCRIBE_ACPI, NULL },
        { { LINUX, SERIAL, ACPI }, DESCRIBE_FDT, tree },
        { { LINUX, SERIAL, DEVICE_TREE }, DESCRIBE_FDT, NULL },
        { { LINUX, SERIAL }, DESCRIBE_CMDLINE, NULL },
        { { "unikernel" }, DESCRIBE_FDT, NULL },
    };
    struct crafted crafted;
    struct outcome outcome;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        craft_vmlinux(&crafted, rows[i].marks);
        boot_as(&crafted, "elf64", true, rows[i].describe, &outcome);
        assert_int_equal(outcome.acpi, rows[i].describe == DESCRIBE_ACPI);
        assert_int_equal(outcome.device_tree, rows[i].describe == DESCRIBE_FDT);
        if (rows[i].warning)
            assert_non_null(strstr(outcome.log, rows[i].warning));
        else
            assert_string_equal(outcome.log, "");
        boot_as(&crafted, "elf64", false, rows[i].describe, &outcome);
        assert_string_equal(outcome.log, "");
    }
    /* Whether a bzImage takes one, nobody knows. */
    craft_bzimage(&crafted);
    put(&crafted, CRAFTED_SETUP_SIZE + 0x800, ROOT_POINTER);
    boot_as(&crafted, NULL, true, DESCRIBE_FDT, &outcome);
    assert_string_equal(outcome.log, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_vmlinux_has),
        cmocka_unit_test(test_only_the_section_counts),
        cmocka_unit_test(test_without_sections_all_counts),
        cmocka_unit_test(test_hostile_sections),
        cmocka_unit_test(test_what_a_bzimage_has),
        cmocka_unit_test(test_the_machine_is_described_so),
        cmocka_unit_test(test_a_console_that_cannot_work),
        cmocka_unit_test(test_a_description_that_is_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
