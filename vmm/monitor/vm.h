/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VM_H
#define MOTE_VM_H

/*
 * One virtual machine, the owner of all that belongs to it: guest memory, KVM's
 * descriptors, buses, devices and vCPUs.
 *
 * The calling thread runs the event loop; each vCPU has a thread of its own.
 * The first end that anyone reports is the VM's end; later ones are dropped.
 */

#include "vmm/config/config.h"
#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"
#include "vmm/base/log.h"
#include "vmm/jail/sandbox.h"
#include "vmm/base/timeline.h"

struct block_host;
struct console;
struct rate_limit_config;
struct vm;

/* What outlives a VM and is not its own: it may be restarted on the same host side. */
struct vm_host {
    struct event_loop *loop;
    struct console *console; /* NULL where the config has no console */
    struct log *log;
    struct timeline *timeline;
    struct sandbox *sandbox; /* entered when all is open; NULL for none */
};

enum vm_end_kind {
    VM_RUNNING,
    VM_POWERED_OFF, /* by the guest */
    VM_RESET,       /* by the guest */
    VM_PANICKED,    /* the guest's kernel said so */
    VM_STOPPED,     /* by vm_stop() */
    VM_FAILED,      /* by KVM; the log has the registers */
};

struct vm_end {
    enum vm_end_kind kind;
    const char *how; /* a literal, as "ACPI power-off" */
};

/*
 * Loads everything, a kernel or a snapshot, and creates the vCPUs, not yet
 * running.  On an error nothing is left behind.
 */
int vm_create(struct vm **vm, struct vm_config *config, const struct vm_host *host,
              struct error *error);

/* Runs to the end, which *END tells.  Once for each VM. */
int vm_run(struct vm *vm, struct vm_end *end, struct error *error);

/*
 * While it runs, on the thread of its event loop: parks the vCPUs, and has them
 * go on.  Devices and the console are served meanwhile.
 */
void vm_pause(struct vm *vm);
void vm_resume(struct vm *vm);
bool vm_is_paused(const struct vm *vm);

/* What devices and vCPUs have to save is some hundred KiB: room for its file, bytes. */
#define VM_STATE_ROOM (16ull << 20)

/* Where a snapshot goes: empty files, which the caller makes permanent; memory_file_begin() was there. */
struct vm_snapshot_target {
    int state_fd;
    int memory_fd;
    uint8_t id[16];
    /* Of a difference, or 0: the memory files of its base, as of a vm_snapshot_source, and its id. */
    size_t base_count;
    int base_fds[SNAPSHOT_CHAIN_MAX];
    uint8_t base_id[16];
};

/* Saves a VM that runs or is paused, and is so again afterwards, whatever came of it. */
int vm_save(struct vm *vm, const struct vm_snapshot_target *target, struct error *error);

/*
 * Of a template: records which pages its guest has written by now, in the source's
 * record_fd, and closes that: a job that breaks in later finds nothing to write to.
 */
void vm_record(struct vm *vm);

/* Ends a running VM; HOW is a literal.  Any thread. */
void vm_stop(struct vm *vm, const char *how);

/* Has each device look at its host side again: the size of a disk or of the terminal. */
void vm_refresh(struct vm *vm);

/* Whether the guest has come to its console: any sign of its driver, output or not. */
bool vm_console_is_driven(struct vm *vm);

/* What a running VM has counted; of the monitor's own word, which a guest may have broken into. */
#define VM_GUEST_FIGURES 10 /* the tags of virtio 1.2, 5.5.6.4 */
struct vm_statistics {
    uint64_t console_written;   /* bytes */
    uint64_t console_discarded; /* as their reader is gone, too slow or at its limit */
    uint64_t balloon_target, balloon_actual; /* bytes; UINT64_MAX without a balloon */
    uint64_t guest[VM_GUEST_FIGURES]; /* the guest's account of its memory, by tag; UINT64_MAX where it gave none */
};

void vm_read_statistics(struct vm *vm, struct vm_statistics *statistics);

/* Has the balloon's guest give so many bytes; an error where the VM has none. */
int vm_set_balloon(struct vm *vm, uint64_t bytes, struct error *error);

/*
 * Of the configuration's devices: HOST's file, called PATH, becomes that of a disk, see virtio_block_replace(); and other
 * limits, with timers for them, become those of a disk or network device.  Its configuration follows.
 */
int vm_replace_disk(struct vm *vm, uint32_t device, const struct block_host *host, const char *path, struct error *error);
int vm_set_rate(struct vm *vm, uint32_t device, const struct rate_limit_config *receive,
                const struct rate_limit_config *transmit, int timer_fds[2], struct error *error);

void vm_destroy(struct vm *vm);

#endif
