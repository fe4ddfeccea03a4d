/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SERIAL_H
#define MOTE_SERIAL_H

#define SERIAL_WINDOW 8 /* registers, one byte each */

#endif
