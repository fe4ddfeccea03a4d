/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_HOST_PORT_H
#define MOTE_HOST_PORT_H

/*
 * What is behind a named port of the guest: a file that its output is appended
 * to, a unix socket that one peer at a time may connect to, or a descriptor
 * that the user opened for us.
 *
 * Nothing is kept here: bytes go straight between the caller's buffers and the
 * host.  Where the host has none or takes none, the caller keeps its buffer and
 * changed() tells when to try again; each wait is for one event, so that a
 * peer that the guest does not listen to costs nothing.
 *
 * With nobody at the other end (no peer, or a write that failed) output is
 * dropped, as by a cable that leads nowhere.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/event_loop.h"
#include "vmm/base/log.h"

struct host_port;

enum host_port_kind { HOST_PORT_FILE, HOST_PORT_UNIX, HOST_PORT_FD };

struct host_port_options {
    enum host_port_kind kind;
    const char *path; /* of a file or socket */
    int fd;           /* the user's, stays open; -1 for the others */
    struct unix_listener *listener; /* for a monitor in its jail, by the supervisor; or NULL */
};

struct host_port_peer {
    pthread_mutex_t *lock;
    /* There may be input, room for output, or somebody came or left.  On the loop's thread. */
    void (*changed)(void *context);
    void *context;
};

int host_port_create(struct host_port **port, const struct host_port_options *options,
                     const char *name, struct event_loop *loop,
                     const struct host_port_peer *peer, struct log *log, struct error *error);
void host_port_destroy(struct host_port *port);

/*
 * Opens what a jailed monitor cannot remove at its end, the path of a socket;
 * in the supervisor, which closes it.
 */
int host_port_open_host(struct host_port_options *options, const char *name, struct error *error);
void host_port_close_host(struct host_port_options *options);

/* Whether somebody is at the other end. */
bool host_port_is_open(const struct host_port *port);

/* On the loop's thread.  How many bytes were read; 0: none now. */
size_t host_port_read(struct host_port *port, uint8_t *bytes, size_t length);

/* On the loop's thread.  How many bytes were taken; fewer: there is no room now. */
size_t host_port_write(struct host_port *port, const uint8_t *bytes, size_t length);

#endif
