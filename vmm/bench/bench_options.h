/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BENCH_BENCH_OPTIONS_H
#define MOTE_BENCH_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

#define BENCH_PATHS_MAX 16

struct bench_options {
    bool quick, json, csv, list;
    unsigned int runs;      /* of each contender, 0: by default */
    unsigned int at_once;   /* how many besides, 0: none */
    const char *only;       /* names with commas between; NULL: all that are here */
    const char *axes;       /* the same */
    const char *html;
    const char *rootfs, *kernel, *stock_kernel;
    uint64_t memory_budget; /* bytes */
    struct contender_path {
        const char *option, *path;
    } paths[BENCH_PATHS_MAX];
    size_t path_count;
};

/* *HELPED: the help was asked for and printed. */
int bench_options_parse(struct bench_options *options, int argc, char **argv, bool *helped,
                        struct error *error);

/* Whether NAME is in LIST, names with commas between; a list that is NULL has all. */
bool bench_list_has(const char *list, const char *name);

/* The path that an option names, or NULL. */
const char *bench_options_path(const struct bench_options *options, const char *option);

#endif
