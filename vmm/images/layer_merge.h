/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_LAYER_MERGE_H
#define MOTE_IMAGES_LAYER_MERGE_H

/*
 * Two layers made into one, as overlayfs shows them above each other: where an
 * image has more layers than a VM has disks for, several share an image.
 */

#include "vmm/base/error.h"
#include "vmm/images/layer.h"

/*
 * Puts all of UPPER into LOWER.  The inodes are shared until UPPER is released;
 * the contents of both are in one private folder (staging.h).  What hides the
 * layers below LOWER still does.
 */
int layer_merge(struct layer *lower, const struct layer *upper, struct error *error);

#endif
