/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_JSON_DUPLICATES_H
#define MOTE_JSON_DUPLICATES_H

#include <stddef.h>

/*
 * Where in TEXT, LENGTH bytes that json-c has parsed, an object has a key for the second
 * time: the key's place, at its quote; NULL where none has.  json-c keeps the last one in silence.
 * *NAME is that key, which the caller frees, or NULL if there was no memory.
 */
const char *json_find_duplicate(const char *text, size_t length, char **name);

#endif
