/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/monitor/boot/loading.h"

#include <errno.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/machine/arch_facts.h"
#include "vmm/monitor/boot/elf_image.h"

/* Of the least page that a kernel may have; one with larger pages rounds by itself. */
#define ALIGNMENT_MASK 4095ull

int loading_needs_memory(const struct image *image, const struct load_area *area, uint64_t end,
                         struct error *error)
{
    uint64_t first = guest_memory_region(area->memory, 0).address;

    if (end > area->limit)
        return error_set(error, EINVAL,
                         "%s %s: asks for memory at 0x%llx, where no RAM can be; "
                         "use another kernel",
                         image->role, image->path, (unsigned long long)end);
    return error_set(error, ENOMEM,
                     "%s %s: does not fit in %llu MiB of guest memory; give --memory %lluM or more",
                     image->role, image->path,
                     (unsigned long long)(guest_memory_size(area->memory) >> 20),
                     (unsigned long long)((end - first + (1u << 20) - 1) >> 20));
}

int loading_place_initrd(const struct image *initrd, const struct load_area *area, uint64_t floor, uint64_t end_max,
                         struct guest_range *place, struct error *error)
{
    uint64_t limit = (end_max < area->limit ? end_max : area->limit) & ~ALIGNMENT_MASK;
    uint64_t end = area->ram.address + area->ram.size;
    uint64_t room;

    floor = (floor + ALIGNMENT_MASK) & ~ALIGNMENT_MASK;
    if (end > limit)
        end = limit;
    /* More RAM only helps where the kernel could use it. */
    if (floor >= limit || initrd->size > limit - floor)
        return error_set(error, EFBIG,
                         "initrd %s: %llu KiB do not fit between the kernel and 0x%llx, below "
                         "which it wants them; use a smaller one", initrd->path,
                         (unsigned long long)(initrd->size >> 10), (unsigned long long)limit);
    room = (initrd->size + ALIGNMENT_MASK) & ~ALIGNMENT_MASK;
    if (floor + room > end)
        return loading_needs_memory(initrd, area, floor + room, error);
    *place = (struct guest_range){ .address = end - room, .size = initrd->size };
    return image_load(initrd, 0, initrd->size, area->memory, place->address, error);
}

enum remedy { UNPACK, NAME_A_KERNEL, NAME_ONE_FOR_THIS };

/* Files that people name by mistake, told by bytes at a fixed place. */
static const struct {
    uint64_t offset;
    const char *bytes;
    size_t length;
    const char *what;
    enum remedy remedy;
} mistakes[] = {
    { 0x38, "ARM\x64", 4, "is a kernel for 64-bit Arm", NAME_ONE_FOR_THIS },
    { 0x38, "RSC\x05", 4, "is a kernel for RISC-V", NAME_ONE_FOR_THIS },
    { 0x202, "HdrS", 4, "is a bzImage, a kernel for x86", NAME_ONE_FOR_THIS },
    { 4, "zimg", 4, "is an EFI zboot kernel, of another architecture", NAME_A_KERNEL },
    { 0, "\x1f\x8b", 2, "is compressed by gzip; unpack it first (gunzip)", UNPACK },
    { 0, "\xfd" "7zXZ", 5, "is compressed by xz; unpack it first (unxz)", UNPACK },
    { 0, "\x28\xb5\x2f\xfd", 4, "is compressed by zstd; unpack it first (unzstd)", UNPACK },
    { 0, "BZh", 3, "is compressed by bzip2; unpack it first (bunzip2)", UNPACK },
    { 0, "\x02\x21\x4c\x18", 4, "is compressed by lz4; unpack it first (unlz4)", UNPACK },
    { 0, "QFI\xfb", 4, "is a disk image", NAME_A_KERNEL },
    { 0, "070701", 6, "is a cpio archive, which belongs to --initrd", NAME_A_KERNEL },
    { 0, "\xd0\x0d\xfe\xed", 4, "is a device tree", NAME_A_KERNEL },
    { 0, "#!", 2, "is a script", NAME_A_KERNEL },
    { 0, "!<arch>", 7, "is an archive (a .deb?); unpack the kernel from it first", UNPACK },
    { 0, "MZ", 2, "is an EFI program without a Linux boot header", NAME_A_KERNEL },
};

static int refuse(const struct image *image, const char *what, enum remedy remedy, struct error *error)
{
    switch (remedy) {
    case UNPACK:
        return error_set(error, EINVAL, "kernel %s: %s", image->path, what);
    case NAME_ONE_FOR_THIS:
        return error_set(error, EINVAL, "kernel %s: %s; use one for %s", image->path, what, arch_elf_target.name);
    case NAME_A_KERNEL:
        break;
    }
    return error_set(error, EINVAL, "kernel %s: %s; name %s", image->path, what, arch_kernel_formats);
}

int loading_unknown_kernel(const struct image *image, struct error *error)
{
    for (size_t i = 0; i < ARRAY_LENGTH(mistakes); i++) {
        struct error ignored = ERROR_INIT;
        char bytes[8];

        if (image_read(image, mistakes[i].offset, bytes, mistakes[i].length, &ignored) == 0 &&
            memcmp(bytes, mistakes[i].bytes, mistakes[i].length) == 0)
            return refuse(image, mistakes[i].what, mistakes[i].remedy, error);
    }
    return refuse(image, "is no kernel that Mote knows", NAME_A_KERNEL, error);
}
