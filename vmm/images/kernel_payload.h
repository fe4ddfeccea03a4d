/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_KERNEL_PAYLOAD_H
#define MOTE_IMAGES_KERNEL_PAYLOAD_H

/*
 * The vmlinux inside of a bzImage (Documentation/arch/x86/boot.rst: setup_sects,
 * payload_offset, payload_length), which is an ELF file compressed by gzip, xz,
 * zstd, LZ4 and others.  Behind all but gzip's the kernel's build puts four bytes
 * with the unpacked size, which are none of the compressed format.
 */

#include <stdint.h>

#include "vmm/base/error.h"

/* Linux has some 60 MiB unpacked, and more only with debugging information. */
#define KERNEL_PAYLOAD_MAX (512ull << 20)

/* Writes the vmlinux of the bzImage FROM, a file, to TO; no more than KERNEL_PAYLOAD_MAX. */
int kernel_payload_unpack(int from, int to, struct error *error);

#endif
