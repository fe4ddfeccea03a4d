/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job gets of the host's disk and network: it measures from inside, by its
 * own clock, and its line tells.  The disk's data are in the host's page cache,
 * so that it is the way there that is measured and not the host's disk.
 */
#include <stdlib.h>

#include "vmm/bench/bench.h"
#include "vmm/bench/peer.h"
#include "vmm/cleanup.h"

#define ROUNDS 5
#define ROUNDS_BRIEF 1
#define JOB_MS 2500 /* longer than another start */

static unsigned int rounds_of(const struct bench *bench)
{
    return bench_is_brief(bench) ? ROUNDS_BRIEF : ROUNDS;
}

static bool takes_part(const struct entry *entry, enum job_mode mode)
{
    return bench_is_able(entry) && contender_extra(entry->contender, mode);
}

/* Both axes alike. */
double axis_io_estimate(const struct bench *bench)
{
    double sum = 0;

    for (size_t i = 0; i < bench->results.count; i++)
        if (takes_part(&bench->results.entries[i], JOB_BLOCK))
            sum += bench->results.entries[i].typical_ms + JOB_MS;
    return sum * rounds_of(bench);
}

/* FIRST and the metric after it are what the line tells. */
static void run_one(struct bench *bench, struct entry *entry, enum job_mode mode,
                    enum metric first)
{
    struct instance instance;

    if (!bench_run(bench, entry, mode, &instance))
        return;
    for (int i = 0; i < 2; i++)
        if (instance.figures[i] > 0)
            bench_add(entry, first + (enum metric)i, instance.figures[i]);
}

static void run_rounds(struct bench *bench, const struct axis *axis, int64_t deadline,
                       enum job_mode mode, enum metric first)
{
    cleanup_free size_t *order = calloc(bench->results.count, sizeof(*order));
    size_t count = bench->results.count;
    unsigned int rounds = rounds_of(bench);

    for (size_t i = 0; order && i < count; i++)
        order[i] = i;
    for (unsigned int round = 0; order && round < rounds; round++) {
        shuffle(order, count, &bench->random);
        for (size_t i = 0; i < count; i++) {
            struct entry *entry = &bench->results.entries[order[i]];

            if (!takes_part(entry, mode) || bench_is_over(bench, deadline))
                continue;
            bench_tell(bench, axis, (double)round / rounds, entry);
            run_one(bench, entry, mode, first);
        }
    }
}

void axis_block(struct bench *bench, const struct axis *axis, int64_t deadline)
{
    run_rounds(bench, axis, deadline, JOB_BLOCK, METRIC_BLOCK_RANDOM);
}

void axis_network(struct bench *bench, const struct axis *axis, int64_t deadline)
{
    struct error error = ERROR_INIT;
    struct peer *peer;

    if (peer_start(&peer, bench->workshop.peer, sizeof(bench->workshop.peer), &error) < 0) {
        results_note(&bench->results, "the network is not measured: %s", error.message);
        return;
    }
    run_rounds(bench, axis, deadline, JOB_NETWORK, METRIC_NETWORK_TRIPS);
    peer_stop(peer);
}
