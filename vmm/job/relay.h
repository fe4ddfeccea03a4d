/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_RELAY_H
#define MOTE_RUN_RELAY_H

/*
 * Bytes from one descriptor to another, one of which is the user's and the
 * other a stream of the guest's.
 *
 * A relay holds at most RELAY_BUFFER bytes and waits for one thing at a time:
 * for bytes while it holds none, for room while it does.  So a reader that is
 * slow holds its writer back, through the VM and into the job, and nothing is
 * lost or piled up.  A turn ends after a few buffers, for the sake of others.
 */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"

struct relay;

enum relay_end {
    RELAY_INPUT_ENDED,  /* everything has been passed on */
    RELAY_INPUT_FAILED, /* NUMBER is its errno */
    RELAY_OUTPUT_FAILED,
    RELAY_LIMITED,      /* the limit's bytes have been passed on, and there were more */
};

struct relay_options {
    const char *name; /* for messages: "standard input" */
    int from, to;     /* stay the caller's, and unchanged */
    uint64_t limit;   /* bytes; 0: none */
    void (*wrote)(void *context); /* after each write; NULL: nobody wants to know */
    /* The last call; the relay may be destroyed in it.  Not from relay_create(). */
    void (*ended)(void *context, enum relay_end end, int number);
    void *context;
};

int relay_create(struct relay **relay, struct event_loop *loop,
                 const struct relay_options *options, struct error *error);
void relay_destroy(struct relay *relay);

/* Bytes that reached the output. */
uint64_t relay_count(const struct relay *relay);

#endif
