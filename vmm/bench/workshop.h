/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_BENCH_WORKSHOP_H
#define MOTE_BENCH_WORKSHOP_H

/*
 * A temporary folder with what the contenders start from, made before anything
 * is measured: the one root with the one static program, as a folder, an image,
 * an initramfs and OCI bundles.
 */

#include <limits.h>

#include "vmm/bench/results.h"
#include "vmm/base/error.h"
#include "vmm/job/job.h"

struct workshop {
    char folder[PATH_MAX - 128]; /* empty: not made */
    char mote[PATH_MAX], probe[PATH_MAX];
    /* By enum kernel_kind; empty where there is none. */
    char kernels[3][PATH_MAX], elfs[3][PATH_MAX];
    char peer[32]; /* for the job's network, as mote-probe takes it */
    bool kvm_lacks_xcrs;
    unsigned long next_id;
};

#define WORKSHOP_INIT { .folder = "" }

/*
 * Finds Mote's own programs and the kernels: KERNEL and STOCK_KERNEL are the
 * options' or NULL.  That there is none is no error: its contenders fail.
 */
int workshop_find(struct workshop *workshop, const char *kernel, const char *stock_kernel,
                  struct error *error);

/*
 * Makes the folder; ROOTFS, or NULL, is a folder that the root is a copy of.
 * WITH_DATA: the root has the data that the axis block reads.
 */
int workshop_open(struct workshop *workshop, const char *rootfs, bool with_data,
                  struct error *error);
void workshop_close(struct workshop *workshop);

/* Where ENTRY's program is: PATH if that is not NULL, or beside Mote, or in $PATH. */
void workshop_find_program(const struct workshop *workshop, struct entry *entry, const char *path);

/* The command line of one more start of ENTRY; the caller releases WORDS. */
int workshop_words(struct workshop *workshop, const struct entry *entry, enum job_mode mode,
                   struct text_list *words, struct error *error);

#endif
