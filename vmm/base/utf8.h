/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_UTF8_H
#define MOTE_UTF8_H

/* A copy of TEXT in which every byte that is not part of well-formed UTF-8 is U+FFFD; or NULL. */
char *utf8_clean(const char *text);

#endif
