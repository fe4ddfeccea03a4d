/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_RECORD_H
#define MOTE_RUN_RECORD_H

/*
 * What the guest says on the control connection, as checked records.
 *
 * The guest is hostile: bytes come in any pieces, lengths are any number, and a
 * text may hold anything.  The reader holds one record at most, of
 * RUN_GUEST_RECORD_MAX bytes, and whatever is no record of the protocol, or
 * comes out of its order, ends the conversation.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/init/protocol.h"

struct record {
    enum run_record_type type;
    union {
        struct run_hello hello;
        struct run_failed failed;
        struct run_ended ended;
    };
    char text[RUN_GUEST_RECORD_MAX]; /* of RUN_FAILED; printable, one line, with its NUL */
};

struct record_reader {
    size_t used;
    uint8_t bytes[sizeof(struct run_header) + RUN_GUEST_RECORD_MAX];
    enum run_record_type last; /* 0 at first */
};

/*
 * Takes from the LENGTH bytes at *BYTES, and moves both on.  1: *RECORD is the
 * next; 0: it needs more; -EPROTO: this guest does not speak the protocol.
 */
int record_read(struct record_reader *reader, const uint8_t **bytes, size_t *length,
                struct record *record);

#endif
