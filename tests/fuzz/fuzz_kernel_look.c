/* SPDX-License-Identifier: Apache-2.0 */
/* What a kernel's file tells of itself: the input is a byte for the file's ways, then the file, holes behind it. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/machine/arch_facts.h"
#include "vmm/monitor/arch/x86_64/kernel_look.h"

/* Of the ways: how many MiB of hole; the file ends sooner than it said, or answers otherwise later. */
#define WAY_HOLE(ways) ((ways) & 3u)
#define WAY_SHRINKS (1u << 2)
#define WAY_CHANGES (1u << 3)
#define WAY_HUGE (1u << 4)

static bool holds(const struct fuzz_file *file, const char *text)
{
    return memmem(file->content.bytes, file->content.size, text, strlen(text)) != NULL;
}

/* Of any number of first bytes: the place is that of a packed kernel, and within what its fields can say. */
static void look_for_payload(const uint8_t *bytes, size_t length)
{
    struct packed_kernel kernel = { .offset = 0 };

    if (arch_kernel_payload(bytes, length, &kernel))
        return;
    fuzz_require(arch_kernel_is_packed(bytes, length));
    fuzz_require(kernel.offset >= 1024 && kernel.offset <= 257 * 512 + 0xffffffffull && kernel.length <= UINT32_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, size };
    unsigned int ways = (unsigned int)fuzz_take(&input, 1);
    struct fuzz_file file = { .content = input };
    struct kernel_look look;
    struct image image;

    if (input.size == 0)
        return 0;
    look_for_payload(input.bytes, input.size);
    file.size = file.true_size = input.size + ((uint64_t)WAY_HOLE(ways) << 20);
    /* So large that what is read of a hole would never end; the first read there does. */
    if (ways & WAY_HUGE)
        file.size = 1ull << 62;
    if (ways & WAY_SHRINKS)
        file.true_size = input.size / 2;
    if (ways & WAY_CHANGES) {
        file.change_at = input.bytes[input.size - 1] % 4 + 1;
        file.change_offset = (size_t)input.bytes[input.size / 2] * 4 % input.size;
    }
    image = fuzz_image(FUZZ_KERNEL, &file);
    look = kernel_look_at(&image);
    /* Nothing is found that is not there. */
    if (!(ways & WAY_CHANGES)) {
        fuzz_require(!look.acpi || holds(&file, "acpi_os_name=") || holds(&file, "RSD PTR "));
        fuzz_require(!look.is_linux || holds(&file, "rdinit=") || holds(&file, "HdrS"));
    }
    fuzz_require(file.reads < 2200);
    return 0;
}
