/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SANDBOX_H
#define MOTE_SANDBOX_H

/*
 * The monitor jails itself: whoever breaks out of the guest finds itself in a
 * process that can do next to nothing.
 *
 * Two processes.  The supervisor is the one that the user started: it keeps the
 * terminal, the signals, the clock and the clean-up, and never reads a byte of
 * the guest's that it does not check.  It opens disks, kernel and initrd, as the
 * user may.  Its child is the monitor: it makes the VM of the descriptors that it
 * inherits, and then goes through the layers, one after the other, each on top of
 * those before:
 *
 *   descriptors   what the caller of Mote left open is closed
 *   limits        no core file; no more descriptors and memory than the VM needs; no
 *                 file beyond the size of its disks
 *   cgroup        memory, swap, processes, processor time (made by the supervisor)
 *   namespaces    user (if not root), mount, PID, IPC, UTS, cgroup
 *   root          an empty, read-only tmpfs is all of the file system
 *   network       a namespace without any but its own loopback, which is down
 *   privileges    root: a user of the VM's own; no capability, nor any new one by
 *                 exec; not dumpable; dies with the supervisor
 *   Landlock      no file, no TCP, no signal or abstract socket beyond the process
 *   seccomp       each thread keeps the few system calls of its kind (lists.c)
 *
 * Only then is the first byte of a kernel image parsed; seccomp comes last,
 * thread by thread, before the guest's first instruction.
 *
 * A layer that this host does not offer is left out and told of at
 * --log-level debug; with `required` it is an error.  What a layer leaves open
 * the others close.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/base/error.h"
#include "vmm/base/log.h"

struct sandbox;

enum sandbox_mode { SANDBOX_ON, SANDBOX_OFF, SANDBOX_MODE_COUNT };

/*
 * What the child is.  One that reads archives has files to make, and programs to
 * start: it stays the user it is, and keeps the file system, of which Landlock
 * leaves it the paths that it names, and which is read-only but for these.  It has
 * no cgroup, as nobody else's code runs in it until it has broken.
 */
enum sandbox_kind { SANDBOX_MONITOR, SANDBOX_ARCHIVES };

/* To read; to read and run; to read, write, make and remove. */
enum sandbox_access { SANDBOX_READ, SANDBOX_RUN, SANDBOX_WRITE };

struct sandbox_path {
    const char *path; /* of a file, or of a folder and all in it; one out of reach is left out */
    enum sandbox_access access;
};

/* The one signal that threads of the child may send to each other: none of those that a C library has for itself. */
#define SANDBOX_KICK_SIGNAL 40

/* A user or group ID that nobody has asked for. */
#define SANDBOX_ID_CHOOSE UINT64_MAX

struct sandbox_config {
    unsigned int mode; /* enum sandbox_mode */
    bool required;     /* each layer, or an error */
    uint64_t uid, gid; /* as root: whom to become */
    uint64_t memory;   /* the guest's, bytes: limits are reckoned from it */
    unsigned int cpus; /* the guest's */
    enum sandbox_kind kind;
    /* Of SANDBOX_ARCHIVES: */
    const char *no_namespaces; /* why it has none, or NULL */
    uint32_t capabilities;     /* that root keeps, a bit each */
    uint64_t file_size;        /* bytes: no file becomes larger */
    const struct sandbox_path *paths;
    size_t path_count;
};

#define SANDBOX_CONFIG_DEFAULT { .uid = SANDBOX_ID_CHOOSE, .gid = SANDBOX_ID_CHOOSE }

enum sandbox_thread {
    SANDBOX_VCPU,    /* KVM_RUN and the devices' registers */
    SANDBOX_IO,      /* the devices' queues */
    SANDBOX_CONTROL, /* the console and the supervisor's requests */
    SANDBOX_UNPACK,  /* of SANDBOX_ARCHIVES: reads an archive, starts no program */
    SANDBOX_THREAD_COUNT
};

/* Checks CONFIG, which is copied, and makes the cgroup. */
int sandbox_create(struct sandbox **sandbox, const struct sandbox_config *config, struct log *log,
                   struct error *error);

