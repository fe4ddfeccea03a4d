/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PASST_INTERNAL_H
#define MOTE_PASST_INTERNAL_H

/* Between passt.c, the frames, and passt_process.c, the program. */

#include <sys/types.h>

#include "devices/backend/frame_filter.h"
#include "devices/backend/passt.h"

#define PASST_PROGRAM "passt"

/* Whether the ports can be had, and what the guest may reach. */
int passt_prepare(const struct passt_options *options, struct frame_rules *rules,
                  struct error *error);

/* By RULES of passt_prepare(); the program has SOCKET_FD for frames and MESSAGES_FD as its standard error. */
int passt_spawn(pid_t *pid, int socket_fd, int messages_fd, const struct passt_options *options,
                const struct frame_rules *rules, struct error *error);

#endif
