/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_KERNEL_PAYLOAD_H
#define MOTE_IMAGES_KERNEL_PAYLOAD_H

/*
 * The kernel inside of a packed one (arch_kernel_payload()), compressed by gzip, xz,
 * zstd, LZ4 and others.
 */

#include <stdint.h>

#include "vmm/base/error.h"

/* Linux has some 60 MiB unpacked, and more only with debugging information. */
#define KERNEL_PAYLOAD_MAX (512ull << 20)

/* Writes what is packed in the kernel FROM, a file, to TO; no more than KERNEL_PAYLOAD_MAX. */
int kernel_payload_unpack(int from, int to, struct error *error);

#endif
