/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VM_CONTROL_INTERNAL_H
#define MOTE_VM_CONTROL_INTERNAL_H

/* What the parts of a VM's control share. */

#include "devices/virtio/block.h"
#include "vmm/supervisor/background_task.h"
#include "vmm/supervisor/control_socket.h"
#include "vmm/supervisor/snapshot/folder.h"
#include "vmm/supervisor/vm_control.h"

/* The ids of snapshots that are remembered of a VM. */
#define SNAPSHOT_IDS_MAX 32

/* A file that is to become a disk's, until the VM's process has answered. */
struct replaced_disk {
    bool is_open;
    uint32_t index; /* of the configuration's devices */
    struct block_host fresh;
    const char *path;
};

struct vm_control {
    struct vm_control_owner owner;
    struct control_socket *socket;
    struct vm_process *process; /* NULL: none that could be asked */
    bool awaited; /* a client waits for the answer to REQUEST */
    bool owed;    /* none waits any more, and nothing else is asked until it came */
    struct message request;
    bool resumed;         /* since, for somebody else */
    struct error failure; /* met while another request makes up for it */
    struct snapshot_folder folder;
    struct background_task keeping; /* of FOLDER, once it is written */
    struct replaced_disk disk;
    bool paused;
    uint64_t began_ms; /* when the VM that runs now was attached, CLOCK_BOOTTIME */
    bool was_paused; /* before the snapshot */
    struct event_loop *loop;
    bool ending; /* the loop runs until FOLDER is kept */
    size_t snapshot_count;
    uint8_t snapshot_ids[SNAPSHOT_IDS_MAX][SNAPSHOT_ID_SIZE]; /* what the VM came from, and was saved as */
};

/* Of the verb; absolute paths. */
struct snapshot_arguments {
    const char *folder; /* of the snapshot, a new one */
    const char *base;   /* of the one that it is to be a difference from, or NULL */
    bool stop;          /* end the VM with it */
};

struct disk_arguments {
    const char *disk; /* its id, see vm_config_find_id() */
    const char *path; /* absolute, of its next file */
};

enum rate_of { RATE_OF_DISK, RATE_OF_NET };

struct rate_arguments {
    unsigned int kind;  /* enum rate_of */
    const char *device; /* its id */
    const char *rates;  /* as rate_parse() takes them */
};

/* REQUEST becomes the one that a client awaits the answer of.  SAVING: a snapshot, and into what. */
int vm_control_send(struct vm_control *control, const struct message *request, struct error *error);
int vm_control_send_files(struct vm_control *control, const struct message *request, const int *fds, size_t fd_count,
                          struct error *error);
/* With FD of SIZE bytes, which the VM's process may write to. */
int vm_control_send_file(struct vm_control *control, const struct message *request, int fd, uint64_t size,
                         struct error *error);
int vm_control_save(struct vm_control *control, const struct vm_saving *saving, struct error *error);
/* Also for `mote ps`; an error is of that. */
int vm_control_set_paused(struct vm_control *control, bool paused, struct error *error);

/* ---- vm_status.c ------------------------------------------------------------ */

uint64_t vm_status_now_ms(void);
/* The caller's to put: what the supervisor knows without its monitor, and what that has counted. */
struct json_object *vm_status_of(const struct vm_control *control);
struct json_object *vm_status_statistics(const struct vm_statistics *statistics);

/* ---- vm_control_snapshot.c -------------------------------------------------- */

/* The VM is what the snapshot ID is: it may be a base. */
void vm_control_remember(struct vm_control *control, const uint8_t id[SNAPSHOT_ID_SIZE]);
int vm_control_begin_snapshot(struct vm_control *control, const struct snapshot_arguments *asked, struct error *error);
/* By the VM's process; its client is answered once it is on the disk. */
void vm_control_saved(struct vm_control *control);

/* ---- vm_control_device.c ---------------------------------------------------- */

int vm_control_replace_disk(struct vm_control *control, const struct disk_arguments *asked, struct error *error);
/* The VM's process has TAKEN the file, or never will. */
void vm_control_settle_disk(struct vm_control *control, bool taken);

int vm_control_set_rate(struct vm_control *control, const struct rate_arguments *asked, struct error *error);
/* By the request that was answered. */
void vm_control_rate_is_set(struct vm_control *control);

#endif
