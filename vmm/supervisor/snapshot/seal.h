/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SEAL_H
#define MOTE_SEAL_H

/*
 * What the supervisor vouches for: a snapshot's file "seal", written last and
 * never open in the VM's process.  It names the snapshot, the base that it is a
 * difference from, and what its memory is:
 *
 * The checksum of the memory file tells whether that was altered, but to reckon
 * it means to read all of the file, where a restored VM reads what it needs.  So
 * the seal has the time as well at which the file last changed in any way, which
 * the kernel keeps (ctime) and no program can set.  A file of that time is the
 * one that was sealed; of another, such as a copy, the checksum decides.
 *
 * On the disk it is a state (vmm/machine/state.h) of the one section "seal".
 */

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/snapshot/memory_file.h"

#define SEAL_PATH_MAX 4096

struct seal {
    uint8_t id[SNAPSHOT_ID_SIZE];
    uint64_t size; /* of RAM, bytes */
    char *base;    /* its base's folder, from this one's; NULL: it is full */
    uint8_t base_id[SNAPSHOT_ID_SIZE];
    uint64_t sum;  /* of the memory file */
    uint64_t changed_seconds, changed_nanoseconds; /* when that file was, at the last */
};

void seal_release(struct seal *seal);

static inline enum memory_file_kind seal_kind(const struct seal *seal)
{
    return seal->base ? MEMORY_DIFFERENCE : MEMORY_FULL;
}

/* To and from FD.  What is read is checked in itself; the caller releases SEAL in any case. */
int seal_write(struct seal *seal, int fd, struct error *error);
int seal_read(struct seal *seal, int fd, struct error *error);

/*
 * Sets what SEAL tells of the file MEMORY, which is complete.  The time is that of
 * before it is read: what is written meanwhile shows in another.
 */
int seal_memory(struct seal *seal, int memory, struct error *error);

enum seal_effort {
    SEAL_BY_TIME,  /* another time is an error: for who may not wait */
    SEAL_IN_DOUBT, /* where the time is another, read through */
    SEAL_THOROUGH, /* read through */
};

/* Whether MEMORY is as sealed.  What was read and is sound has its time, of before that, in SEAL. */
int seal_check(struct seal *seal, int memory, enum seal_effort effort, struct error *error);

#endif
