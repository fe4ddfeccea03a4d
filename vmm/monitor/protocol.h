/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PROTOCOL_H
#define MOTE_PROTOCOL_H

/*
 * The protocol between a supervisor and the monitor of its VM, over a socket of messages (SOCK_SEQPACKET) that both share.
 *
 * Each message is a header, with its type and length, and a payload of that type.  The supervisor sends requests, with
 * descriptors where a type takes some; the monitor carries them out in their order and answers those that have an id.  It
 * also sends events of its own accord.  The monitor believes its supervisor; the supervisor believes no message, as a guest
 * that has broken into the monitor may have written it: message_receive() checks everything that a type promises.
 *
 * To add a request:
 *   here                         its row in MESSAGES, its payload, if it has one, and that in the union
 *   vmm/monitor/requests.c       what the monitor does for it
 *   vmm/supervisor/vm_verbs.c    its row, if users may ask for it: by the control socket, and as a command
 */

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/backend/disk_file.h"
#include "devices/rate_limit.h"
#include "vmm/base/error.h"
#include "vmm/base/timeline.h"
#include "vmm/config/config.h"
#include "vmm/monitor/vm.h"

enum message_sender { FROM_SUPERVISOR, FROM_MONITOR };

/* Of each: type, sender, payload, the most descriptors that go with it. */
#define MESSAGES(X)                                                                                                     \
    X(REQUEST_TERMINAL_READY, FROM_SUPERVISOR, struct no_payload, 0) /* after EVENT_TERMINAL_WANTED */                  \
    X(REQUEST_STOP, FROM_SUPERVISOR, struct request_stop, 0)                                                            \
    X(REQUEST_PAUSE, FROM_SUPERVISOR, struct no_payload, 0)                                                             \
    X(REQUEST_RESUME, FROM_SUPERVISOR, struct no_payload, 0)                                                            \
    X(REQUEST_SNAPSHOT, FROM_SUPERVISOR, struct request_snapshot, MESSAGE_FDS_MAX)                                      \
    X(REQUEST_RECORD, FROM_SUPERVISOR, struct no_payload, 0) /* of a template: the pages written by now, once */        \
    X(REQUEST_BALLOON, FROM_SUPERVISOR, struct request_balloon, 0)                                                      \
    X(REQUEST_STATISTICS, FROM_SUPERVISOR, struct no_payload, 0)                                                        \
    X(REQUEST_REFRESH, FROM_SUPERVISOR, struct no_payload, 0) /* each device looks at its host side again */            \
    X(REQUEST_REPLACE_DISK, FROM_SUPERVISOR, struct request_replace_disk, 1)                                            \
    X(REQUEST_SET_RATE, FROM_SUPERVISOR, struct request_set_rate, 2)                                                    \
    X(MESSAGE_ANSWER, FROM_MONITOR, struct answer, 0)                                                                   \
    X(EVENT_TERMINAL_WANTED, FROM_MONITOR, struct no_payload, 0) /* the VM stands; REQUEST_TERMINAL_READY is awaited */ \
    X(EVENT_STARTED, FROM_MONITOR, struct no_payload, 0) /* the VM stands: what can fail has not; if that is wanted */  \
    X(EVENT_EXITED, FROM_MONITOR, struct event_exited, 0) /* the last message */

#define MESSAGE_TYPE(type, sender, payload, fds) type,
enum message_type { MESSAGES(MESSAGE_TYPE) MESSAGE_TYPE_COUNT };
#undef MESSAGE_TYPE

/* A snapshot's: the state's file and the memory's, then the memory's of each base. */
#define MESSAGE_FDS_MAX (2 + SNAPSHOT_CHAIN_MAX)

struct no_payload {
};

enum stop_origin { STOP_BY_SIGNAL, STOP_BY_CONTROL_SOCKET };

struct request_stop {
    uint32_t origin; /* enum stop_origin */
};

struct request_snapshot {
    uint32_t stop;       /* the VM stays paused afterwards, as it is to end then */
    uint32_t base_count; /* memory files of the snapshot that it is to be a difference from */
    uint8_t id[16];      /* the snapshot's */
    uint8_t base_id[16];
};

struct request_balloon {
    uint64_t target; /* bytes */
};

/* DEVICE is an index into the configuration's devices, here and below. */
struct request_replace_disk {
    uint32_t device;
    uint32_t slot;         /* of the file in the disk's io_uring */
    struct disk_host disk; /* its file is the descriptor that comes with this */
    char path[PATH_MAX];   /* what it is called */
};

/* With a timer for each limit, which the jail cannot make. */
struct request_set_rate {
    uint32_t device;
    struct rate_limit_config receive;  /* of a network device: to the guest */
    struct rate_limit_config transmit; /* from it; of a disk, all that there is */
};

struct answer {
    uint32_t paused;      /* whether the VM is, after it */
    int32_t error_number; /* positive; 0 where all went well */
    char message[sizeof(((struct error *)0)->message)];
    struct vm_statistics statistics; /* to REQUEST_STATISTICS; any numbers */
};

struct event_exited {
    uint32_t end;         /* enum vm_end_kind; VM_RUNNING: it did not come that far */
    int32_t error_number; /* positive; 0 where all went well */
    char how[48];         /* of the end */
    char message[sizeof(((struct error *)0)->message)];
    struct timeline timeline;
};

struct message_header {
    uint32_t type;     /* enum message_type */
    uint32_t length;   /* of the payload, bytes */
    uint32_t id;       /* of a request, and of the answer to it; 0: no answer is wanted */
    uint32_t fd_count; /* that go with it */
};

/* As it is sent: both processes are of one program. */
struct message {
    struct message_header header;
    union {
        struct request_stop stop;
        struct request_snapshot snapshot;
        struct request_balloon balloon;
        struct request_replace_disk replace_disk;
        struct request_set_rate set_rate;
        struct answer answer;
        struct event_exited exited;
    };
};

/* With FD_COUNT descriptors, at most MESSAGE_FDS_MAX; FLAGS may be MSG_DONTWAIT.  A message's length and count are set here. */
int message_send(int channel, struct message *message, const int *fds, size_t fd_count, int flags);

/*
 * Takes one message of the other side's.  Returns 1; 0: the other side has closed the channel; -EAGAIN: there is none; -EPROTO:
 * what came is none of a sender's, which is taken from the channel.  FDS gets the descriptors, -1 behind the last; NULL: none
 * are taken, and one that comes makes the message none.
 */
int message_receive(int channel, enum message_sender sender, struct message *message, int fds[MESSAGE_FDS_MAX], int flags);

/* Of message_receive(): checks what SENDER sent, LENGTH bytes, and makes texts whole and printable.  0 or -EPROTO. */
int message_decode(struct message *message, size_t length, enum message_sender sender);

void message_close_files(int fds[MESSAGE_FDS_MAX]);

/* ERROR is set where ANSWER tells of one. */
void answer_take_error(const struct answer *answer, struct error *error);

/* ---- in the monitor --------------------------------------------------------- */

struct vm;

/* Carries REQUEST out and answers it; FDS are closed. */
void handle_request(struct vm *vm, int channel, const struct message *request, int fds[MESSAGE_FDS_MAX]);

#endif
