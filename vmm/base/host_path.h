/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_HOST_PATH_H
#define MOTE_HOST_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/error.h"

/* Whether both lead to the same file or block device now. */
bool host_path_is_same(const char *path, const char *other);

/* Whether PATH, and SUFFIX bytes more, fit into a unix socket's address.  OPTION is for the message. */
int host_path_check_socket(const char *option, const char *path, size_t suffix, struct error *error);

#endif
