/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bzImage by its 64-bit entry point (Documentation/arch/x86/boot.rst, boot
 * protocol 2.12 or newer).
 *
 * The file is setup code of (setup_sects + 1) * 512 bytes, which a 64-bit entry
 * never runs, followed by the protected-mode kernel: a decompressor with its
 * payload, entered at offset 0x200.  The decompressor unpacks inside
 * [load address, load address + init_size), so all of that must be RAM.
 */

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "boot.h"
#include "layout.h"

#define HEADER_OFFSET 0x1f1u
#define BOOT_FLAG 0xaa55u
#define HEADER_MAGIC 0x53726448u /* "HdrS" */
#define MAGIC_OFFSET 0x202u
#define VERSION_MIN 0x020cu /* the first with xloadflags */
#define SECTOR 512u
#define ENTRY_64_OFFSET 0x200u
#define LOADER_UNDEFINED 0xffu

_Static_assert(offsetof(struct boot_params, hdr) == HEADER_OFFSET, "boot.rst: the header's place");
_Static_assert(offsetof(struct setup_header, header) == MAGIC_OFFSET - HEADER_OFFSET,
               "boot.rst: the magic's place");

static bool probe(const struct image *image)
{
    struct error ignored = ERROR_INIT;
    uint32_t magic;

    return image_read(image, MAGIC_OFFSET, &magic, sizeof(magic), &ignored) == 0 &&
           magic == HEADER_MAGIC;
}

static int lies(const struct image *image, const char *what, struct error *error)
{
    return error_set(error, EINVAL, "kernel %s: damaged bzImage header (%s); fetch the kernel again",
                     image->path, what);
}

static int no_bzimage(const struct image *image, struct error *error)
{
    return error_set(error, EINVAL,
                     "kernel %s: is no bzImage (no boot signature); name a bzImage or vmlinux",
                     image->path);
}

/* Copies as much of the header as the image says it has; the rest stays zero. */
static int read_header(const struct image *image, struct setup_header *header, struct error *error)
{
    uint8_t start[SECTOR + 0x100];
    size_t length;
    int result;

    if (!probe(image))
        return no_bzimage(image, error);
    result = image_read(image, 0, start, sizeof(start), error);
    if (result < 0)
        return result;
    /* The byte at 0x201 is the jump's displacement: it counts from 0x202. */
    length = MAGIC_OFFSET - HEADER_OFFSET + start[0x201];
    if (length > sizeof(*header))
        length = sizeof(*header);
    memset(header, 0, sizeof(*header));
    memcpy(header, start + HEADER_OFFSET, length);
    return 0;
}

static int check_header(const struct image *image, const struct setup_header *header,
                        struct error *error)
{
    if (header->boot_flag != BOOT_FLAG || header->header != HEADER_MAGIC)
        return no_bzimage(image, error);
    if (header->version < VERSION_MIN)
        return error_set(error, EINVAL,
                         "kernel %s: boot protocol %u.%02u is too old; Mote needs 2.12 "
                         "(Linux 3.8 or newer)",
                         image->path, header->version >> 8, header->version & 0xff);
    if (!(header->loadflags & LOADED_HIGH))
        return error_set(error, EINVAL,
                         "kernel %s: is a zImage, loaded low; build it as bzImage", image->path);
    if (!(header->xloadflags & XLF_KERNEL_64))
        return error_set(error, EINVAL,
                         "kernel %s: has no 64-bit entry point (a 32-bit kernel); "
                         "use one built for amd64",
                         image->path);
    if (header->kernel_alignment < 4096 ||
        (header->kernel_alignment & (header->kernel_alignment - 1)) != 0)
        return lies(image, "kernel_alignment is no power of two", error);
    if (header->init_size == 0)
        return lies(image, "init_size is 0", error);
    if (header->cmdline_size == 0)
        return lies(image, "cmdline_size is 0", error);
    return 0;
}

