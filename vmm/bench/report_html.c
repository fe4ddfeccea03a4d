/* SPDX-License-Identifier: Apache-2.0 */
/* One page that needs nothing but itself: no script, no font, no picture from elsewhere. */
#include "vmm/bench/report.h"

#include "vmm/bench/html.h"

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
    "<title>mote bench</title>\n<style>\n"
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1c1e21;--soft:#5d646c;--line:#d9dde2;"
    "--card:#f5f6f8}\n"
    ".c0{--c:#4b5563}.c1{--c:#0b6fb8}.c2{--c:#00856a}.c3{--c:#8a5fd1}.c4{--c:#c2410c}"
    ".c5{--c:#b0357d}.c6{--c:#8c6d00}.c7{--c:#d1242f}.c8{--c:#2f9bd8}.c9{--c:#5b7a00}\n"
    "@media (prefers-color-scheme:dark){:root{--bg:#15171a;--fg:#e7e9ec;--soft:#a1a8b0;"
    "--line:#363b42;--card:#1e2125}\n"
    ".c0{--c:#aab2bd}.c1{--c:#58b2f5}.c2{--c:#34d1ab}.c3{--c:#bda0ff}.c4{--c:#ff9a62}"
    ".c5{--c:#f08cc4}.c6{--c:#e5c34a}.c7{--c:#ff7b81}.c8{--c:#8fd3ff}.c9{--c:#b7d24a}}\n"
    "body{background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif;"
    "max-width:960px;margin:2em auto;padding:0 1em}\n"
    "h1{font-size:1.6em;margin:0}h2{font-size:1.15em;margin:2.2em 0 .6em}"
    "h3{font-size:1em;margin:1.4em 0 .3em;color:var(--soft)}\n"
    "p{margin:.5em 0}.soft,.tick{color:var(--soft)}code{font-size:.85em;overflow-wrap:anywhere}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.15em 1em;background:var(--card);"
    "border-radius:8px;padding:.8em 1em}dt{color:var(--soft)}dd{margin:0}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%;"
    "font-variant-numeric:tabular-nums;font-size:.9em}\n"
    "th,td{padding:.25em .6em;text-align:right;border-bottom:1px solid var(--line);"
    "white-space:nowrap}th:first-child,td:first-child{text-align:left}\n"
    "th{color:var(--soft);font-weight:500}tr.class td{color:var(--soft);padding-top:.9em}"
    "tr.mote td{font-weight:600}\n"
    "svg{display:block;width:100%;height:auto;font:13px system-ui,sans-serif}"
    ".grid{stroke:var(--line)}svg .tick{fill:var(--soft)}svg .label{fill:var(--fg)}\n"
    ".bar{fill:var(--c)}.box{fill:var(--c);fill-opacity:.35;stroke:var(--c)}"
    ".stroke{stroke:var(--c)}.median{stroke:var(--c);stroke-width:3}"
    ".curve{fill:none;stroke:var(--c);stroke-width:2}path.s1{stroke-dasharray:6 4}"
    "path.s2{stroke-dasharray:2 3}path.s3{stroke-dasharray:12 3 2 3}\n"
    ".legend span{display:inline-block;margin-right:1.2em}.legend i{display:inline-block;"
    "width:1.6em;border-top:3px solid var(--c);vertical-align:middle;margin-right:.4em}"
    ".legend .s1{border-top-style:dashed}.legend .s2{border-top-style:dotted}"
    ".legend .s3{border-top-style:double}\n"
    "</style></head><body>\n<h1>mote bench</h1>\n"
    "<p class=\"soft\">The same job under each of them: a static program that prints a line and "
    "ends. A VM has 128 MiB and one CPU. A ratio is to the row of Mote that does the same. "
    "mote run, firecracker, cloud-hypervisor and those with vmlinux in their name boot the "
    "uncompressed kernel, the other VMs (bzimage in the name of those two) the bzImage, which "
    "unpacks itself.</p>\n";

static void put_pair(FILE *stream, const char *name, const char *value)
{
    fprintf(stream, "<dt>%s</dt><dd>", name);
    html_text(stream, value[0] ? value : "none");
    fprintf(stream, "</dd>\n");
}

static void put_host(const struct results *results, FILE *stream)
{
    const struct host *host = &results->host;
    char text[64];

    fprintf(stream, "<dl>\n");
    put_pair(stream, "kernel", host->kernel);
    put_pair(stream, "processor", host->processor);
    snprintf(text, sizeof(text), "%u CPU%s, %llu MiB", host->cpus, host->cpus == 1 ? "" : "s",
             (unsigned long long)(host->memory >> 20));
    put_pair(stream, "size", text);
    put_pair(stream, "machine", host->machine);
    put_pair(stream, "mitigations", host->mitigations);
    put_pair(stream, "cgroup", host->cgroup);
    put_pair(stream, "user", host->user);
    put_pair(stream, "VM kernel", results->kernel);
    put_pair(stream, "stock kernel", results->stock_kernel);
    fprintf(stream, "</dl>\n");
}

