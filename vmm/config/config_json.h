/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONFIG_JSON_H
#define MOTE_CONFIG_JSON_H

/*
 * A configuration in Mote's own form of JSON, which says all that there is to say:
 *
 *     {
 *       "mote": 1,
 *       "kernel": "vmlinux",
 *       "cpus": 1,
 *       …
 *       "devices": [
 *         { "type": "disk", "path": "root.img", "ro": true, "queues": 1, … }
 *       ]
 *     }
 *
 * Keys are the options of the command line; the values of a device are those of its
 * schema.  What is written reads as an equal configuration, and that is written as
 * the same bytes.
 */

#include <stdio.h>

#include "vmm/base/json_reader.h"
#include "vmm/config/config.h"

/* The key that tells this form, and the version of it that there is. */
#define CONFIG_JSON_KEY "mote"
#define CONFIG_JSON_VERSION 1

/* Adds what READER's root object says to CONFIG. */
int config_json_read(const struct json_reader *reader, struct vm_config *config);

/* Writes CONFIG, whole.  -EILSEQ for a text that is no UTF-8, which JSON cannot say. */
int config_json_write(FILE *stream, const struct vm_config *config, struct error *error);

#endif
