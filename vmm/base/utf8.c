/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/utf8.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

static int is_tail(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The length of the well-formed character at TEXT (The Unicode Standard, table 3-7), or 0. */
static size_t character(const uint8_t *text)
{
    uint8_t first = text[0], second = first ? text[1] : 0;

    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4 || !is_tail(second))
        return 0;
    if (first < 0xe0)
        return 2;
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f) ||
        !is_tail(text[2]))
        return 0;
    if (first < 0xf0)
        return 3;
    return is_tail(text[3]) ? 4 : 0;
}

char *utf8_clean(const char *text)
{
    /* One byte becomes three at most. */
    char *clean = malloc(strlen(text) * 3 + 1), *at = clean;

    if (!clean)
        return NULL;
    while (*text) {
        size_t length = character((const uint8_t *)text);

        if (length == 0) {
            memcpy(at, REPLACEMENT, 3);
            at += 3;
            text++;
        } else {
            memcpy(at, text, length);
            at += length;
            text += length;
        }
    }
    *at = '\0';
    return clean;
}
