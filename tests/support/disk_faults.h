/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_DISK_FAULTS_H
#define MOTE_DISK_FAULTS_H

/* A disk bench whose host fails, is slow, or stands still, at the wish of a test. */

#include "tests/support/disk_bench.h"
#include "tests/support/device_options.h"

#include <semaphore.h>
#include <stdlib.h>


static const char *const engines[] = { ",engine=uring", ",engine=sync" };

/* What the host is to answer, and what it was asked. */
struct faults {
    int64_t result;        /* instead of the true one */
    unsigned int skip;     /* true results before */
    unsigned int times;    /* then so many false ones */
    int64_t sync_result;   /* of the first sync that follows, if not 0; the later ones succeed */
    int64_t at_most;       /* of bytes moved, if not 0 */
    uint64_t alignment;    /* of each transfer, if not 0 */
    atomic_uint misaligned;
    atomic_uint calls;
    atomic_bool hold;      /* calls stop until RELEASED */
    sem_t released;
    atomic_uint held;
};

static inline int64_t fault(void *context, const struct disk_step *step, int64_t result)
{
    struct faults *faults = context;
    unsigned int call = atomic_fetch_add(&faults->calls, 1);

    if (faults->alignment && step->offset % faults->alignment)
        atomic_fetch_add(&faults->misaligned, 1);
    if (faults->hold) {
        atomic_fetch_add(&faults->held, 1);
        sem_wait(&faults->released);
        atomic_fetch_sub(&faults->held, 1);
    }
    if (faults->sync_result && step->call == DISK_CALL_SYNC) {
        result = faults->sync_result;
        faults->sync_result = 0;
    }
    if (call >= faults->skip && call < faults->skip + faults->times)
        return faults->result;
    if (faults->at_most && result > faults->at_most && step->count > 0)
        return faults->at_most;
    return result;
}

struct faulty {
    struct disk_bench bench;
    struct faults faults;
};

static inline int set_up(void **state)
{
    struct faulty *faulty = calloc(1, sizeof(*faulty));

    sem_init(&faulty->faults.released, 0, 0);
    disk_bench_init(&faulty->bench, BENCH_SECTORS);
    *state = faulty;
    return 0;
}

static inline int tear_down(void **state)
{
    struct faulty *faulty = *state;

    disk_bench_release(&faulty->bench);
    sem_destroy(&faulty->faults.released);
    free(faulty);
    return 0;
}

/* The same file under a new device. */
static inline void restart(struct faulty *faulty, const char *settings, uint64_t features)
{
    struct disk_bench *bench = &faulty->bench;

    if (bench->block) {
        fake_driver_destroy(&bench->driver);
        device_options_release(bench->options);
        bench->block = NULL;
        bench->options = NULL;
    }
    disk_bench_start(bench, settings, features, 1);
    bench->block->file.fault = fault;
    bench->block->file.fault_context = &faulty->faults;
}

static inline void fail_next(struct faulty *faulty, unsigned int skip, unsigned int times,
                             int64_t result)
{
    atomic_store(&faulty->faults.calls, 0);
    faulty->faults.skip = skip;
    faulty->faults.times = times;
    faulty->faults.result = result;
}

static inline void check_pattern(struct faulty *faulty, uint64_t sector, uint32_t length)
{
    const uint8_t *data = disk_bench_data(&faulty->bench);

    for (uint32_t i = 0; i < length; i++)
        if (data[i] != disk_bench_byte(sector * 512 + i))
            fail_msg("byte %u is wrong", i);
}

#endif
