/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_MACHINE_H
#define MOTE_MACHINE_H

/*
 * The machine as plain records: what vm.c decides and the architecture writes
 * into ACPI tables, a device tree or the command line.  Nobody but vm.c turns
 * a record into a device.
 */

#include <stddef.h>
#include <stdint.h>

#include "vmm/machine/guest_memory.h"

#define MACHINE_CPUS_MAX 64
#define MACHINE_DEVICES_MAX 112

enum device_kind {
    DEVICE_SERIAL,      /* 16550A */
    DEVICE_POWER,       /* ACPI sleep control, sleep status and reset registers */
    DEVICE_PVPANIC,     /* tells of a guest panic */
    DEVICE_BOOT_MARK,   /* puts the guest's marks on the timeline */
    DEVICE_VIRTIO_MMIO, /* one virtio-mmio window */
    DEVICE_ARCH,        /* one that this architecture alone has: its record names the code */
    DEVICE_KIND_COUNT,
};

enum address_space { ADDRESS_MMIO, ADDRESS_PORT };

struct device_ops;

/* The irq of a device that interrupts nobody. */
#define MACHINE_NO_IRQ UINT32_MAX

struct machine_device {
    enum device_kind kind;
    enum address_space space;
    uint64_t base;
    uint64_t size;
    uint32_t irq; /* the interrupt controller's input */
    const struct device_ops *ops; /* of a DEVICE_ARCH; the others' are the registry's */
};

/* How the guest kernel learns of the machine.  AUTO: as the architecture sees fit by the kernel's
 * file, for Linux without ACPI in it one of the others. */
enum describe { DESCRIBE_ACPI, DESCRIBE_FDT, DESCRIBE_CMDLINE, DESCRIBE_AUTO, DESCRIBE_COUNT };

struct machine {
    struct guest_memory *memory;
    unsigned int cpu_count; /* 1 to MACHINE_CPUS_MAX */
    enum describe describe;
    const struct machine_device *devices;
    size_t device_count;
};

#endif
