/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VM_OPTIONS_H
#define MOTE_VM_OPTIONS_H

/* The options of the command line that make a struct vm_config: for all commands whose users describe a VM. */

#include "vmm/base/options.h"
#include "vmm/config/config.h"

#define VM_OPTION_ROWS (11 + DEVICE_TYPE_COUNT)

/* Into ROWS, of VM_OPTION_ROWS.  The target is a struct vm_config, or a structure that begins with one. */
void vm_option_rows(struct option_row *rows);

#endif
