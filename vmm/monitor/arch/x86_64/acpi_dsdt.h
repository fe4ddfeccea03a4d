/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_X86_ACPI_DSDT_H
#define MOTE_X86_ACPI_DSDT_H

#include "vmm/monitor/boot/aml.h"
#include "vmm/machine/machine.h"

/* The definition block of MACHINE, without the table header: see acpi_write(). */
void acpi_dsdt_write(struct aml *aml, const struct machine *machine);

#endif
