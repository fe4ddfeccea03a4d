/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_JSON_WIRE_H
#define MOTE_IMAGES_JSON_WIRE_H

/*
 * A JSON value between two processes, of which the sender has read something
 * hostile: not as text, for which the receiver would need a parser that is many
 * times larger, but as a tag, a length and bytes.
 *
 *   'n'                                null
 *   'b' BYTE                           boolean
 *   'i' 8 bytes                        whole number
 *   's' LENGTH bytes                   text, without NUL
 *   'a' COUNT values                   list
 *   'o' COUNT {'s' LENGTH bytes, value}   object
 *
 * LENGTH and COUNT have 4 bytes; numbers are this machine's.
 */

#include <json-c/json_object.h>
#include <stddef.h>
#include <stdio.h>

#define JSON_WIRE_DEPTH 16
#define JSON_WIRE_ELEMENTS_MAX 65536u /* of a value in all */

/* Below 0 for what has no form here: fractions, texts with NUL, too deep. */
int json_wire_write(FILE *file, struct json_object *value);

/*
 * The value that is all of LENGTH BYTES, whatever they are: 0 with *VALUE, which
 * the caller puts and which is NULL for null; or -EBADMSG.
 */
int json_wire_read(const void *bytes, size_t length, struct json_object **value);

#endif
