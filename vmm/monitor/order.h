/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_ORDER_H
#define MOTE_ORDER_H

/*
 * What a supervisor orders of its VM's process, over a socket of messages
 * (SOCK_SEQPACKET) that both share.  Orders are carried out one after the other,
 * and each is answered, in their order, unless it is silent.  The VM's process
 * believes its supervisor; the supervisor believes no answer: a guest may have
 * written it.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/config/config.h"
#include "vmm/base/error.h"

enum order_kind {
    ORDER_PAUSE,
    ORDER_RESUME,
    ORDER_SNAPSHOT, /* with descriptors: the state's file and the memory's, then those of a base */
    ORDER_BALLOON,
    ORDER_REFRESH, /* looks at the host side of its disks again */
    ORDER_RECORD, /* of a template, once: which pages its guest has written by now */
};

struct order {
    uint32_t kind;   /* enum order_kind */
    uint32_t silent; /* there is no answer */
    uint32_t stop;   /* the VM stays paused after its snapshot, for it ends then */
    uint32_t base_count; /* memory files of the snapshot that it is to be a difference from */
    uint8_t id[16];  /* the snapshot's */
    uint8_t base_id[16];
    uint64_t target; /* the balloon's, bytes */
};

#define ORDER_FDS (2 + SNAPSHOT_CHAIN_MAX)

struct order_answer {
    uint32_t paused; /* whether the VM is, after it */
    int32_t error_number;
    char message[sizeof(((struct error *)0)->message)];
};

/* FD_COUNT descriptors, at most ORDER_FDS, go with it.  Never waits. */
int order_send(int channel, const struct order *order, const int *fds, size_t fd_count,
               struct error *error);

/*
 * A message, of whatever kind, with its descriptors, -1 where there are none; what
 * recvmsg(2) returned.  Never waits.
 */
ssize_t order_receive(int channel, struct order *order, int fds[ORDER_FDS]);

void order_close_files(int fds[ORDER_FDS]);

/* ERROR is set where ANSWER tells of one. */
void order_take_error(const struct order_answer *answer, struct error *error);

/* ---- in the VM's process ---------------------------------------------------- */

struct vm;

/* Carries ORDER out and answers it; FDS are closed. */
void order_obey(struct vm *vm, int channel, const struct order *order, int fds[ORDER_FDS]);

#endif