/* Ends the child, if there still is one.  NULL is fine. */
void sandbox_destroy(struct sandbox *sandbox);

/* ---- in the supervisor ---------------------------------------------------- */

/*
 * Makes the child, one at a time: returns 0 in it, and there goes on as after
 * fork(2); its PID in the supervisor, which has no threads.
 */
pid_t sandbox_fork(struct sandbox *sandbox, struct error *error);
/* In the parent; 0: there is none. */
pid_t sandbox_pid(const struct sandbox *sandbox);

/* A descriptor that becomes readable when the child reports why it ends, or ends: sandbox_look() is due.  The sandbox's. */
int sandbox_end_fd(const struct sandbox *sandbox);

/*
 * What has become of the child; never waits.  One that a guest has broken into may report without an end, or end while others
 * keep the descriptor above open: so it is also due upon SIGCHLD, and while the child ENDS, SANDBOX_ENDS_MS later, by when it
 * counts as one that has ended.
 */
enum sandbox_end { SANDBOX_RUNS, SANDBOX_ENDS, SANDBOX_ENDED };
#define SANDBOX_ENDS_MS 1000
enum sandbox_end sandbox_look(struct sandbox *sandbox);

/* Sends SIGNAL to the child; after SIGKILL, sandbox_wait() is still due. */
void sandbox_signal(struct sandbox *sandbox, int signal);

/* A disk of the child's may have grown: the limit on the size of files is no more. */
void sandbox_files_grew(struct sandbox *sandbox);

/* The child is to write a new file, FD, of at most SIZE bytes: it may, also where that is memory. */
void sandbox_allow_file(struct sandbox *sandbox, int fd, uint64_t size);

/*
 * It has written them all: files have their limit again, and the memory of those that were not KEPT is
 * no longer allowed.  A file in memory that stays keeps its room: it counts as the VM's until it is removed.
 * Also due when the child has ended and another was made, whose cgroup is the same.
 */
void sandbox_files_written(struct sandbox *sandbox, bool kept);

/*
 * Waits for the child's end; one that only pretends to end is killed, SANDBOX_ENDS_MS after it reported why.  After sandbox_look()
 * returned SANDBOX_ENDED there is nothing to wait for but the kernel, and not without a limit for that.  Returns its
 * exit status; or an error that tells what ended it, where that was not the child itself.
 */
int sandbox_wait(struct sandbox *sandbox, struct error *error);

/* ---- in the child --------------------------------------------------------- */

/*
 * Once everything is opened, while there is one thread: all layers but seccomp.
 * NULL, for no sandbox at all, is fine here and below.
 */
int sandbox_enter(struct sandbox *sandbox, struct error *error);

/*
 * Before that: FD is the one socket over which the child may send descriptors, to its supervisor, who looks at what it gets;
 * it stays open.  Without one the child sends none.
 */
void sandbox_hands_over(struct sandbox *sandbox, int fd);

/*
 * Before that, too: opens PATH, close-on-exec, as if this thread had no capability, as the kernel judges some descriptors by
 * what who opened them might do.  -1 where that fails.
 */
int sandbox_open_unprivileged(const char *path, int flags);

/* The calling thread keeps the system calls of its kind.  Fails closed: there is no return without. */
void sandbox_thread(struct sandbox *sandbox, enum sandbox_thread kind);

/*
 * In a process of SANDBOX_ARCHIVES that makes a thing of its own: from now on it, and what it starts, changes nothing
 * but what is in FOLDER, and FILE; -1 for none.  Without Landlock it does nothing.
 */
int sandbox_confine(const struct sandbox *sandbox, int folder, int file, struct error *error);

/* ---- for `mote doctor` ---------------------------------------------------- */

/*
 * Goes through all layers in a child that does nothing else, and calls TELL for
 * each with WHY, which is NULL where the layer works.
 */
int sandbox_probe(void (*tell)(void *context, const char *layer, const char *why), void *context,
                  struct error *error);

#endif
