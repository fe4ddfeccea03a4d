/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_TEST_DEVICE_OPTIONS_H
#define MOTE_TEST_DEVICE_OPTIONS_H

/* A device's plain values as the command line would make them. */

#include "vmm/base/error.h"

/*
 * Of --OPTION TEXT, or of the class of that name, checked; device_options_release() ends them, NULL is fine.
 * *OPTIONS stays after an error; ports are added to those that it has, if it is not NULL.
 */
int device_options_parse(const char *option, const char *text, void **options, struct error *error);
void device_options_release(void *options);

/* What the option's kind says of ONE, given after OTHER. */
int device_options_conflict(const char *option, const void *one, const void *other, struct error *error);

#endif