/*
 * The protected-mode kernel's place in the file.  syssize counts 16-byte units
 * and may round up; a signature may follow, so the file can be longer.
 */
static int find_kernel(const struct image *image, const struct setup_header *header,
                       uint64_t *offset, uint64_t *length, struct error *error)
{
    uint64_t setup_size = ((header->setup_sects ? header->setup_sects : 4) + 1ull) * SECTOR;
    uint64_t wanted = header->syssize * 16ull;
    uint64_t present;

    if (setup_size >= image->size)
        return lies(image, "setup_sects reaches beyond the file", error);
    present = image->size - setup_size;
    if (wanted > present + 15)
        return error_set(error, EINVAL,
                         "kernel %s: the file ends too early (truncated: %llu of %llu bytes); "
                         "fetch the kernel again",
                         image->path, (unsigned long long)present, (unsigned long long)wanted);
    if (wanted == 0 || wanted > present)
        wanted = present;
    if (wanted <= ENTRY_64_OFFSET)
        return lies(image, "syssize leaves no room for the entry point", error);
    if (header->payload_offset > wanted || header->payload_length > wanted - header->payload_offset)
        return lies(image, "the payload reaches beyond the file", error);
    *offset = setup_size;
    *length = wanted;
    return 0;
}

/*
 * Where the kernel goes.  A relocatable x86-64 kernel moves itself up to its
 * pref_address when it finds itself below, so a place lower than that would
 * only hide the need for RAM up there: it is loaded at pref_address, or just
 * above 1 MiB where that lies lower.
 */
static int place_kernel(const struct image *image, const struct setup_header *header,
                        const struct load_area *area, uint64_t length,
                        struct guest_range *place, struct error *error)
{
    struct guest_range ram = area->ram;
    uint64_t mask = header->kernel_alignment - 1ull;
    uint64_t address = header->pref_address;
    uint64_t size = header->init_size > length ? header->init_size : length;

    if (address < LAYOUT_HIGH_RAM || (address & mask)) {
        if (!header->relocatable_kernel)
            return lies(image, "pref_address is below 1 MiB or unaligned", error);
        if (address < LAYOUT_HIGH_RAM)
            address = LAYOUT_HIGH_RAM;
        if (address > UINT64_MAX - mask)
            return lies(image, "pref_address is out of range", error);
        address = (address + mask) & ~mask;
    }
    if (address >= LAYOUT_IDENTITY_MAPPED || size > LAYOUT_IDENTITY_MAPPED - address)
        return lies(image, "pref_address and init_size reach beyond 1 GiB", error);
    if (address < ram.address || address - ram.address >= ram.size ||
        size > ram.size - (address - ram.address))
        return loading_needs_memory(image, area, address + size, error);
    *place = (struct guest_range){ .address = address, .size = size };
    return 0;
}

static int load(const struct image *image, struct guest_memory *memory,
                struct loaded_kernel *kernel, struct error *error)
{
    struct setup_header *header = &kernel->header;
    struct load_area area = boot_load_area(memory);
    uint64_t offset = 0, length = 0;
    int result;

    if ((result = read_header(image, header, error)) < 0 ||
        (result = check_header(image, header, error)) < 0 ||
        (result = find_kernel(image, header, &offset, &length, error)) < 0 ||
        (result = place_kernel(image, header, &area, length, &kernel->range, error)) < 0 ||
        (result = image_load(image, offset, length, memory, kernel->range.address, error)) < 0)
        return result;

    kernel->entry = kernel->range.address + ENTRY_64_OFFSET;
    kernel->initrd_end_max = header->initrd_addr_max + 1ull;
    kernel->command_line_max = header->cmdline_size;
    header->type_of_loader = LOADER_UNDEFINED;
    return 0;
}

const struct boot_protocol boot_linux64 = {
    .name = "linux64",
    .takes_setup_data = true,
    .probe = probe,
    .load = load,
    .hand_over = boot_params_write,
};
