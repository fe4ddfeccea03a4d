/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_OPTIONS_H
#define MOTE_RUN_OPTIONS_H

/* The options of `mote run`, as the user gave them. */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/config/config.h"
#include "vmm/base/error.h"
#include "vmm/job/job.h"
#include "vmm/jail/sandbox.h"

struct run_volume {
    char *source, *target;
};

struct run_options {
    struct vm_config vm;
    struct sandbox_config sandbox;
    const char *rootfs, *image;
    size_t volume_count;
    struct run_volume volumes[RUN_VOLUMES_MAX];
    char *output;      /* a folder for what is in /output, or NULL */
    bool output_merge; /* it may hold files */
    struct text_list environment; /* NAME=VALUE, in order */
    const char *work_directory, *user, *host_name, *name;
    bool entrypoint_given; /* in place of the image's, whose command is left out, too */
    struct text_list entrypoint;
    int stop_signal; /* 0: not given */
    bool interactive, tty, detach, remove, quiet, verbose, timeline, no_kernel_cache, warm;
    uint64_t pids, timeout_ms, output_limit, disk_limit, scratch, log_limit; /* 0: none given */
    unsigned int net; /* an index: none, user */
    struct passt_options network; /* of `user`: its ports, and what is open besides the outside */
    const char *kernel, *verdict;
    char **words; /* the command and its arguments; ends in NULL */
};

enum { RUN_NET_NONE, RUN_NET_USER };

/* *HELPED: there is nothing else to do.  Release by run_options_release(). */
int run_options_parse(struct run_options *options, int argc, char **argv, bool *helped,
                      struct error *error);
void run_options_release(struct run_options *options);

/* A time: seconds, or with ms, s, m, h or d; fractions are fine. */
int run_duration(const char *name, const char *value, uint64_t *ms, struct error *error);

/* HOSTPATH:GUESTPATH[:ro] into two strings of the caller's. */
int run_volume_parse(const char *value, struct run_volume *volume, struct error *error);

/* DIR[,merge] into a string of the caller's, and whether the word was there. */
int run_output_parse(const char *value, char **folder, bool *merge, struct error *error);

/* A word, or a JSON array of them, as podman has it; empty: none. */
int run_entrypoint_parse(const char *value, struct text_list *words, struct error *error);

/* none, or user with words behind it that boot's --net knows, too: what NETWORK opens besides the outside. */
int run_net_parse(const char *value, unsigned int *net, struct passt_options *network, struct error *error);

/* [ADDRESS:]HOST:GUEST[/tcp|/udp] */
int run_publish_parse(const char *value, struct passt_forward *forward, struct error *error);

#endif
