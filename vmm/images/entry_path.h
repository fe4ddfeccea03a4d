/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_ENTRY_PATH_H
#define MOTE_IMAGES_ENTRY_PATH_H

/*
 * The path of an archive's entry, one component after the other.  A path that
 * climbs is refused before its first component is used: "..", absolute ones,
 * names and paths that no Linux file can have.  In a layer an absolute path is
 * one below the root, as kaniko and ko write them: entry_path_below().
 *
 * What overlayfs and the OCI image specification ("Image Layer Filesystem
 * Changeset", Whiteouts) make of a layer's names:
 *
 *   .wh.NAME       hides NAME of the layers below
 *   .wh..wh..opq   hides all that the layers below have in its folder
 *   .wh..wh.*      AUFS' own files; say nothing
 */

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/error.h"
#include "vmm/images/file_tree.h"

#define WHITEOUT_PREFIX_LENGTH 4

/* Room for a component and its NUL: a whiteout's is longer than the name that it hides. */
#define ENTRY_NAME_SIZE (FILE_TREE_NAME_MAX + WHITEOUT_PREFIX_LENGTH + 1)

/* PATH without the slashes that it begins with; "." for the root alone. */
const char *entry_path_below(const char *path);

/* Refuses PATH with "entry PATH: why"; 0 when each of its components is safe. */
int entry_path_check(const char *path, struct error *error);

/*
 * The next component of the checked path *AT into NAME, and *AT behind it; false
 * when there is none left.  "." and repeated slashes are no components.
 */
bool entry_path_next(const char **at, char name[ENTRY_NAME_SIZE]);

/* Whether no component follows. */
bool entry_path_ends(const char *at);

enum whiteout {
    WHITEOUT_NONE,
    WHITEOUT_NAME,    /* the hidden name is NAME + WHITEOUT_PREFIX_LENGTH */
    WHITEOUT_OPAQUE,
    WHITEOUT_IGNORED,
    WHITEOUT_WRONG,   /* hides nothing that can be: ".wh.", ".wh..", ".wh..." */
};

#define WHITEOUT_OPAQUE_NAME ".wh..wh..opq"

enum whiteout whiteout_kind(const char *name);

/*
 * Whether a symbolic link with TARGET, in a folder DEPTH levels below the root,
 * stays below the root wherever it is followed from: relative, no more leading
 * ".." than DEPTH and none after a name, where it would climb from wherever a
 * link led.
 */
bool link_stays_inside(const char *target, unsigned int depth);

#endif
