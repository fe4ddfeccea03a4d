/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_FUZZ_H
#define MOTE_FUZZ_H

/*
 * What the fuzz targets share.
 *
 * Kernel files are served from the fuzzer's input by a pread() of our own
 * (--wrap=pread), without a system call.  It can also do what a hostile file
 * does: end sooner than fstat(2) said, and answer otherwise when it is read
 * again.
 *
 * Guest memory is mapped once and kept: fuzz_world_check() looks by mincore(2)
 * which pages a run touched, checks that all of them lie in what the loader
 * claimed, and gives them back.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "vmm/machine/guest_memory.h"
#include "vmm/machine/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An oracle: aborts with the line's number when CONDITION does not hold. */
#define fuzz_require(condition)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_failed(__FILE__, __LINE__, #condition);                                           \
    } while (0)
_Noreturn void fuzz_failed(const char *file, int line, const char *condition);

/* The input, taken from its front; zero where it has ended. */
struct fuzz_input {
    const uint8_t *bytes;
    size_t size;
};
uint64_t fuzz_take(struct fuzz_input *input, size_t width);
/* The next LENGTH bytes, or as many as there are. */
struct fuzz_input fuzz_take_bytes(struct fuzz_input *input, size_t length);

/* The two files that a run can have. */
enum fuzz_file_kind { FUZZ_KERNEL, FUZZ_INITRD, FUZZ_FILES };
struct fuzz_file {
    struct fuzz_input content;
    uint64_t size;          /* as fstat(2) told; zeros follow the content */
    uint64_t true_size;     /* where reads end */
    unsigned int change_at; /* the read from which on the answers differ; 0 for never */
    size_t change_offset;   /* of the byte that differs */
    unsigned int reads;
};
/* FILE stays the caller's while the image is used. */
struct image fuzz_image(enum fuzz_file_kind kind, struct fuzz_file *file);

#define FUZZ_MEMORIES 4
/* Guest memory number INDEX: 2, 16 and 64 MiB, and 32 MiB with 16 more at 4 GiB. */
struct guest_memory *fuzz_memory(unsigned int index);

/*
 * Requires that nothing outside of [0, 1 MiB) and the COUNT CLAIMED ranges was
 * touched, by pages; then the memory is as new.  COUNT 0 checks nothing.
 */
void fuzz_memory_reset(struct guest_memory *memory, const struct guest_range *claimed,
                       size_t count);

#endif
