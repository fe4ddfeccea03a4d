/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a message that is too long the ends stay: the thing, and the remedy. */
#define HEAD_LENGTH 160
#define ELLIPSIS " [...] "

/* Bytes of the UTF-8 character at TEXT; 0 for what is none, or one that controls a terminal. */
static size_t shown_length(const unsigned char *text)
{
    size_t length = text[0] < 0x80 ? 1 : text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : text[0] >= 0xc2 ? 2 : 0;

    if (text[0] < ' ' || text[0] == 0x7f || text[0] > 0xf4 || (text[0] == 0xe0 && text[1] < 0xa0) ||
        (text[0] == 0xf0 && text[1] < 0x90))
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return text[0] == 0xc2 && text[1] < 0xa0 ? 0 : length;
}

void error_keep_one_line(char *text)
{
    while (*text) {
        size_t length = shown_length((const unsigned char *)text);

        if (length == 0)
            *text = '?';
        text += length > 0 ? length : 1;
    }
}

static void keep_message(struct error *error, const char *text)
{
    size_t length = strlen(text);
    size_t tail = sizeof(error->message) - HEAD_LENGTH - sizeof(ELLIPSIS);

    if (length < sizeof(error->message))
        memcpy(error->message, text, length + 1);
    else
        snprintf(error->message, sizeof(error->message), "%.*s" ELLIPSIS "%s", HEAD_LENGTH, text,
                 text + length - tail);
    error_keep_one_line(error->message);
}

__attribute__((format(printf, 3, 0))) static int
set(struct error *error, int number, const char *format, va_list arguments, const char *suffix)
{
    char *text = NULL, *whole = NULL;

    error->number = number;
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL; /* undefined after a failure */
    if (!text || asprintf(&whole, "%s%s", text, suffix) < 0)
        whole = NULL;
    keep_message(error, whole ? whole : "out of memory; free some");
    free(whole);
    free(text);
    return -number;
}

int error_set(struct error *error, int number, const char *format, ...)
{
    va_list arguments;
    int result;

    va_start(arguments, format);
    result = set(error, number, format, arguments, "");
    va_end(arguments);
    return result;
}

/* What mostly helps where the caller knows nothing better. */
static const char *remedy(int number)
{
    switch (number) {
    case EMFILE:
        return "allow more open files (ulimit -n)";
    case ENFILE:
        return "close files: this host has too many open";
    case ENOMEM:
        return "free some memory";
    case EAGAIN:
        return "allow more processes (ulimit -u)";
    case ENOSPC:
    case EDQUOT:
        return "free some space there";
    case EPIPE:
        return "keep its reader running";
    case EISDIR:
        return "name a file";
    case ENOENT:
        return "check the path";
    case ENOTDIR:
        return "name a folder";
    case EBADF:
        return "redirect it to a file or /dev/null";
    default:
        return "'mote doctor' may tell more";
    }
}

int error_system(struct error *error, int number, const char *format, ...)
{
    char suffix[192];
    va_list arguments;
    int result;

    snprintf(suffix, sizeof(suffix), ": %s; %s", strerror(number), remedy(number));
    va_start(arguments, format);
    result = set(error, number, format, arguments, suffix);
    va_end(arguments);
    return result;
}
