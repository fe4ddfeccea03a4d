/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IRQ_LINE_H
#define MOTE_IRQ_LINE_H

/*
 * One interrupt line as its device sees it: something to raise and to lower.
 * Whether a controller in user space, one in the kernel or a counting fake is
 * behind it is the maker's business.  A line is a value: copy it freely.  Both
 * calls are safe from any thread and take no device lock.
 */

#include <stdbool.h>
#include <stddef.h>

struct irq_line {
    void (*set_level)(void *controller, unsigned int number, bool high);
    void *controller;
    unsigned int number; /* the controller's input, not a vector */
};

/* A line without a controller is not connected: both calls do nothing. */
static inline void irq_line_raise(const struct irq_line *line)
{
    if (line->set_level)
        line->set_level(line->controller, line->number, true);
}

static inline void irq_line_lower(const struct irq_line *line)
{
    if (line->set_level)
        line->set_level(line->controller, line->number, false);
}

/* One edge, for devices whose line the guest configures as edge-triggered. */
static inline void irq_line_pulse(const struct irq_line *line)
{
    irq_line_raise(line);
    irq_line_lower(line);
}

#endif
