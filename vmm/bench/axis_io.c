/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job gets of the host's disk and network: it measures from inside, by its
 * own clock, and its line tells.  The disk's data are in the host's page cache,
 * so that it is the way there that is measured and not the host's disk.
 */
#include "vmm/bench/bench.h"
#include "vmm/bench/peer.h"

#define ROUNDS 5
#define ROUNDS_BRIEF 1
#define JOB_MS 2500 /* longer than another start */

static unsigned int rounds_of(const struct bench *bench)
{
    return bench_is_brief(bench) ? ROUNDS_BRIEF : ROUNDS;
}

/* Both axes alike. */
double axis_io_estimate(const struct bench *bench)
{
    double sum = 0;

    for (size_t i = 0; i < bench->results.count; i++)
        if (bench_is_able(&bench->results.entries[i]) &&
            contender_extra(bench->results.entries[i].contender, JOB_BLOCK))
            sum += bench->results.entries[i].typical_ms + JOB_MS;
    return sum * rounds_of(bench);
}

/* FIRST and the metric after it are what the line tells. */
static void record(struct entry *entry, const struct instance *instance, enum metric first)
{
    for (int i = 0; i < 2; i++)
        if (instance->figures[i] > 0)
            bench_add(entry, first + (enum metric)i, instance->figures[i]);
}

static void record_block(struct entry *entry, const struct instance *instance)
{
    record(entry, instance, METRIC_BLOCK_RANDOM);
}

static void record_network(struct entry *entry, const struct instance *instance)
{
    record(entry, instance, METRIC_NETWORK_TRIPS);
}

void axis_block(struct bench *bench, const struct axis *axis, int64_t deadline)
{
    const struct bench_rounds rounds = {
        .mode = JOB_BLOCK, .count = rounds_of(bench), .record = record_block,
    };

    bench_run_rounds(bench, axis, deadline, &rounds);
}

void axis_network(struct bench *bench, const struct axis *axis, int64_t deadline)
{
    const struct bench_rounds rounds = {
        .mode = JOB_NETWORK, .count = rounds_of(bench), .record = record_network,
    };
    struct error error = ERROR_INIT;
    struct peer *peer;

    if (peer_start(&peer, bench->workshop.peer, sizeof(bench->workshop.peer), &error) < 0) {
        results_note(&bench->results, "the network is not measured: %s", error.message);
        return;
    }
    bench_run_rounds(bench, axis, deadline, &rounds);
    peer_stop(peer);
}
