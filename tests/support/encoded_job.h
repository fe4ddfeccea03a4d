/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_TEST_ENCODED_JOB_H
#define MOTE_TEST_ENCODED_JOB_H

/* A job as the host sends it, for the guest's side, whose `struct job` is another. */

#include <stddef.h>
#include <stdint.h>

/* Of three layers, two volumes, two folders, three arguments and a variable; with PREPARE what goes before it. */
uint8_t *encoded_job(int prepare, size_t *length);

#endif
