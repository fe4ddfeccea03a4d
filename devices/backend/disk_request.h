/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_DISK_REQUEST_H
#define MOTE_DISK_REQUEST_H

/*
 * One request to a disk, and how it is carried out in steps.
 *
 * A step is one call of the host.  A request needs several when the host moves
 * fewer bytes than asked, when buffers do not suit O_DIRECT and go through a
 * bounce buffer in pieces, when a discard has several ranges, when zeroes must
 * be written by hand, or when a write must be stable before it completes.  What
 * comes next after which result is decided here, once for all engines:
 *
 *     disk_request_begin(request)
 *     while (disk_request_step(request, file) == DISK_STEP_CALL)
 *         disk_request_stepped(request, file, result of the call request->step)
 *     request->result is 0 or a negative errno
 *
 * Not so where it said DISK_STEP_WAIT: then the request waits for the disk's sync
 * (disk_sync.h), and comes back among what another one has RELEASED at its end.
 * Each of those is to be gone on with, by disk_request_step().
 *
 * On a disk with an overlay writes go to that, and a read is split where its
 * sectors change between overlay and image.
 *
 * A read that meets the end of the file fails: the disk is as large as it was
 * said to be, and nobody gets bytes that were never read.  A step that was
 * interrupted or refused for the moment is tried again, so many times.
 *
 * A failed sync is never tried again, whatever its error: the next one would
 * succeed and promise what is not true.  Every later flush fails too, and every
 * write that is to be stable.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "devices/backend/disk_file.h"

/* As many as a chain may have, and what a discard request may list. */
#define DISK_SEGMENTS_MAX 256
#define DISK_RANGES_MAX 16
/* Of buffers that do not suit the host, and of zeroes written by hand. */
#define DISK_BOUNCE_SIZE (64u << 10)

enum disk_operation { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_ZERO };

struct disk_range {
    uint64_t offset; /* bytes */
    uint64_t length;
    bool unmap; /* of DISK_ZERO: the space may be given back */
};

enum disk_call { DISK_CALL_READ, DISK_CALL_WRITE, DISK_CALL_SYNC, DISK_CALL_ALLOCATE };

/* One call of the host: preadv, pwritev, fdatasync or fallocate. */
struct disk_step {
    enum disk_call call;
    bool in_overlay; /* on the file's overlay, not on the file */
    int mode; /* of DISK_CALL_ALLOCATE: FALLOC_FL_… */
    uint64_t offset;
    uint64_t length; /* of DISK_CALL_ALLOCATE */
    const struct iovec *segments;
    unsigned int count;
};

struct disk_request {
    /* The caller's. */
    enum disk_operation operation;
    bool durable;       /* stable on the disk before it completes */
    uint64_t offset;    /* of reads and writes, bytes */
    uint64_t length;
    uint16_t count;     /* of SEGMENTS, whose lengths make LENGTH */
    uint16_t range_count;
    struct iovec segments[DISK_SEGMENTS_MAX]; /* used up on the way */
    struct disk_range ranges[DISK_RANGES_MAX];
    int result;         /* 0 or a negative errno, once completed */
    struct disk_request *next; /* of the list that the request is in */

    /* Progress. */
    struct disk_step step;
    uint64_t left;      /* bytes of a read or write */
    uint16_t first;     /* segment or range */
    uint16_t retries;   /* without progress */
    bool bounced;       /* its buffers do not suit O_DIRECT */
    bool by_hand;       /* zeroes are written, since the host knows no better way */
    bool flushing;      /* all else is done */
    bool flushed_once;  /* the overlay's map was written since */
    bool leads;         /* makes the disk's sync, for others too */
    struct request_list released; /* by the end of that */
    uint64_t mark;      /* the overlay's, of this flush */
    size_t cut;         /* bytes left out of the step's last segment */
    bool finished;
    uint8_t *bounce;    /* kept for the next request in this place */
    struct iovec piece; /* of the bounce buffer */
};

static inline void request_list_add(struct request_list *list, struct disk_request *request)
{
    request->next = NULL;
    if (list->head)
        *list->tail = request;
    else
        list->head = request;
    list->tail = &request->next;
    list->count++;
}

static inline struct disk_request *request_list_take(struct request_list *list)
{
    struct disk_request *request = list->head;

    if (request) {
        list->head = request->next;
        list->count--;
    }
    return request;
}

void disk_request_begin(struct disk_request *request, const struct disk_file *file);

enum disk_step_kind {
    DISK_STEP_FINISHED, /* with its result; perhaps it RELEASED others */
    DISK_STEP_CALL,     /* the next call to make is REQUEST->step */
    DISK_STEP_WAIT,     /* another thread may have the request already */
};

enum disk_step_kind disk_request_step(struct disk_request *request, struct disk_file *file);

/* RESULT is the call's: bytes, 0 or a negative errno. */
void disk_request_stepped(struct disk_request *request, struct disk_file *file, int64_t result);

/* The same for a request that was cancelled meanwhile: what concerns the disk is kept. */
void disk_request_abandoned(struct disk_request *request, struct disk_file *file, int64_t result);

/* Frees the bounce buffer, if it has one. */
void disk_request_release(struct disk_request *request);

#endif
