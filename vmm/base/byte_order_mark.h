/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BYTE_ORDER_MARK_H
#define MOTE_BYTE_ORDER_MARK_H

/* What editors of other systems put before a text: UTF-8's means nothing, UTF-16's that nothing is as it looks. */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The bytes to pass over at the beginning of a text. */
static inline size_t byte_order_mark(const char *text, size_t length)
{
    return length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

static inline bool is_utf16(const char *text, size_t length)
{
    return length >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0);
}

#endif
