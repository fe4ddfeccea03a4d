/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_FUZZ_LOAD_H
#define MOTE_FUZZ_LOAD_H

/*
 * One protocol's loader on a kernel file.  The input begins with a byte for the
 * guest's memory and the file's ways (see fuzz_load.c); the file follows.
 */

#include "vmm/monitor/arch/x86_64/boot.h"

void fuzz_load(const struct boot_protocol *protocol, const uint8_t *data, size_t size);

#endif
