/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/console_tail.h"

#include <string.h>

static void end_line(struct console_tail *tail)
{
    tail->current[tail->used] = '\0';
    if (tail->used > 0 && !tail->is_panic) {
        memcpy(tail->line, tail->current, tail->used + 1);
        tail->is_panic = strstr(tail->line, "Kernel panic") != NULL;
    }
    tail->used = 0;
}

void console_tail_add(struct console_tail *tail, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = bytes[i];

        if (c == '\n')
            end_line(tail);
        else if (c >= ' ' && c <= '~' && tail->used < CONSOLE_TAIL_LINE - 1)
            tail->current[tail->used++] = c;
    }
}
