/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_STORE_H
#define MOTE_STORE_H

/*
 * The jobs and VMs that have a name: those of --detach and --name.  Others leave
 * no trace in any file system.
 *
 * Each has a folder of its name in $XDG_RUNTIME_DIR/mote, or /tmp/mote-UID
 * where there is no such variable, which is the user's alone:
 *
 *   lock     held (flock) as long as the job's supervisor lives; its process ID
 *   command  as it was given, for `mote ps`
 *   stdout, stderr   of a detached job
 *   verdict  once it has ended (run/verdict.h); of a VM, its status alone
 *   control  its socket (control/control_socket.h)
 *   paused   while it is: whoever lists hundreds asks none of them
 *
 * A supervisor that was killed leaves its folder; that it is dead shows by the
 * lock, and `mote rm` or the next job of that name takes it away.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "vmm/base/error.h"
#include "vmm/base/log.h"

#define STORE_NAME_MAX 64
#define STORE_PAUSED "paused"

struct store_entry {
    char name[STORE_NAME_MAX + 1];
    int folder; /* descriptors; -1: none */
    int lock;
};

#define STORE_ENTRY_INIT { .folder = -1, .lock = -1 }

/* Letters, digits, '_', '.' and '-', not at the beginning. */
bool store_name_is_good(const char *name);
/* The same of the value of --name, NULL for none. */
int store_check_name(const char *name, struct error *error);

/*
 * A new entry, locked, of the COUNT words of a command; NAME NULL makes one up.
 * Fails for one that is in use.
 */
int store_create(struct store_entry *entry, const char *name, char *const *words, size_t count,
                 struct error *error);
/* The supervisor is this process from now on; or the entry is gone. */
int store_claim(const struct store_entry *entry, struct error *error);
/* Opens its file for writing; the caller closes it. */
int store_open_file(const struct store_entry *entry, const char *file, struct error *error);
/* The exit status of a VM, for `mote ps` and `mote wait`, before the entry is closed; LOG is told where it cannot be kept. */
void store_ended(const struct store_entry *entry, int status, struct log *log);
void store_close(struct store_entry *entry);

/* An entry that there is. */
int store_find(struct store_entry *entry, const char *name, struct error *error);
bool store_is_running(const struct store_entry *entry);
/* Of one that runs. */
bool store_is_paused(const struct store_entry *entry);
int store_set_paused(const struct store_entry *entry, bool paused, struct error *error);
/* Returns when it does not run any more. */
int store_wait(const struct store_entry *entry, struct error *error);
/* Whether the supervisor does anything with it but to end by it: a VM of `mote boot` knows few signals, a job hands on nearly all. */
bool store_takes_signal(const struct store_entry *entry, int number);
/* Sends it to the supervisor; -ESRCH: it does not run any more; -ETIMEDOUT: nobody has claimed it yet. */
int store_signal(const struct store_entry *entry, int number);
/* mote's exit status of a job that has ended; 137 where its supervisor was killed. */
int store_status(const struct store_entry *entry);
/* A file's text, cut at SIZE. */
void store_read(const struct store_entry *entry, const char *file, char *text, size_t size);
/* One that is gone already is no error: whoever started it may have seen it fail. */
int store_remove(const struct store_entry *entry, struct error *error);

/* Calls EACH for all, in the order of their names, web-9 before web-10. */
int store_list(void (*each)(void *context, const struct store_entry *entry), void *context,
               struct error *error);

/* The path of an entry's FILE; the caller frees it. */
char *store_path(const struct store_entry *entry, const char *file);

#endif
