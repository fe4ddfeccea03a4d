/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/command_line.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

size_t command_line_kernel_part(const char *text)
{
    bool quoted = false, word_start = true;
    size_t length;

    for (length = 0; text[length]; length++) {
        if (word_start && !strncmp(text + length, "--", 2) &&
            (!text[length + 2] || is_blank(text[length + 2])))
            break;
        if (text[length] == '"')
            quoted = !quoted;
        word_start = is_blank(text[length]) && !quoted;
    }
    while (length > 0 && is_blank(text[length - 1]))
        length--;
    return length;
}

char *command_line_add(const char *text, const char *words)
{
    size_t kernel = command_line_kernel_part(text);
    const char *rest = text + kernel;
    const char *before = kernel > 0 ? " " : "", *after = *rest && !is_blank(*rest) ? " " : "";
    char *line;

    if (asprintf(&line, "%.*s%s%s%s%s", (int)kernel, text, before, words, after, rest) < 0)
        return NULL;
    return line;
}
