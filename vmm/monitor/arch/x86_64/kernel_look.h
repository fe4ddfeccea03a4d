/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_X86_KERNEL_LOOK_H
#define MOTE_X86_KERNEL_LOOK_H

/*
 * What a Linux kernel's file tells of how it can learn of the machine.
 *
 * A kernel without ACPI that is described by ACPI alone finds no interrupt
 * controller and no timer, and stands still before its first message.  So
 * `--describe auto` looks first:
 *
 *   vmlinux   the section of what is needed at the start alone (.init.data) has
 *             the names of the command line's options and the table of early
 *             consoles; one that has no sections is looked through as a whole
 *   bzImage   all that is packed says nothing, but its unpacker looks for ACPI's
 *             root pointer, since Linux 5.5 (boot protocol 2.15) whenever the
 *             kernel has ACPI
 *
 * These are heuristics: what is found decides what a guest is told, and what is
 * said about its console, but nothing is believed of it.  The file is hostile.
 */

#include <stdbool.h>

#include "vmm/machine/image.h"

struct kernel_look {
    bool is_linux;    /* it is one, and what follows is known */
    bool packed;      /* of its parts only the unpacker was seen */
    bool acpi;        /* it reads ACPI's tables */
    bool device_tree; /* it takes Mote's device tree; of a bzImage only a guess */
    bool serial;      /* it has the driver of the serial console; true where that cannot be known */
};

struct kernel_look kernel_look_at(const struct image *kernel);

#endif
