/* SPDX-License-Identifier: Apache-2.0 */
/* Comma-separated values (RFC 4180, but lines end as the host's do). */
#include <string.h>

#include "vmm/bench/report.h"

/*
 * Quoted where it must be.  A spreadsheet takes text that begins like a formula
 * for one: an apostrophe before it makes it text.
 */
static void put_text(FILE *stream, const char *text)
{
    if (text[0] && strchr("=+-@", text[0])) {
        fprintf(stream, "\"'");
    } else if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, stream);
        return;
    } else {
        fputc('"', stream);
    }
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', stream);
        fputc(*text, stream);
    }
    fputc('"', stream);
}

static void put_failure(const struct entry *entry, FILE *stream)
{
    const char *why = entry->program[0] ? entry->failure : "not here";

    if (!why[0] || !entry->chosen)
        return;
    fprintf(stream, "%s,%s,%s,,%zu,,,,,,,", entry->contender->name,
            class_names[entry->contender->class], "failed", (size_t)entry->failures);
    put_text(stream, why);
    fputc('\n', stream);
}

void report_csv(const struct results *results, FILE *stream)
{
    fprintf(stream, "contender,class,metric,unit,n,min,p50,p90,p99,max,ratio_to_mote,reason\n");
    for (size_t i = 0; i < results->count; i++) {
        const struct entry *entry = &results->entries[i];

        for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
            struct summary summary = samples_summary(&entry->samples[metric]);

            if (summary.count == 0)
                continue;
            fprintf(stream, "%s,%s,%s,%s,%zu,%.6g,%.6g,%.6g,%.6g,%.6g,%.6g,\n",
                    entry->contender->name, class_names[entry->contender->class],
                    metrics[metric].key, metrics[metric].unit, summary.count, summary.minimum,
                    summary.p50, summary.p90, summary.p99, summary.maximum,
                    entry_ratio(results, entry, metric));
        }
        put_failure(entry, stream);
    }
}
