/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_STATE_H
#define MOTE_STATE_H

/*
 * What a VM is at one moment, all but its memory, as a sequence of bytes.
 *
 * One function for each object serves both directions: it names its fields in
 * order, and they are written to the state that is being saved, or read from the
 * one that is being loaded.  So what one writes the other reads.
 *
 *     static void timer_state(struct timer *timer, struct state *state)
 *     {
 *         state_begin(state, "timer", timer->index, 1);
 *         state_u64(state, &timer->deadline);
 *         state_u8(state, &timer->mode);
 *         state_require(state, timer->mode < TIMER_MODE_COUNT, "the mode");
 *         state_end(state);
 *     }
 *
 * All is little-endian, without padding.  Fields stand in sections, each with a
 * name, an index among its like, a version, a length and a CRC-32C; a section
 * that learns something new raises its version, and none is read as another
 * version.  Sections come in the order of saving, the last one is "end".
 *
 * A state that is loaded is as hostile as a guest: what a field may be is
 * required before the field is used.  The first fault stays; from then on every
 * read yields zeros, so that no function needs to ask after each field, and
 * state_finish() tells.  Whoever uses a value that was read as an index, a
 * count or an address requires its range first, and clears it if
 * state_is_sound() says no.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

#define STATE_NAME_SIZE 16
/* A whole one is never larger. */
#define STATE_SIZE_MAX (64u << 20)

struct state;

/* An empty one, to save to. */
int state_create(struct state **state, struct error *error);
/* One to load from; BYTES stay the caller's and must outlive it. */
int state_open(struct state **state, const void *bytes, size_t length, struct error *error);
void state_destroy(struct state *state);

bool state_is_loading(const struct state *state);
/* No fault so far. */
bool state_is_sound(const struct state *state);

/*
 * A section.  VERSION is the one that this program writes, and the only one that
 * it reads.  Sections do not nest; one whose fields do not fill it is refused.
 */
void state_begin(struct state *state, const char *name, uint32_t index, uint16_t version);
void state_end(struct state *state);

/* Fields. */
void state_bool(struct state *state, bool *value); /* loading refuses all but 0 and 1 */
void state_u8(struct state *state, uint8_t *value);
void state_u16(struct state *state, uint16_t *value);
void state_u32(struct state *state, uint32_t *value);
void state_u64(struct state *state, uint64_t *value);
void state_bytes(struct state *state, void *bytes, size_t length);
/* A number of things, at most MAX. */
void state_count(struct state *state, size_t *count, size_t max);
/* A text or NULL, at most MAX bytes long; loading frees the old and allocates the new one. */
void state_text(struct state *state, char **text, size_t max);

/* When loading: CONDITION or a fault that names WHAT, a literal: "the queue's size". */
void state_require(struct state *state, bool condition, const char *what);
/* Either direction: what the caller met while it saved or loaded.  ERROR is copied. */
void state_fail(struct state *state, const struct error *error);

/* The first fault so far, or 0: for who reads the first sections alone. */
int state_first_fault(const struct state *state, struct error *error);

/* After the last section: the first fault, or 0. */
int state_finish(struct state *state, struct error *error);

/* What was saved, after state_finish(); the state's. */
const void *state_saved(const struct state *state, size_t *length);

#endif
