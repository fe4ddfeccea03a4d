/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the first inputs of each fuzz target, made by the tests' image builders. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/crafted.h"
#include "vmm/monitor/protocol.h"

static const char *corpus;

struct seed {
    size_t size;
    uint8_t bytes[2 * CRAFTED_MAX];
};

static void add(struct seed *seed, const void *bytes, size_t length)
{
    if (length > 0)
        memcpy(seed->bytes + seed->size, bytes, length);
    seed->size += length;
}

static void add_number(struct seed *seed, uint64_t value, size_t width)
{
    add(seed, &value, width);
}

static void keep(const char *target, const char *name, const struct seed *seed)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", corpus, target);
    if (mkdir(path, 0777) < 0 && errno != EEXIST) {
        perror(path);
        exit(1);
    }
    snprintf(path, sizeof(path), "%s/%s/seed-%s", corpus, target, name);
    file = fopen(path, "wb");
    if (!file || fwrite(seed->bytes, 1, seed->size, file) != seed->size || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

/* A kernel file for one loader, with some of the file's ways. */
static void keep_kernel(const char *target, const struct crafted *crafted)
{
    static const struct {
        const char *name;
        uint8_t ways;
    } variants[] = {
        { "64m", 2 },
        { "changes", 3 | 8 },
    };

    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
        struct seed seed = { .size = 0 };

        add_number(&seed, variants[i].ways, 1);
        add(&seed, crafted->bytes, crafted->size);
        keep(target, variants[i].name, &seed);
    }
}

static void keep_kernel32(const char *target, const struct crafted *crafted)
{
    struct seed seed = { .size = 0 };

    add_number(&seed, 2, 1);
    add(&seed, crafted->bytes, crafted->size);
    keep(target, "32-bit", &seed);
}

/* A vmlinux with a hole of 1 MiB behind it, and a bzImage, each with what is looked for. */
static void keep_looks(void)
{
    static const char marks[] = "rdinit=\0acpi_os_name=\0intel,ce4100-cp\0uart8250";
    const Elf64_Shdr sections[] = {
        { .sh_name = 1, .sh_type = SHT_PROGBITS, .sh_offset = 0x800, .sh_size = sizeof(marks) },
        { .sh_name = 12, .sh_type = SHT_STRTAB, .sh_offset = 0x700, .sh_size = 22 },
    };
    static const char *const names[] = { "sections", "no-sections", "bzimage" };

    for (size_t i = 0; i < 3; i++) {
        struct seed seed = { .size = 0 };
        struct crafted crafted;

        if (i == 2) {
            craft_bzimage(&crafted);
            memcpy(crafted.bytes + CRAFTED_SETUP_SIZE + 0x800, "RSD PTR ", 8);
        } else {
            craft_elf(&crafted, true);
            memcpy(crafted.bytes + 0x600, sections, sizeof(sections));
            memcpy(crafted.bytes + 0x700, "\0.init.data\0.shstrtab", 22);
            memcpy(crafted.bytes + 0x800, marks, sizeof(marks));
            craft_poke(&crafted, &(struct poke){ ELF_FIELD(e_shoff), 0x600 });
            craft_poke(&crafted, &(struct poke){ ELF_FIELD(e_shnum), i == 0 ? 2 : 0 });
            craft_poke(&crafted, &(struct poke){ ELF_FIELD(e_shstrndx), 1 });
            craft_poke(&crafted, &(struct poke){ ELF_FIELD(e_shentsize), sizeof(sections[0]) });
        }
        add_number(&seed, 1, 1);
        add(&seed, crafted.bytes, crafted.size);
        keep("fuzz_kernel_look", names[i], &seed);
    }
}

static void keep_boot(const char *name, unsigned int ways, const char *line, size_t initrd_size,
                      unsigned int initrd_pages, const struct crafted *kernel)
{
    struct seed seed = { .size = 0 };

    add_number(&seed, ways, 2);
    add_number(&seed, strlen(line), 2);
    add_number(&seed, initrd_size, 2);
    add_number(&seed, initrd_pages, 2);
    add(&seed, line, strlen(line));
    memset(seed.bytes + seed.size, 'i', initrd_size);
    seed.size += initrd_size;
    add(&seed, kernel->bytes, kernel->size);
    keep("fuzz_boot", name, &seed);
}

static void keep_words(const char *name, const char *words, size_t size)
{
    struct seed seed = { .size = 0 };

    add(&seed, words, size);
    keep("fuzz_options", name, &seed);
}
#define KEEP_WORDS(name, words) keep_words(name, words, sizeof(words))

