/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PRIVATE_FOLDER_H
#define MOTE_PRIVATE_FOLDER_H

/* Folders for what Mote keeps and trusts later: this user's, where nobody else may write. */

#include "vmm/base/error.h"

/* Opens the folder PATH, made with those above it if need be; VARIABLE is what the user can set for another. */
int private_folder_open(const char *path, const char *variable, struct error *error);

#endif
