/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mote-bench, which `mote bench` becomes: a program of its own, so that mote
 * stays small.
 */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/bench/bench.h"
#include "vmm/bench/report.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/program.h"

#define QUICK_SECONDS 52 /* the rest of the minute is for what runs then */

static volatile bool stopped;
static volatile sig_atomic_t stop_signal;

static void stop(int number)
{
    stop_signal = number;
    stopped = true;
}

static void catch_signals(void)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction action = { .sa_handler = stop };

    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++)
        sigaction(numbers[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Which are measured: those named; by default all, but slow ones when it must be quick. */
static void choose(struct bench *bench)
{
    const struct bench_options *options = bench->options;

    for (size_t i = 0; i < bench->results.count; i++) {
        struct entry *entry = &bench->results.entries[i];
        bool is_stock = entry->contender->kernel == KERNEL_STOCK;

        entry->chosen = bench_list_has(options->only, entry->contender->name);
        if (!options->only && is_stock &&
            (options->quick || !bench->workshop.kernels[KERNEL_STOCK][0]))
            entry->chosen = false;
        workshop_find_program(&bench->workshop, entry,
                              bench_options_path(options, entry->contender->option));
    }
}

static int close_stream(FILE *stream, const char *path, struct error *error)
{
    bool bad = ferror(stream) != 0;

    if (fclose(stream) != 0 || bad)
        return error_set(error, EIO, "%s: cannot be written in full; is the disk full?", path);
    return 0;
}

static int write_reports(const struct bench *bench, struct error *error)
{
    const struct bench_options *options = bench->options;
    FILE *page;
    int result = 0;

    if (options->json)
        report_json(&bench->results, stdout);
    else if (options->csv)
        report_csv(&bench->results, stdout);
    else
        report_table(&bench->results, stdout);
    if (fflush(stdout) != 0)
        result = error_system(error, errno, "standard output");
    if (!options->html)
        return result;
    page = fopen(options->html, "we");
    if (!page)
        return error_system(error, errno, "--html %s", options->html);
    report_html(&bench->results, page);
    return close_stream(page, options->html, error) < 0 ? -error->number : result;
}

/* A page that cannot be written is better known before than after. */
static int check_page(const char *path, struct error *error)
{
    FILE *page = path ? fopen(path, "ae") : NULL;

    if (!path)
        return 0;
    if (!page)
        return error_set(error, errno, "--html %s: %s; name a file in a folder that you may write",
                         path, strerror(errno));
    return close_stream(page, path, error);
}

static int measure_all(struct bench *bench, struct error *error)
{
    int result = instances_prepare(error);

    host_describe(&bench->results.host);
    if (result == 0)
        result = workshop_open(&bench->workshop, bench->options->rootfs,
                               bench_has_axis(bench, "block"), error);
    if (result == 0)
        result = bench_measure(bench, error);
    bench_progress_end(&bench->progress);
    workshop_close(&bench->workshop);
    return result;
}

static int run(struct bench *bench, struct error *error)
{
    const struct bench_options *options = bench->options;
    int result = workshop_find(&bench->workshop, options->kernel, options->stock_kernel, error);

    if (result == 0 && results_init(&bench->results) < 0)
        result = error_system(error, ENOMEM, "the results");
    if (result < 0)
        return result;
    choose(bench);
    memcpy(bench->results.kernel, bench->workshop.kernels[KERNEL_OWN], PATH_MAX);
    memcpy(bench->results.stock_kernel, bench->workshop.kernels[KERNEL_STOCK], PATH_MAX);
    bench->results.memory_budget = options->memory_budget;
    if (options->list) {
        report_list(&bench->results, stdout);
        return fflush(stdout) == 0 ? 0 : error_system(error, errno, "standard output");
    }
    result = check_page(options->html, error);
    if (result == 0)
        result = measure_all(bench, error);
    /* What there is by then may be worth having. */
    return result == 0 ? write_reports(bench, error) : result;
}

int main(int argc, char **argv)
{
    struct bench_options options;
    struct bench bench = { .options = &options, .workshop = WORKSHOP_INIT, .stop = &stopped };
    struct error error = ERROR_INIT;
    bool helped = false;
    int result;

    setlocale(LC_CTYPE, "C.UTF-8");
    result = bench_options_parse(&options, argc, argv, &helped, &error);
    if (result == 0 && helped)
        return STATUS_OK;
    bench.deadline = now_ns() + QUICK_SECONDS * 1000000000ll;
    if (getrandom(&bench.random, sizeof(bench.random), 0) < 0 || bench.random == 0)
        bench.random = (uint64_t)now_ns() | 1;
    bench_progress_init(&bench.progress);
    catch_signals();
    if (result == 0)
        result = run(&bench, &error);
    results_release(&bench.results);
    if (result < 0)
        return command_failed(&error);
    return stopped ? STATUS_SIGNAL + stop_signal : STATUS_OK;
}
