/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONFIG_H
#define MOTE_CONFIG_H

/*
 * What a VM is to be: plain values, from whatever said it.  The command line
 * (vm_options.h), a configuration file (config_file.h) and a snapshot
 * (vmm/snapshot/machine_state.h) are each read into this once; nothing is made text
 * again to be read once more.  vm_config_validate() tells what is wrong, whoever said it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"
#include "vmm/base/log.h"
#include "vmm/config/device.h"
#include "vmm/config/pool.h"
#include "vmm/config/schema.h"
#include "vmm/machine/guest_memory.h"
#include "vmm/machine/machine.h"

#define KVM_DEFAULT_PATH "/dev/kvm"

enum console_kind { CONSOLE_SERIAL, CONSOLE_VIRTIO, CONSOLE_NONE, CONSOLE_KIND_COUNT };

enum on_reboot { ON_REBOOT_EXIT, ON_REBOOT_RESTART };

#define CONFIG_DEVICES_MAX 96

/* A snapshot and the bases that it is the difference from, the last of which is full. */
#define SNAPSHOT_CHAIN_MAX 16

/* The files of a snapshot, open for reading; they stay the caller's. */
struct vm_snapshot_source {
    int state_fd;
    int memory_fd;
    size_t base_count;
    int base_fds[SNAPSHOT_CHAIN_MAX - 1]; /* the memory of its base, of that one's base, … */
    uint8_t id[16];
    uint64_t size; /* of RAM, bytes */
    int working_set_fd; /* what its VMs need first, or -1: vmm/snapshot/working_set.h */
    int record_fd;  /* where to record that, or -1 */
    bool awaits_job; /* a template: what it writes before its job is recorded at an order, and copied beforehand */
};

#define SNAPSHOT_SOURCE_INIT \
    { .state_fd = -1, .memory_fd = -1, .working_set_fd = -1, .record_fd = -1 }

struct vm_config {
    /* Those of vm_schema.  Texts are the pool's, or the caller's and outlive it. */
    const char *kernel;
    const char *initrd; /* NULL for none */
    const char *command_line; /* NULL: vm_config_complete() chooses by the console */
    const char *root;          /* NULL, or what the default command line says of the root disk */
    const char *boot_protocol; /* NULL: detect it */
    const char *kvm_path;
    unsigned int cpus;
    uint64_t memory; /* bytes */
    unsigned int pages; /* enum guest_pages */
    unsigned int console;   /* enum console_kind */
    unsigned int describe;  /* enum describe */
    unsigned int on_reboot; /* enum on_reboot */

    size_t device_count;
    struct device_config *devices[CONFIG_DEVICES_MAX]; /* the pool's */
    struct config_pool pool;

    /* What is open for it already, and what its process is to do besides; no part of the machine. */
    int kernel_fd, initrd_fd; /* what KERNEL and INITRD name, set when they are open */
    bool has_initrd_fd; /* it was open before, and INITRD is no path */
    bool console_matters;  /* what will keep the console silent is warned of */
    const struct vm_snapshot_source *snapshot;  /* NULL: boot KERNEL */
    bool may_be_saved; /* keep at hand what saving needs and the jail does not give */
};

/* All but the devices; the keys are the options of the command line. */
extern const struct schema vm_schema;

/* What --huge-pages takes, by enum guest_pages; ends in NULL. */
extern const char *const guest_pages_names[];

/* As --describe, --console and --on-reboot name them. */
extern const char *const describe_names[];
extern const char *const console_names[];
extern const char *const on_reboot_names[];

/* One CPU, 256 MiB, a serial console, ACPI. */
struct vm_config vm_config_default(void);

/* Another device of TYPE, as it is where nothing was said of it; NULL: there are too many. */
struct device_config *vm_config_add_device(struct vm_config *config, enum device_type type,
                                           struct error *error);
/* The same with the value TEXT of the type's option, or what TEXT says is added to the one there is, see merge(). */
int vm_config_add_option(struct vm_config *config, enum device_type type, const char *text,
                         struct error *error);
/* Takes the device that was added last away, if it is of TYPE. */
void vm_config_drop_device(struct vm_config *config, enum device_type type);
/* The first device of TYPE, or NULL. */
struct device_config *vm_config_find_device(const struct vm_config *config, enum device_type type);

/*
 * The device of TYPE that a user calls ID: a disk by its serial=, and any by its number among those of its type, from 0 on, in
 * the order in which they were given.  *INDEX is its place in `devices`.
 */
int vm_config_find_id(const struct vm_config *config, enum device_type type, const char *id, uint32_t *index,
                      struct error *error);

/* Fills in what follows from other choices: after the last of them, before the check. */
int vm_config_complete(struct vm_config *config, struct error *error);

/* Whether the values make a VM, alone and together; the message names the first that does not. */
int vm_config_validate(const struct vm_config *config, struct error *error);

/* Whether both are the same machine with the same devices in the same order. */
bool vm_config_equal(const struct vm_config *one, const struct vm_config *two);
/* *COPY has a pool of its own; what is open is shared with CONFIG.  Released as any, also after an error. */
int vm_config_copy(struct vm_config *copy, const struct vm_config *config, struct error *error);

/* Frees the pool, and with it all devices. */
void vm_config_release(struct vm_config *config);

/* Saves the devices to the section of a state that stands open, or loads them from it into CONFIG, which has none. */
void vm_config_devices_state(struct vm_config *config, struct state *state);

/*
 * Has the devices open what the supervisor keeps for a monitor in its jail, and
 * close it again; in the supervisor, whose loop LOOP is, around each monitor.
 */
int vm_config_open_host(struct vm_config *config, struct event_loop *loop, struct error *error);
void vm_config_close_host(struct vm_config *config);

#endif
