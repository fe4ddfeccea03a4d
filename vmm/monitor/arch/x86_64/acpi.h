/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_X86_ACPI_H
#define MOTE_X86_ACPI_H

#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/machine/machine.h"

/*
 * Describes MACHINE to the guest by ACPI tables in [LAYOUT_ACPI, + SIZE), which
 * the memory map must reserve.  *RSDP_ADDRESS is where the root pointer lies;
 * it stands where a search of the BIOS area finds it as well.
 *
 * The DSDT has, below \_SB: for each CPU an ACPI0007, for the serial port a
 * PNP0501, for pvpanic a QEMU0001 and for each virtio-mmio window an LNRO0005
 * whose _UID counts from 0 in the order of MACHINE's records.  The DEVICE_POWER
 * record in port space becomes the FADT's sleep control, sleep status and reset
 * registers.  The other kinds need no description.
 *
 * -ENOSPC or -EFAULT with a message when the tables or the RAM are too small.
 */
int acpi_write(const struct machine *machine, uint64_t *rsdp_address, struct error *error);

#endif
