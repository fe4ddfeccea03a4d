/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void keep_one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

int error_set(struct error *error, int number, const char *format, ...)
{
    va_list arguments;

    error->number = number;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof(error->message), format, arguments);
    va_end(arguments);
    keep_one_line(error->message);
    return -number;
}

int error_system(struct error *error, int number, const char *format, ...)
{
    va_list arguments;
    size_t length;

    error->number = number;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof(error->message), format, arguments);
    va_end(arguments);
    length = strlen(error->message);
    snprintf(error->message + length, sizeof(error->message) - length, ": %s", strerror(number));
    keep_one_line(error->message);
    return -number;
}
