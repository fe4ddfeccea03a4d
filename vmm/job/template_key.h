/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_TEMPLATE_KEY_H
#define MOTE_RUN_TEMPLATE_KEY_H

/*
 * What a guest is made of before its job arrives, as text: which mote, guest's
 * init, kernel and modules (cache_folder.h tells how a file is known), the command
 * line, the machine, each disk in its order, and where they are mounted.  Two jobs with the same text may
 * go on from the same template.
 *
 * Disks are known by their files and not by their sizes alone: the guest's kernel
 * has read of them by then, and one whose disk attacked it is to meet no other
 * job's.  The scratch disk is new for each job, so that its size is all.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

struct kernel_choice;
struct rootfs;
struct text_list;
struct vm_config;

struct template_parts {
    const struct vm_config *vm; /* memory, cpus, console, describe, command line */
    const char *init; /* the guest's, a path */
    const struct kernel_choice *kernel;
    bool packed;                    /* a packed kernel unpacks itself */
    const struct text_list *wanted; /* modules */
    const struct rootfs *rootfs;
    int scratch; /* -1: none */
    const uint8_t *prepare; /* what is done in it before its job comes: a record, or NULL */
    size_t prepare_length;
    bool network;
};

/* *TEXT is to be freed.  An error where a part is a file that can change without a trace. */
int template_key(const struct template_parts *parts, char **text, struct error *error);

#define TEMPLATE_NAME_SIZE 17

/* TEXT in short (FNV-1a): the name of a template, which has the whole text in it. */
void template_name(const char *text, char name[TEMPLATE_NAME_SIZE]);

/* Whether it can be one. */
bool template_name_is_good(const char *name);

#endif
