/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_DISK_SYNC_H
#define MOTE_DISK_SYNC_H

/*
 * The syncs of a disk: one at a time, whose result all who wait for it share.
 *
 * The kernel reports a lost write once for each open file, to whichever sync
 * asks first, and then takes the page for clean.  Of two syncs at the same time
 * one would get the error and the other success, for the same lost bytes.  So
 * who wants a sync while one is at work waits for the next: that begins after
 * all that the waiting ones wrote, one of them leads it, and its result is
 * everybody's.
 *
 * After one error the disk has failed, and with it whatever waits and whatever
 * comes: nobody can tell what was lost.  Nothing takes that back but another file,
 * or opening the disk anew when a VM starts; a reset, a pause and a snapshot keep it.
 *
 * Calls are made by any thread.
 */

#include <pthread.h>
#include <stdbool.h>

struct disk_request;

/* A first-in, first-out list of requests, by their NEXT. */
struct request_list {
    struct disk_request *head;
    struct disk_request **tail; /* NULL with HEAD for the empty list */
    unsigned int count;
};

struct disk_sync {
    pthread_mutex_t lock;
    bool failed;
    bool running;                /* a leader has not ended its sync yet */
    struct request_list riders;  /* they share the one that is running */
    struct request_list waiting; /* for the one after */
};
#define DISK_SYNC_INIT { .lock = PTHREAD_MUTEX_INITIALIZER }

enum disk_sync_place {
    DISK_SYNC_LEADS,  /* makes the sync, and then calls disk_sync_end() */
    DISK_SYNC_WAITS,  /* belongs to the sync until a leader's end releases it */
    DISK_SYNC_FAILED, /* none will succeed any more */
};

enum disk_sync_place disk_sync_join(struct disk_sync *sync, struct disk_request *request);

/*
 * The leader's sync has ended with RESULT, 0 or a negative errno.  Requests that
 * are to go on come into RELEASED: those that share the result are finished by
 * it, and the next leader, if anyone waits, is there with its LEADS set.
 */
void disk_sync_end(struct disk_sync *sync, int result, struct request_list *released);

/* A sync that nobody waits for any more has failed. */
void disk_sync_fail(struct disk_sync *sync);

bool disk_sync_has_failed(struct disk_sync *sync);

/* The disk has another file, of which nothing was lost yet; no request is there. */
void disk_sync_renew(struct disk_sync *sync);

/* All requests are cancelled, and no thread is at one: nobody leads, rides or waits. */
void disk_sync_cancel(struct disk_sync *sync);

#endif
