/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_OUTPUT_H
#define MOTE_IMAGES_OUTPUT_H

/*
 * What a guest sends back, a tar archive, into a folder of the host.  The guest
 * is hostile, and the host's user will look at the files:
 *
 *   - each folder on an entry's path is opened by itself, no link is followed;
 *   - regular files, folders, hard links among them, and symbolic links that
 *     stay inside are made, all others are left out;
 *   - files belong to the caller and lose setuid, setgid and sticky bits and
 *     extended attributes; a file that exists is replaced, never written through;
 *   - a folder that holds anything is refused unless it is to be merged: what is
 *     replaced or joined there may be what the user runs (.bashrc, .git/hooks);
 *   - the sum of sizes is bounded, and each entry counts as 4 KiB; what is kept in
 *     memory of folders is bounded too (output_folders.h).
 *
 * What came before an archive broke off stays: a job that failed or ran out of
 * time has output too.
 */

#include <stdint.h>

#include "vmm/base/error.h"

enum output_end {
    OUTPUT_WHOLE = 0,
    OUTPUT_LEFT_OUT = 1, /* all came, not all of it is something to keep */
    OUTPUT_CUT = 2,      /* the archive broke off or is damaged */
    OUTPUT_LIMIT = 3,    /* more came than the limit allows */
};

struct output_report {
    enum output_end end;
    uint64_t entries, bytes; /* that were kept */
    uint64_t left_out;
    struct error reason;     /* of the first thing that was not kept */
};

/* Before anything hostile is read: whoever unpacks may list no folder. */
int output_check_empty(const char *path, struct error *error);

/* Reads the archive from FD.  A failure is of the host's: a full disk, a folder that is not writable. */
int output_unpack(int fd, const char *path, uint64_t limit, struct output_report *report,
                  struct error *error);

#endif
