/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONFIG_H
#define MOTE_CONFIG_H

/* What a VM shall be, as the user said it: plain values with defaults. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"
#include "vmm/machine/guest_memory.h"
#include "vmm/base/log.h"
#include "vmm/machine/machine.h"

struct virtio_row;

#define KVM_DEFAULT_PATH "/dev/kvm"

enum console_kind { CONSOLE_SERIAL, CONSOLE_VIRTIO, CONSOLE_NONE, CONSOLE_KIND_COUNT };

/* A virtio device that the user asked for. */
struct device_request {
    const struct virtio_row *row;
    void *options; /* the class's own; released with the config */
};

/* A device's option as it was given: a snapshot's VM is made from them again. */
struct device_text {
    const struct virtio_row *row;
    char *text; /* NULL for one without options; the config's */
};

#define CONFIG_DEVICES_MAX 96
#define CONFIG_TEXTS_MAX 192

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

/* Strings are the caller's and outlive the VM. */
struct vm_config {
    const char *kernel;
    const char *initrd; /* NULL for none */
    int initrd_fd; /* open already, the name above is for messages; -1: open it */
    const char *command_line; /* NULL: vm_config_complete() chooses by the console */
    const char *root;          /* NULL, or what the default command line says of the root disk */
    char *made_command_line;   /* by vm_config_complete(), released with the config */
    const char *boot_protocol; /* NULL: detect it */
    const char *kvm_path;
    unsigned int cpus;
    uint64_t memory; /* bytes */
    unsigned int pages; /* enum guest_pages */
    unsigned int console;  /* enum console_kind */
    unsigned int describe; /* enum describe */
    bool console_matters;  /* what will keep the console silent is warned of */
    size_t device_count;
    struct device_request devices[CONFIG_DEVICES_MAX];
    size_t text_count;
    struct device_text texts[CONFIG_TEXTS_MAX]; /* that made DEVICES, in this order */
    const struct vm_snapshot_source *snapshot;  /* NULL: boot KERNEL */
    bool may_be_saved; /* keep at hand what saving needs and the jail does not give */
};

/* What --huge-pages takes, by enum guest_pages; ends in NULL. */
extern const char *const guest_pages_names[];

/* As --describe names them. */
extern const char *const describe_names[];

/* One CPU, 256 MiB, a serial console, ACPI. */
struct vm_config vm_config_default(void);

/*
 * Adds a device of ROW with the option's value TEXT, NULL for one without
 * options, or adds to the one there is if the class allows no second.
 */
int vm_config_add_device(struct vm_config *config, const struct virtio_row *row, const char *text,
                         struct error *error);

/* Takes the device that was added last away, with its text, if it is of ROW. */
void vm_config_drop_device(struct vm_config *config, const struct virtio_row *row);

/* Fills in what follows from other choices: after the last of them, before the check. */
int vm_config_complete(struct vm_config *config, struct error *error);

/*
 * Has the devices open what the supervisor keeps for a monitor in its jail, and
 * close it again; in the supervisor, whose loop LOOP is, around each monitor.
 */
int vm_config_open_host(struct vm_config *config, struct event_loop *loop, struct error *error);
void vm_config_close_host(struct vm_config *config);

/* Releases the devices' options and the command line that was made. */
void vm_config_release(struct vm_config *config);

/* Whether the values make a VM together; the message names what does not. */
int vm_config_check(const struct vm_config *config, struct error *error);

#endif
