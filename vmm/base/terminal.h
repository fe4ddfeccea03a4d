/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_TERMINAL_H
#define MOTE_TERMINAL_H

/*
 * The user's terminal while the guest's console is on it.
 *
 * In raw mode each key goes to the guest as it is, Ctrl-C and Ctrl-Z included,
 * and each byte of the guest to the screen: guests send CR LF themselves, so
 * the host's output processing is off too.  The terminal must come back on
 * every way out, or the user's shell is left without echo:
 *
 *   a normal end, an error      terminal_restore() or terminal_destroy()
 *   die()                       terminal_restore_any()
 *   SIGINT, SIGTERM, SIGHUP,    become events of the caller's loop (signalfd),
 *   SIGQUIT                     which then ends normally
 *   SIGSEGV, SIGBUS, SIGABRT,   handlers installed here while the terminal is
 *   SIGFPE, SIGILL              raw restore it, then the signal takes its course
 *
 * Ctrl-A is the escape key: Ctrl-A x ends the VM, Ctrl-A h helps, Ctrl-A twice
 * sends one to the guest.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/log.h"

struct terminal;

/*
 * FD, which stays the caller's, may be anything: terminal_is_ours() tells whether it is a
 * terminal that we may set, which is not so while another job is in the
 * foreground.  Changes nothing yet.
 */
int terminal_create(struct terminal **terminal, int fd, struct log *log, struct error *error);

/* QUIT(CONTEXT) is called for Ctrl-A x, on the thread that filters: before terminal_filter(). */
void terminal_on_quit(struct terminal *terminal, void (*quit)(void *context), void *context);

/* Restores first.  NULL is fine. */
void terminal_destroy(struct terminal *terminal);

/* For who loses FD, to a jail: what is shown on the terminal goes by a descriptor of its own, which only writes. */
void terminal_open_screen(struct terminal *terminal);

bool terminal_is_ours(const struct terminal *terminal);

/*
 * To raw mode and back; at most one terminal is raw at a time.  Both do nothing
 * on one that is not ours or already in that mode.
 */
void terminal_raw(struct terminal *terminal);
void terminal_restore(struct terminal *terminal);

/*
 * Restores whichever terminal is raw, for ways out that have no terminal at
 * hand.  Async-signal-safe; as often as you like.
 */
void terminal_restore_any(void);

/* The escape key, in the shape of a console_filter; CONTEXT is the terminal. */
size_t terminal_filter(void *context, const uint8_t *in, size_t length, uint8_t *out);

#endif
