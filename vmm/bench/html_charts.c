/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "vmm/bench/html.h"
#include "vmm/base/cleanup.h"

#define WIDTH 900
#define LEFT HTML_LABEL
#define RIGHT 90
#define ROW 26
#define TOP 14
#define BOTTOM 34
#define CURVES_HEIGHT 320
#define LEAST 1e-3 /* ms: what is left of it on a logarithmic scale */

/* From 10^FIRST to 10^LAST, over the chart's width. */
struct scale {
    int first, last;
};

static double place(const struct scale *scale, double value)
{
    double power = log10(value > LEAST ? value : LEAST);

    return LEFT + (WIDTH - LEFT - RIGHT) * (power - scale->first) / (scale->last - scale->first);
}

static struct scale scale_of(const struct results *results, enum metric metric)
{
    struct scale scale = { .first = 6, .last = -3 };

    for (size_t i = 0; i < results->count; i++) {
        struct summary summary = samples_summary(&results->entries[i].samples[metric]);

        if (summary.count == 0)
            continue;
        summary.minimum = summary.minimum > LEAST ? summary.minimum : LEAST;
        summary.maximum = summary.maximum > LEAST ? summary.maximum : LEAST;
        if (floor(log10(summary.minimum)) < scale.first)
            scale.first = (int)floor(log10(summary.minimum));
        if (ceil(log10(summary.maximum)) > scale.last)
            scale.last = (int)ceil(log10(summary.maximum));
    }
    if (scale.last <= scale.first)
        scale.last = scale.first + 1;
    return scale;
}

static void open_chart(FILE *stream, int height, const char *title)
{
    fprintf(stream, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, height);
    html_text(stream, title);
    fprintf(stream, "\">\n");
}

/* A power of ten in the unit that suits it: "10 ms", "1 s". */
static void put_power(FILE *stream, int power)
{
    if (power >= 3)
        fprintf(stream, "%.0f s", pow(10, power - 3));
    else if (power >= 0)
        fprintf(stream, "%.0f ms", pow(10, power));
    else
        fprintf(stream, "%.0f µs", pow(10, power + 3));
}

static void put_grid(const struct scale *scale, int bottom, FILE *stream)
{
    for (int power = scale->first; power <= scale->last; power++) {
        double x = place(scale, pow(10, power));

        fprintf(stream, "<line class=\"grid\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>"
                "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", x, TOP, x,
                bottom, x, bottom + 18);
        put_power(stream, power);
        fprintf(stream, "</text>\n");
    }
}

static size_t count_with(const struct results *results, enum metric metric)
{
    size_t count = 0;

    for (size_t i = 0; i < results->count; i++)
        count += results->entries[i].samples[metric].count > 0;
    return count;
}

static void put_box(const struct scale *scale, const struct entry *entry, enum metric metric,
                    size_t colour, double y, FILE *stream)
{
    struct summary summary = samples_summary(&entry->samples[metric]);
    double low = place(scale, summary.p25), high = place(scale, summary.p75);

    fprintf(stream, "<text class=\"label\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>"
            "<g class=\"c%zu\">", LEFT - 10, y + 4, entry->contender->name, colour);
    fprintf(stream, "<line class=\"stroke\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>",
            place(scale, summary.minimum), y, place(scale, summary.maximum), y);
    fprintf(stream, "<rect class=\"box\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"14\"/>", low,
            y - 7, high - low > 1 ? high - low : 1);
    fprintf(stream, "<line class=\"median\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/></g>",
            place(scale, summary.p50), y - 9, place(scale, summary.p50), y + 9);
    fprintf(stream, "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", WIDTH - 4,
            y + 4);
    html_figure(stream, summary.p50);
    fprintf(stream, " ms</text>\n");
}

void chart_boxes(const struct results *results, enum metric metric, FILE *stream)
{
    struct scale scale = scale_of(results, metric);
    int bottom = TOP + ROW * (int)count_with(results, metric);
    size_t row = 0;

    open_chart(stream, bottom + BOTTOM, metrics[metric].title);
    put_grid(&scale, bottom, stream);
    for (enum bench_class class = 0; class < CLASS_COUNT; class++)
        for (size_t i = 0; i < results->count; i++) {
            const struct entry *entry = &results->entries[i];

            if (entry->contender->class != class || entry->samples[metric].count == 0)
                continue;
            put_box(&scale, entry, metric, row % HTML_COLOURS, TOP + ROW * ((double)row + 0.5),
                    stream);
            row++;
        }
    fprintf(stream, "</svg>\n");
}