static void keep_ioapic(void)
{
    static const uint8_t operations[][8] = {
        { 5, 0x12, 0, 0, 0x31, 0, 0, 0 },    /* pin 1, edge */
        { 0, 1 }, { 1, 1 },
        { 5, 0x14, 0, 0, 0x32, 0x80, 0, 0 }, /* pin 2, level */
        { 0, 2 }, { 4, 0, 0, 0, 0x32 },
        { 5, 0x14, 0, 0, 0x32, 0x80, 1, 0 }, /* masked */
        { 1, 2 }, { 0, 2 }, { 2, 0x10 }, { 3, 0, 0, 0, 1 }, { 2, 0x10 },
    };
    struct seed seed = { .size = 0 };

    add(&seed, operations, sizeof(operations));
    keep("fuzz_ioapic", "edge-and-level", &seed);
}

static void keep_serial(void)
{
    /* FCR, MCR, IER, then data out and in, status reads. */
    static const uint8_t operations[] = {
        3 | 2 << 3, 0x07, 3 | 4 << 3, 0x0b, 3 | 1 << 3, 0x0f, 1, 2, 2 | 5 << 3, 'h', 'e', 'l', 'l',
        'o', 0 | 2 << 3, 0 | 5 << 3, 0, 0, 3 | 4 << 3, 0x1b, 3, 'x', 0, 0 | 6 << 3,
    };
    struct seed seed = { .size = 0 };

    add(&seed, operations, sizeof(operations));
    keep("fuzz_serial", "setup-and-data", &seed);
}

/* A byte for the device, one for the way of altering, and alterations. */
static void keep_states(void)
{
    static const uint8_t alterations[][3] = { { 38, 0, 7 }, { 44, 0, 0xff }, { 61, 1, 0x80 } };
    char name[32];

    for (uint8_t kind = 0; kind < 11; kind++) {
        struct seed seed = { .size = 0 };

        add_number(&seed, kind, 1);
        add_number(&seed, kind % 2, 1);
        add(&seed, alterations, kind % 4 * sizeof(alterations[0]));
        snprintf(name, sizeof(name), "kind-%u", kind);
        keep("fuzz_state", name, &seed);
    }
}

static void add_section(struct seed *seed, const char *name, size_t length)
{
    char field[16] = "";

    memcpy(field, name, strlen(name));
    add(seed, field, sizeof(field));
    add_number(seed, 0, 4);
    add_number(seed, 1, 4); /* the version */
    add_number(seed, length, 4);
    add_number(seed, 0, 4); /* the target makes the checksum fit */
}

/* A seal with a base, and chains of memory files: their number, then of each its map, its holes, and whether it is cut. */
static void keep_snapshots(void)
{
    static const uint32_t maps[] = { 0x1fffffff, 0x15555555, 0x00300000, 0x20000000 };
    struct seed seed = { .size = 0 };
    char name[32];

    add_number(&seed, 1, 1);
    add_section(&seed, "seal", 16 + 8 + 1 + 8 + 6 + 16 + 24);
    add(&seed, "0123456789abcdef", 16);
    add_number(&seed, 1 << 20, 8);
    add_number(&seed, 1, 1);
    add_number(&seed, 6, 8);
    add(&seed, "../webfedcba9876543210", 22);
    add_number(&seed, 0x1234, 8);
    add_number(&seed, 1700000000, 8);
    add_number(&seed, 999999999, 8);
    add_section(&seed, "end", 0);
    keep("fuzz_snapshot", "seal", &seed);
    for (uint8_t count = 0; count < 4; count++) {
        seed.size = 0;
        add_number(&seed, 0, 1);
        add_number(&seed, count, 1);
        for (uint8_t i = 0; i <= count; i++) {
            add_number(&seed, maps[(count + i) % 4], 4);
            add_number(&seed, maps[i] >> 1, 4);
            add_number(&seed, 0, 1);
        }
        snprintf(name, sizeof(name), "chain-%u", count);
        keep("fuzz_snapshot", name, &seed);
    }
    /* What was touched: bytes of the map. */
    seed.size = 0;
    add_number(&seed, 2, 1);
    add(&seed, "\0\x10\x0f\1\x10\xff\3\x10\x1f", 9);
    keep("fuzz_snapshot", "touched", &seed);
}

/* A byte for the sender, and a message of each type, sound and with texts that do not end. */
static void keep_messages(void)
{
#define ROW(type, sender, payload, fds) { #type, type, sender, sizeof(payload) },
    static const struct {
        const char *name;
        uint32_t type;
        uint8_t sender;
        uint32_t length;
    } rows[] = { MESSAGES(ROW) };
#undef ROW
    static uint8_t payload[sizeof(struct message)];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct message_header header = { .type = rows[i].type, .length = rows[i].length, .id = 1 };
        struct seed seed = { .size = 0 };

        memset(payload, i % 2 ? 'x' : 0, sizeof(payload));
        if (rows[i].type == EVENT_EXITED)
            payload[0] = 1, payload[1] = payload[2] = payload[3] = 0; /* an end */
        add_number(&seed, rows[i].sender, 1);
        add(&seed, &header, sizeof(header));
        add(&seed, payload, rows[i].length);
        keep("fuzz_protocol", rows[i].name, &seed);
    }
}

