/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BENCH_HTML_H
#define MOTE_BENCH_HTML_H

/*
 * Parts of the page.  All of it is XML, too, so that any parser can check it.
 * Charts are inline SVG; their colours are the page's, by the classes c0 to c9.
 */

#include <stdio.h>

#include "vmm/bench/results.h"

#define HTML_COLOURS 10
#define HTML_STROKES 4 /* s0 to s3: of each, curves in all colours */
#define HTML_LABEL 230 /* pixels before a chart, for the longest name */

/* TEXT, which may hold anything, as text or as an attribute's value. */
void html_text(FILE *stream, const char *text);

/* A figure with the digits that it deserves. */
void html_figure(FILE *stream, double value);

/* Each contender's quartiles as a box, from its least to its greatest as a line; logarithmic. */
void chart_boxes(const struct results *results, enum metric metric, FILE *stream);

/* How many of its starts each contender has finished by then; logarithmic. */
void chart_curves(const struct results *results, enum metric metric, FILE *stream);

/* The steps of one start, one after the other. */
void chart_steps(const struct results *results, FILE *stream);

#endif
