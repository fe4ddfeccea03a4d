/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_POWER_REGISTERS_H
#define MOTE_POWER_REGISTERS_H

/*
 * The byte-wide registers of DEVICE_POWER, as the machine's descriptions name
 * them: the sleep control and status registers of hardware-reduced ACPI (ACPI
 * 6.5 section 4.8.3.7) and a reset register (4.8.3.6).
 */

#define POWER_SLEEP_CONTROL 0 /* offset: bits 2-4 sleep type, bit 5 go to sleep */
#define POWER_SLEEP_STATUS 1  /* offset */
#define POWER_RESET 2         /* offset */

#define POWER_SLEEP_TYPE_S5 5 /* soft off */
#define POWER_SLEEP_ENABLE 0x20
#define POWER_OFF (POWER_SLEEP_TYPE_S5 << 2 | POWER_SLEEP_ENABLE)
#define POWER_RESET_VALUE 1

#endif
