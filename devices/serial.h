/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SERIAL_H
#define MOTE_SERIAL_H

#include "devices/backend/console.h"

#define SERIAL_WINDOW 8 /* registers, one byte each */

/* For serial_ops.create(); without options nothing is connected to the port. */
struct serial_options {
    struct console *console; /* not owned; attached while the device exists */
};

#endif
