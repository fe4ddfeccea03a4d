/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONFIG_H
#define MOTE_CONFIG_H

/* What a VM shall be, as the user said it: plain values with defaults. */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/error.h"
#include "vmm/log.h"
#include "vmm/machine.h"

enum console_kind { CONSOLE_SERIAL, CONSOLE_NONE, CONSOLE_KIND_COUNT };

/* Strings are the caller's and outlive the VM. */
struct vm_config {
    const char *kernel;
    const char *initrd; /* NULL for none */
    const char *command_line;
    const char *boot_protocol; /* NULL: detect it */
    const char *kvm_path;
    unsigned int cpus;
    uint64_t memory; /* bytes */
    enum console_kind console;
    enum describe describe;
};

/* One CPU, 256 MiB, a serial console, ACPI. */
struct vm_config vm_config_default(void);

/* Whether the values make a VM together; the message names what does not. */
int vm_config_check(const struct vm_config *config, struct error *error);

#endif
