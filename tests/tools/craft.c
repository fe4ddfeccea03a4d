/* SPDX-License-Identifier: Apache-2.0 */
/*
 * craft bzimage|elf FILE [FIELD=VALUE]...
 *
 * Writes the smallest kernel of its kind that boots (and ends at once by a
 * triple fault), then sets the fields named: those of Linux's setup_header, or
 * of the ELF header, the loadable segment (load.…), the note segment (note.…)
 * and the PVH note itself (pvh.…).  "size=N" cuts or extends the file at last.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IMAGE_MAX 0x4000
#define LOAD_ADDRESS 0x100000
#define UD2 0x0b0f

struct field {
    const char *name;
    size_t offset, width;
    uint64_t initial;
};

#define SETUP_SIZE 0x400
#define BZIMAGE_SIZE (SETUP_SIZE + 0x1000)

/* Documentation/arch/x86/boot.rst, "the real-mode kernel header". */
static const struct field bzimage_fields[] = {
    { "setup_sects", 0x1f1, 1, SETUP_SIZE / 512 - 1 },
    { "syssize", 0x1f4, 4, 0x1000 / 16 },
    { "boot_flag", 0x1fe, 2, 0xaa55 },
    { "jump", 0x200, 2, 0x6aeb },
    { "magic", 0x202, 4, 0x53726448 },
    { "version", 0x206, 2, 0x020f },
    { "loadflags", 0x211, 1, 1 },
    { "initrd_addr_max", 0x22c, 4, 0x7fffffff },
    { "kernel_alignment", 0x230, 4, 0x100000 },
    { "relocatable_kernel", 0x234, 1, 1 },
    { "xloadflags", 0x236, 2, 1 },
    { "cmdline_size", 0x238, 4, 2047 },
    { "payload_offset", 0x248, 4, 0x300 },
    { "payload_length", 0x24c, 4, 0x100 },
    { "pref_address", 0x258, 8, LOAD_ADDRESS },
    { "init_size", 0x260, 4, 0x10000 },
    { "entry", SETUP_SIZE + 0x200, 2, UD2 },
    { NULL, 0, 0, 0 },
};

#define LOAD sizeof(Elf64_Ehdr)
#define NOTE (LOAD + sizeof(Elf64_Phdr))
#define PVH_AT 0x200
#define CODE_AT 0x1000
#define ELF_SIZE (CODE_AT + 0x100)
#define OF(at, type, member) (at) + offsetof(type, member), sizeof(((type *)NULL)->member)
#define EHDR(member) #member, OF(0, Elf64_Ehdr, member)
#define LOAD_FIELD(member) "load." #member, OF(LOAD, Elf64_Phdr, member)
#define NOTE_FIELD(member) "note." #member, OF(NOTE, Elf64_Phdr, member)

static const struct field elf_fields[] = {
    { "magic", 0, 4, 0x464c457f },
    { "class", EI_CLASS, 1, ELFCLASS64 },
    { "data", EI_DATA, 1, ELFDATA2LSB },
    { "ident_version", EI_VERSION, 1, EV_CURRENT },
    { EHDR(e_type), ET_EXEC },
    { EHDR(e_machine), EM_X86_64 },
    { EHDR(e_version), EV_CURRENT },
    { EHDR(e_entry), LOAD_ADDRESS },
    { EHDR(e_phoff), LOAD },
    { EHDR(e_ehsize), sizeof(Elf64_Ehdr) },
    { EHDR(e_phentsize), sizeof(Elf64_Phdr) },
    { EHDR(e_phnum), 2 },
    { LOAD_FIELD(p_type), PT_LOAD },
    { LOAD_FIELD(p_flags), PF_R | PF_W | PF_X },
    { LOAD_FIELD(p_offset), CODE_AT },
    { LOAD_FIELD(p_vaddr), LOAD_ADDRESS },
    { LOAD_FIELD(p_paddr), LOAD_ADDRESS },
    { LOAD_FIELD(p_filesz), ELF_SIZE - CODE_AT },
    { LOAD_FIELD(p_memsz), 0x1000 },
    { NOTE_FIELD(p_type), PT_NOTE },
    { NOTE_FIELD(p_offset), PVH_AT },
    { NOTE_FIELD(p_paddr), 0 },
    { NOTE_FIELD(p_filesz), 20 },
    { NOTE_FIELD(p_memsz), 20 },
    { "pvh.namesz", PVH_AT, 4, 4 },
    { "pvh.descsz", PVH_AT + 4, 4, 4 },
    { "pvh.type", PVH_AT + 8, 4, 18 },
    { "pvh.name", PVH_AT + 12, 4, 0x006e6558 },
    { "pvh.entry", PVH_AT + 16, 4, LOAD_ADDRESS },
    { "code", CODE_AT, 2, UD2 },
    { NULL, 0, 0, 0 },
};

static void set(uint8_t *image, const struct field *field, uint64_t value)
{
    for (size_t i = 0; i < field->width; i++)
        image[field->offset + i] = (uint8_t)(value >> (8 * i));
}

/* Sets "NAME=VALUE"; false for a name that is in no table or a value that is no number. */
static bool set_named(uint8_t *image, const struct field *fields, const char *text)
{
    size_t length = strcspn(text, "=");
    char *end;
    uint64_t value;

    if (text[length] != '=')
        return false;
    errno = 0;
    value = strtoull(text + length + 1, &end, 0);
    for (; fields->name; fields++) {
        if (strlen(fields->name) != length || strncmp(fields->name, text, length) != 0)
            continue;
        set(image, fields, value);
        return errno == 0 && *end == '\0';
    }
    return false;
}

int main(int argc, char **argv)
{
    static uint8_t image[IMAGE_MAX];
    const struct field *fields;
    off_t size;
    int fd;

    if (argc < 3)
        return 2;
    fields = strcmp(argv[1], "elf") == 0 ? elf_fields : bzimage_fields;
    size = fields == elf_fields ? ELF_SIZE : BZIMAGE_SIZE;
    for (const struct field *field = fields; field->name; field++)
        set(image, field, field->initial);
    for (int i = 3; i < argc; i++) {
        if (strncmp(argv[i], "size=", 5) == 0) {
            size = (off_t)strtoll(argv[i] + 5, NULL, 0);
        } else if (!set_named(image, fields, argv[i])) {
            fprintf(stderr, "craft: %s: is no field and number\n", argv[i]);
            return 2;
        }
    }
    fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, image, sizeof(image)) != (ssize_t)sizeof(image) ||
        ftruncate(fd, size) < 0 || close(fd) < 0) {
        perror(argv[2]);
        return 1;
    }
    return 0;
}
