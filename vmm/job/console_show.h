/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_CONSOLE_SHOW_H
#define MOTE_RUN_CONSOLE_SHOW_H

/*
 * What the guest's kernel prints, from a pipe: its last line is kept, and with --verbose all of it goes to standard error.
 * A reader of that who stops keeps the guest waiting, never its supervisor.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/backend/host_stream.h"
#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"
#include "vmm/job/console_tail.h"

struct console_show {
    struct event_loop *loop;
    struct console_tail *tail;
    int from;   /* the caller's; -1: none, or it has ended */
    bool shows; /* to TO; not after an error */
    bool failed;
    void (*wrote)(void *context); /* after each write; NULL: nobody wants to know */
    void *context;
    struct host_stream to;
    size_t first, end; /* of BYTES, which TO has not taken yet */
    uint8_t bytes[1024];
};

#define CONSOLE_SHOW_INIT { .from = -1, .to = { .fd = -1 } }

/* FROM, non-blocking, into TAIL, and to TO where SHOWS. */
int console_show_open(struct console_show *show, struct event_loop *loop, int from, struct console_tail *tail, bool shows,
                      int to, struct error *error);
/* Its writer has ended: what is left in the pipe, as far as TO takes it within LIMIT_MS. */
void console_show_drain(struct console_show *show, unsigned int limit_ms);
/* Before FROM is closed. */
void console_show_close(struct console_show *show);

#endif