/* ---- curves --------------------------------------------------------------- */

static double height_of(double share)
{
    return TOP + (CURVES_HEIGHT - TOP - BOTTOM) * (1 - share);
}

static void put_curve(const struct scale *scale, const struct entry *entry, enum metric metric,
                      size_t index, FILE *stream)
{
    cleanup_free double *values = samples_sorted(&entry->samples[metric]);
    size_t count = entry->samples[metric].count;

    if (!values)
        return;
    fprintf(stream, "<path class=\"curve c%zu s%zu\" d=\"M%.1f %.1f", index % HTML_COLOURS,
            index / HTML_COLOURS % HTML_STROKES, place(scale, values[0]), height_of(0));
    for (size_t i = 0; i < count; i++)
        fprintf(stream, "H%.1fV%.1f", place(scale, values[i]),
                height_of((double)(i + 1) / (double)count));
    fprintf(stream, "H%d\"><title>%s</title></path>\n", WIDTH - RIGHT, entry->contender->name);
}

static void put_legend(const struct entry *entry, size_t index, FILE *stream)
{
    fprintf(stream, "<span class=\"c%zu\"><i class=\"s%zu\"></i>%s</span> ", index % HTML_COLOURS,
            index / HTML_COLOURS % HTML_STROKES, entry->contender->name);
}

void chart_curves(const struct results *results, enum metric metric, FILE *stream)
{
    struct scale scale = scale_of(results, metric);
    size_t index = 0;

    open_chart(stream, CURVES_HEIGHT, metrics[metric].title);
    put_grid(&scale, CURVES_HEIGHT - BOTTOM, stream);
    for (int percent = 0; percent <= 100; percent += 25)
        fprintf(stream, "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>"
                "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d %%</text>\n", LEFT,
                height_of(percent / 100.0), WIDTH - RIGHT, height_of(percent / 100.0), LEFT - 10,
                height_of(percent / 100.0) + 4, percent);
    for (size_t i = 0; i < results->count; i++)
        if (results->entries[i].samples[metric].count > 0)
            put_curve(&scale, &results->entries[i], metric, index++, stream);
    fprintf(stream, "</svg>\n<p class=\"legend\">");
    index = 0;
    for (size_t i = 0; i < results->count; i++)
        if (results->entries[i].samples[metric].count > 0)
            put_legend(&results->entries[i], index++, stream);
    fprintf(stream, "</p>\n");
}

/* ---- steps ---------------------------------------------------------------- */

void chart_steps(const struct results *results, FILE *stream)
{
    double total = 0, at = 0;
    int rows = (int)results->step_count;

    for (size_t i = 0; i < results->step_count; i++)
        total += results->steps[i].ms > 0 ? results->steps[i].ms : 0;
    if (total <= 0)
        return;
    /* The first is the origin, of no length: its row is that of all together. */
    open_chart(stream, TOP + ROW * rows + 8, "Mote's own steps");
    fprintf(stream, "<text class=\"label\" x=\"%d\" y=\"%d\" text-anchor=\"end\">all</text>\n",
            LEFT - 10, TOP + ROW / 2 + 4);
    for (size_t i = 1; i < results->step_count; i++) {
        const struct step *step = &results->steps[i];
        double length = (step->ms > 0 ? step->ms : 0) / total * (WIDTH - LEFT - RIGHT);
        double x = LEFT + at / total * (WIDTH - LEFT - RIGHT);
        int y = TOP + ROW * (int)i;

        fprintf(stream, "<g class=\"c%zu\"><rect class=\"bar\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" "
                "height=\"18\"/><rect class=\"bar\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" "
                "height=\"18\"/></g>", i % HTML_COLOURS, x, TOP + 4, length > 0.5 ? length : 0.5, x,
                y + 4, length > 1 ? length : 1);
        fprintf(stream, "<text class=\"label\" x=\"%d\" y=\"%d\" text-anchor=\"end\">", LEFT - 10,
                y + 17);
        html_text(stream, step->name);
        fprintf(stream, "</text><text class=\"tick\" x=\"%d\" y=\"%d\" text-anchor=\"end\">",
                WIDTH - 4, y + 17);
        html_figure(stream, step->ms);
        fprintf(stream, " ms</text>\n");
        at += step->ms > 0 ? step->ms : 0;
    }
    fprintf(stream, "<text class=\"tick\" x=\"%d\" y=\"%d\" text-anchor=\"end\">", WIDTH - 4,
            TOP + ROW / 2 + 4);
    html_figure(stream, total);
    fprintf(stream, " ms</text>\n</svg>\n");
}
