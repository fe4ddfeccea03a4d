/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_X86_FDT_X86_H
#define MOTE_X86_FDT_X86_H

/* Not fdt.h: libfdt has a header of that name, and this folder is on the include path. */

#include <stddef.h>

#include "vmm/base/error.h"
#include "vmm/machine/guest_memory.h"
#include "vmm/machine/machine.h"

/*
 * Describes MACHINE by a device tree in BUFFER, which is 8-byte aligned and
 * holds CAPACITY bytes; yields the tree's *SIZE.  INITRD of size 0 is none.
 *
 * Linux on x86 has one set of bindings, those of Intel's CE4100:
 *
 *   - CPUs: `reg` is the local APIC's ID;
 *   - intel,ce4100-lapic, where `intel,virtual-wire-mode` says that no 8259
 *     stands before it (Linux 6.3 on);
 *   - intel,ce4100-ioapic, with two cells for an interrupt: the input, and a
 *     sense that Linux takes as an index: 0 edge low, 1 level high, 2 level
 *     low, 3 edge high;
 *   - the serial port below a node named `isa`, whose addresses are a cell with
 *     bit 0 for I/O space and a cell with the port.  Linux translates them by
 *     code that it builds with CONFIG_PCI only;
 *   - syscon-poweroff and syscon-reboot, which need registers in memory.
 *
 * On x86-64 CONFIG_OF alone does not read a flat tree: the reader comes with
 * CONFIG_OF_EARLY_FLATTREE, which CONFIG_CLK_LGM_CGU selects.
 *
 * Memory map, command line and initrd come to an x86 kernel by boot_params;
 * they stand here for tools that read the tree.
 *
 * -ENOSPC with a message when BUFFER is too small.
 */
int fdt_build_x86(const struct machine *machine, const char *command_line,
                  struct guest_range initrd, void *buffer, size_t capacity, size_t *size,
                  struct error *error);

#endif
