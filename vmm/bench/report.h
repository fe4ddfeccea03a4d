/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BENCH_REPORT_H
#define MOTE_BENCH_REPORT_H

/*
 * The results as a text for people, as JSON and CSV for programs, as a page with
 * charts.  Texts of other programs, versions and reasons of failures, may hold
 * anything: each report escapes them its own way.
 */

#include <stdio.h>

#include "vmm/bench/results.h"

/* To STREAM, whose errors the caller finds by ferror() and fclose(). */
void report_table(const struct results *results, FILE *stream);
void report_json(const struct results *results, FILE *stream);
void report_csv(const struct results *results, FILE *stream);
void report_html(const struct results *results, FILE *stream);

/* Only what is here and what is not, without figures. */
void report_list(const struct results *results, FILE *stream);

#endif
