/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_EROFS_IMAGE_H
#define MOTE_IMAGES_EROFS_IMAGE_H

/*
 * From files, and what fakeroot has to say of them in a private folder
 * (fake_files.h), to a read-only erofs image:
 *
 *   mote-image resolve -> fakeroot -i state -> mote-image build -> mkfs.erofs
 *
 * fakeroot tells mkfs.erofs of owners, modes and devices that the files do not
 * have; `build` adds the extended attributes, which fakeroot's state cannot
 * hold, and ends all of it when `resolve` has ended: it then finds the end of
 * its standard input, a pipe to which nobody writes.
 */

#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/progress.h"
#include "vmm/images/staging.h"
#include "vmm/jail/sandbox.h"

/* Says which Debian package to install when a program is not there. */
int erofs_image_check(struct error *error);

struct erofs_source {
    const char *path;     /* as mkfs.erofs sees it, which runs in the private folder */
    char *const *without; /* paths in it of folders that are to be empty */
    size_t without_count;
};

/*
 * Fills IMAGE, an empty file, from SOURCE, of which STAGING's folder holds state
 * and xattrs.  The same files give the same bytes.  The programs change nothing
 * but what is in that folder, and IMAGE.
 */
int erofs_image_make(const struct staging *staging, const struct erofs_source *source, int image,
                     const struct sandbox *sandbox, const uint8_t uuid[16], struct progress *progress,
                     struct error *error);

/* After a failure: that it may be for the name of 255 bytes at the end of PATH, for which 1.5 gives no image. */
int erofs_image_blame(const char *path, struct error *error);

/*
 * The part under fakeroot, in the private folder: sets the extended attributes
 * and runs COMMAND.  An empty ERROR means that that has said why on standard
 * error.
 */
int erofs_image_build(const char *const *command, struct error *error);

#endif