/* As fuzz_vm_process.c reads it: a message of TYPE with ID, whose payload begins with BYTES. */
static void add_sent(struct seed *seed, uint8_t type, uint8_t id, const void *bytes, size_t length)
{
    add_number(seed, 4, 1);
    add_number(seed, type, 1);
    add_number(seed, id, 1);
    add_number(seed, length, 1);
    add(seed, bytes, length);
}

/* Requests (0), and what a monitor sends: sound answers and events, twice, without end, of nobody's; and its hanging up (2). */
static void keep_monitor_streams(void)
{
    static const struct answer lie = { .paused = 7, .error_number = -5, .message = "\x1b" };
    static const uint32_t ends[] = { 1, 77 };
    static const uint8_t requests[12];
    struct seed seed = { .size = 0 };

    add(&seed, requests, 1);
    add_sent(&seed, MESSAGE_ANSWER, 1, &lie, 16);
    add(&seed, requests, 2);
    add_sent(&seed, MESSAGE_ANSWER, 3, NULL, 0);
    add_sent(&seed, MESSAGE_ANSWER, 2, NULL, 0);
    add_sent(&seed, MESSAGE_ANSWER, 2, NULL, 0);
    keep("fuzz_vm_process", "answers", &seed);
    seed.size = 0;
    add(&seed, requests, sizeof(requests));
    for (uint8_t id = 0; id < 20; id++)
        add_sent(&seed, MESSAGE_ANSWER, id, NULL, 0);
    add(&seed, "\2\0", 2);
    keep("fuzz_vm_process", "many", &seed);
    seed.size = 0;
    add(&seed, requests, 1);
    for (unsigned int i = 0; i < 20; i++)
        add_sent(&seed, MESSAGE_ANSWER, 9, NULL, 0);
    keep("fuzz_vm_process", "flood", &seed);
    for (size_t i = 0; i < 2; i++) {
        seed.size = 0;
        for (unsigned int times = 0; times < 2; times++) {
            add_sent(&seed, EVENT_TERMINAL_WANTED, 0, NULL, 0);
            add_sent(&seed, EVENT_STARTED, 0, NULL, 0);
            add_sent(&seed, EVENT_EXITED, 0, &ends[i], sizeof(ends[i]));
        }
        keep("fuzz_vm_process", i == 0 ? "events" : "no-end", &seed);
    }
    seed.size = 0;
    add(&seed, requests, 1);
    add(&seed, "\3\0\0\7message", 11);
    keep("fuzz_vm_process", "no-message", &seed);
}

int main(int argc, char **argv)
{
    static const struct poke low[] = {
        { HEADER_FIELD(pref_address), 0x100000 },
        { HEADER_FIELD(kernel_alignment), 4096 },
        { HEADER_FIELD(init_size), 0x8000 },
    };
    struct crafted bzimage, elf, pvh, pvh32;

    if (argc != 2)
        return 2;
    corpus = argv[1];
    craft_bzimage(&bzimage);
    craft_elf(&elf, false);
    craft_elf(&pvh, true);
    craft_elf32(&pvh32, true);
    keep_kernel("fuzz_linux64", &bzimage);
    keep_kernel("fuzz_elf64", &elf);
    keep_kernel("fuzz_pvh", &pvh);
    keep_kernel32("fuzz_elf64", &pvh32);
    keep_kernel32("fuzz_pvh", &pvh32);
    keep_boot("pvh32", 2 | 3 << 4, "quiet", 100, 0, &pvh32);
    keep_looks();
    keep_boot("linux64-acpi", 2, "console=ttyS0", 100, 0, &bzimage);
    keep_boot("elf64-fdt", 2 | 1 << 4 | 1 << 8, "quiet", 600, 0, &elf);
    keep_boot("pvh-cmdline", 3 | 3 << 2 | 2 << 4 | 2 << 6 | 2 << 8, "a -- b", 0, 0, &pvh);
    keep_boot("huge-initrd", 2 | 1 << 15, "", 300, 0, &bzimage);
    /* Right above 1 MiB in a guest of 2 MiB, which the initrd fills, or exceeds by a page. */
    for (size_t i = 0; i < sizeof(low) / sizeof(low[0]); i++)
        craft_poke(&bzimage, &low[i]);
    keep_boot("full-2m", 0, "", 0, (0x100000 - 0x8000) / 4096, &bzimage);
    keep_boot("overfull-2m", 0, "", 0, (0x100000 - 0x8000) / 4096 + 1, &bzimage);
    KEEP_WORDS("good", "--kernel\0a\0--cpus=4\0--memory\0002GiB\0--describe\0fdt\0--timeline");
    KEEP_WORDS("bad", "--kernal\0x\0--cpus\00099999999999999999999");
    keep_ioapic();
    keep_serial();
    keep_states();
    keep_snapshots();
    keep_messages();
    keep_monitor_streams();
    return 0;
}