static void put_row(const struct results *results, const struct section *section,
                    const struct entry *entry, FILE *stream)
{
    double ratio = entry_ratio(results, entry, section->ratio);

    fprintf(stream, "<tr%s><td>%s</td>",
            entry->contender->program[0] == 'm' && entry->contender->class != CLASS_FLOOR
                ? " class=\"mote\"" : "",
            entry->contender->name);
    for (const struct section_column *column = section->columns; column->title; column++) {
        fprintf(stream, "<td>");
        if (entry->samples[column->metric].count > 0)
            html_figure(stream, entry_value(entry, column->metric, column->statistic));
        fprintf(stream, "</td>");
    }
    fprintf(stream, "<td>");
    if (ratio > 0)
        html_figure(stream, ratio);
    fprintf(stream, "</td><td>%zu</td></tr>\n",
            entry->samples[section->columns[0].metric].count);
}

static void put_section(const struct results *results, const struct section *section, FILE *stream)
{
    size_t columns = 3;

    fprintf(stream, "<h2>%s</h2>\n<div class=\"wide\"><table><tr><th></th>", section->title);
    for (const struct section_column *column = section->columns; column->title; column++, columns++)
        fprintf(stream, "<th>%s</th>", column->title);
    fprintf(stream, "<th>× Mote</th><th>n</th></tr>\n");
    for (enum bench_class class = 0; class < CLASS_COUNT; class++) {
        bool titled = false;

        for (size_t i = 0; i < results->count; i++) {
            const struct entry *entry = &results->entries[i];

            if (entry->contender->class != class || !entry_has_figures(entry, section))
                continue;
            if (!titled)
                fprintf(stream, "<tr class=\"class\"><td colspan=\"%zu\">%s</td></tr>\n", columns,
                        class_titles[class]);
            titled = true;
            put_row(results, section, entry, stream);
        }
    }
    fprintf(stream, "</table></div>\n");
}

static bool has_samples(const struct results *results, enum metric metric)
{
    for (size_t i = 0; i < results->count; i++)
        if (results->entries[i].samples[metric].count > 0)
            return true;
    return false;
}

/* The charts that belong to a section: of those metrics that have many samples. */
static void put_charts(const struct results *results, const struct section *section, FILE *stream)
{
    enum metric metric = section->columns[0].metric;

    if ((metric != METRIC_RESULT && metric != METRIC_COLD_RESULT) || !has_samples(results, metric))
        return;
    fprintf(stream, "<h3>Quartiles, least and greatest; at the right, p50</h3>\n");
    chart_boxes(results, metric, stream);
    fprintf(stream, "<h3>Share of starts whose result is there</h3>\n");
    chart_curves(results, metric, stream);
}

static void put_failure(const struct entry *entry, FILE *stream)
{
    fprintf(stream, "<li><b>%s</b> ", entry->contender->name);
    if (!entry->program[0]) {
        fprintf(stream, "is not here: ");
        html_text(stream, entry->contender->install);
    } else {
        fprintf(stream, "failed %u time%s: ", entry->failures, entry->failures == 1 ? "" : "s");
        html_text(stream, entry->failure);
    }
    fprintf(stream, "</li>\n");
}

static bool is_missing(const struct entry *entry)
{
    return entry->chosen && (!entry->program[0] || entry->failures > 0);
}

static void put_missing(const struct results *results, FILE *stream)
{
    size_t count = results->note_count;

    for (size_t i = 0; i < results->count; i++)
        count += is_missing(&results->entries[i]);
    if (count == 0)
        return;
    fprintf(stream, "<h2>What is missing</h2>\n<ul>\n");
    for (size_t i = 0; i < results->count; i++)
        if (is_missing(&results->entries[i]))
            put_failure(&results->entries[i], stream);
    for (size_t i = 0; i < results->note_count; i++) {
        fprintf(stream, "<li>");
        html_text(stream, results->notes[i]);
        fprintf(stream, "</li>\n");
    }
    fprintf(stream, "</ul>\n");
}

static void put_commands(const struct results *results, FILE *stream)
{
    fprintf(stream, "<h2>What was run</h2>\n<div class=\"soft\">");
    for (size_t i = 0; i < results->count; i++) {
        const struct entry *entry = &results->entries[i];

        if (!entry->chosen || !entry->program[0])
            continue;
        fprintf(stream, "<p><b>%s</b> ", entry->contender->name);
        html_text(stream, entry->version);
        fprintf(stream, "<br/><code>");
        html_text(stream, entry->contender->command);
        fprintf(stream, "</code></p>\n");
    }
    fprintf(stream, "</div>\n");
}

void report_html(const struct results *results, FILE *stream)
{
    fputs(head, stream);
    put_host(results, stream);
    for (size_t i = 0; i < section_count; i++) {
        if (!section_has_figures(results, &sections[i]))
            continue;
        put_section(results, &sections[i], stream);
        put_charts(results, &sections[i], stream);
    }
    if (results->step_count > 1) {
        fprintf(stream, "<h2>Where the time of mote run goes, p50</h2>\n");
        chart_steps(results, stream);
    }
    put_missing(results, stream);
    put_commands(results, stream);
    fprintf(stream, "</body></html>\n");
}
