/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_GUEST_EVENT_H
#define MOTE_GUEST_EVENT_H

/*
 * What a guest can tell the monitor through a device: that it is done, that it
 * wants a reset, that its kernel panicked, or that it reached a point worth a
 * mark on the timeline.  Devices report; the VM's owner decides.
 */

#include <stdint.h>

enum guest_event {
    GUEST_POWER_OFF,
    GUEST_RESET,
    GUEST_PANICKED,
    GUEST_MARK,
};

struct guest_event_sink {
    /*
     * SOURCE is a literal that names the way ("ACPI power-off"); DETAIL is the
     * event's number: the mark's value, the panic's bits.  Any thread; returns
     * at once.
     */
    void (*report)(void *context, enum guest_event event, const char *source, uint32_t detail);
    void *context;
};

#endif
