/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "vmm/bench/report.h"

#define NAME_WIDTH 32
#define BAR_WIDTH 40

/* Three figures are all that a measurement of this kind has. */
static void print_figure(FILE *stream, double value, int width)
{
    int decimals = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;

    fprintf(stream, " %*.*f", width - 1, decimals, value);
}

static int column_width(const struct section_column *column)
{
    int length = (int)strlen(column->title) + 2;

    return length > 10 ? length : 10;
}

static void print_row(const struct results *results, const struct section *section,
                      const struct entry *entry, FILE *stream)
{
    double ratio = entry_ratio(results, entry, section->ratio);

    fprintf(stream, "  %-*s", NAME_WIDTH - 2, entry->contender->name);
    for (const struct section_column *column = section->columns; column->title; column++) {
        if (entry->samples[column->metric].count > 0)
            print_figure(stream, entry_value(entry, column->metric, column->statistic),
                         column_width(column));
        else
            fprintf(stream, " %*s", column_width(column) - 1, "-");
    }
    if (ratio > 0)
        print_figure(stream, ratio, 10);
    else
        fprintf(stream, " %9s", "-");
    fprintf(stream, " %6zu\n", entry->samples[section->columns[0].metric].count);
}

static void print_section(const struct results *results, const struct section *section,
                          FILE *stream)
{
    fprintf(stream, "\n%s\n%-*s", section->title, NAME_WIDTH, "");
    for (const struct section_column *column = section->columns; column->title; column++)
        fprintf(stream, " %*s", column_width(column) - 1, column->title);
    fprintf(stream, " %9s %6s\n", "x Mote", "n");
    for (enum bench_class class = 0; class < CLASS_COUNT; class++) {
        bool titled = false;

        for (size_t i = 0; i < results->count; i++) {
            const struct entry *entry = &results->entries[i];

            if (entry->contender->class != class || !entry_has_figures(entry, section))
                continue;
            if (!titled)
                fprintf(stream, " %s\n", class_titles[class]);
            titled = true;
            print_row(results, section, entry, stream);
        }
    }
}

static void print_steps(const struct results *results, FILE *stream)
{
    double total = 0, at = 0;

    if (results->step_count == 0)
        return;
    for (size_t i = 0; i < results->step_count; i++)
        total += results->steps[i].ms;
    fprintf(stream, "\nMote's own steps (mote run), p50 in ms\n");
    for (size_t i = 1; i < results->step_count; i++) {
        const struct step *step = &results->steps[i];
        int from = total > 0 ? (int)(at / total * BAR_WIDTH) : 0, to;

        at += step->ms;
        to = total > 0 ? (int)(at / total * BAR_WIDTH) : 0;
        fprintf(stream, "  %-*s %9.3f  |", NAME_WIDTH, step->name, step->ms);
        for (int column = 0; column < BAR_WIDTH; column++)
            fputc(column == from || (column > from && column < to) ? '#' : ' ', stream);
        fprintf(stream, "|\n");
    }
}

static void print_host(const struct results *results, FILE *stream)
{
    const struct host *host = &results->host;

    fprintf(stream, "host: %s, %s, %u CPU%s, %llu MiB, as %s\n", host->kernel, host->processor,
            host->cpus, host->cpus == 1 ? "" : "s", (unsigned long long)(host->memory >> 20),
            host->user);
    fprintf(stream, "      %s; mitigations: %s; cgroup: %s\n", host->machine, host->mitigations,
            host->cgroup);
    fprintf(stream, "job:  a static program that prints a line and ends; a VM has 128 MiB, 1 CPU\n");
    if (results->kernel[0])
        fprintf(stream, "kernel of VMs: %s\n"
                "      those with vmlinux in their name, and firecracker and cloud-hypervisor without "
                "bzimage in theirs,\n      boot it uncompressed, as mote run does\n", results->kernel);
    if (results->stock_kernel[0])
        fprintf(stream, "stock kernel: %s\n", results->stock_kernel);
    for (size_t i = 0; i < results->note_count; i++)
        fprintf(stream, "note: %s\n", results->notes[i]);
}

static void print_failures(const struct results *results, FILE *stream)
{
    for (size_t i = 0; i < results->count; i++) {
        const struct entry *entry = &results->entries[i];

        if (entry->failures > 0)
            fprintf(stream, "failed: %s, %u time%s: %s\n", entry->contender->name, entry->failures,
                    entry->failures == 1 ? "" : "s", entry->failure);
    }
}

static void print_absent(const struct results *results, FILE *stream)
{
    for (size_t i = 0; i < results->count; i++) {
        const struct entry *entry = &results->entries[i];

        if (entry->chosen && !entry->program[0])
            fprintf(stream, "not here: %s (%s)\n", entry->contender->name,
                    entry->contender->install);
    }
}

void report_table(const struct results *results, FILE *stream)
{
    print_host(results, stream);
    for (size_t i = 0; i < section_count; i++)
        if (section_has_figures(results, &sections[i]))
            print_section(results, &sections[i], stream);
    print_steps(results, stream);
    fputc('\n', stream);
    print_failures(results, stream);
    print_absent(results, stream);
    for (size_t i = 0; i < results->count; i++)
        if (results->entries[i].version[0])
            fprintf(stream, "version: %s: %s\n", results->entries[i].contender->name,
                    results->entries[i].version);
}

void report_list(const struct results *results, FILE *stream)
{
    for (enum bench_class class = 0; class < CLASS_COUNT; class++) {
        fprintf(stream, "%s\n", class_titles[class]);
        for (size_t i = 0; i < results->count; i++) {
            const struct entry *entry = &results->entries[i];

            if (entry->contender->class != class)
                continue;
            if (entry->program[0])
                fprintf(stream, "  %-*s %s\n    %s\n", NAME_WIDTH, entry->contender->name,
                        entry->program, entry->contender->command);
            else
                fprintf(stream, "  %-*s not here: %s\n", NAME_WIDTH, entry->contender->name,
                        entry->contender->install);
        }
    }
}
