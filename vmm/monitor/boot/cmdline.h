/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CMDLINE_H
#define MOTE_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/error.h"
#include "vmm/machine/machine.h"

/*
 * Makes the guest's command line in LINE, which holds CAPACITY bytes with the
 * final NUL: the kernel's limit or the room in guest memory, whichever is less.
 *
 * It is the USER's text, which must not hold control characters.  Where
 * machine->describe is DESCRIBE_CMDLINE, each virtio-mmio window is added as
 * " virtio_mmio.device=SIZE@BASE:IRQ" in the form of Linux's virtio_mmio driver.
 * Where the kernel SEEKS_PCI, "pci=off" is added unless the text sets pci or has no
 * room left.  Both go before a bare "--" (command_line.h).
 *
 * -EINVAL or -E2BIG with a message; then LINE is empty.
 */
int cmdline_build(const struct machine *machine, bool seeks_pci, const char *user, char *line,
                  size_t capacity, struct error *error);

#endif
