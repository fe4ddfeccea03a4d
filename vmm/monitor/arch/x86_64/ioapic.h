/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_X86_IOAPIC_H
#define MOTE_X86_IOAPIC_H

/*
 * A user-space IOAPIC (Intel 82093AA, with the EOI register of version 0x20).
 *
 * KVM keeps the local APICs in the kernel; the IOAPIC alone lives here ("split
 * irqchip").  Creating a VM then costs 45 to 70 us less than with KVM's PIC,
 * IOAPIC and PIT, ending it waits for no SRCU grace period, and the host kernel
 * shows the guest that much less.  An interrupt becomes one message to a
 * local APIC, sent by the callback: KVM_SIGNAL_MSI in the monitor, a recorder
 * in tests.
 *
 * All of Mote's lines are edge-triggered in the tables that the guest reads.
 * A guest that programs a pin as level against them gets one interrupt, and the
 * next once it wrote the EOI register: KVM passes on the local APICs' own
 * end-of-interrupt only for routed pins, and none is.
 */

#include "devices/device.h"
#include "vmm/machine/irq_line.h"

struct ioapic_options {
    /* What the version register tells, 1 to LAYOUT_IOAPIC_PINS.  All pins are there;
     * but Linux reads and writes each one that it is told of, four to eight exits each. */
    unsigned int pins;
    /* Sends one message-signalled interrupt. */
    void (*send)(void *context, uint64_t address, uint32_t data);
    void *context;
};

extern const struct device_ops ioapic_ops;

/* The line into pin NUMBER; out of range yields a line that is not connected. */
struct irq_line ioapic_line(struct device *ioapic, uint32_t number);

#endif
