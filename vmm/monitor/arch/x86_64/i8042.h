/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_X86_I8042_H
#define MOTE_X86_I8042_H

#include "devices/device.h"

/* A PC's keyboard controller, for its reset pulse alone.  Takes no options. */
extern const struct device_ops i8042_ops;

#endif
