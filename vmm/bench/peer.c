/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/bench/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

#define SOMEWHERE "192.0.2.1" /* for documentation (RFC 5737): only the way there is looked up */
#define PIECE (128 << 10)
#define IDLE_SECONDS 3 /* for a job that died amid its connection */
#define BUSY_SECONDS 60 /* for somebody else who never ends; a job takes some seconds */
#define PAUSE_MS 50     /* while there is no descriptor or memory for a connection */

struct peer {
    pthread_t thread;
    int listener;
    atomic_bool stopped;
    char bytes[PIECE];
};

static time_t now_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void serve(struct peer *peer, int fd)
{
    time_t until = now_seconds() + BUSY_SECONDS;
    ssize_t count = recv(fd, peer->bytes, 1, 0);
    bool echo = count == 1 && peer->bytes[0] == 'e';

    while (count > 0 && (count = recv(fd, peer->bytes, sizeof(peer->bytes), 0)) > 0)
        if (atomic_load(&peer->stopped) || now_seconds() > until ||
            (echo && send(fd, peer->bytes, (size_t)count, MSG_NOSIGNAL) != count))
            return;
    /* All has arrived. */
    if (count == 0 && !echo)
        send(fd, peer->bytes, 1, MSG_NOSIGNAL);
}

static void *run(void *context)
{
    struct peer *peer = context;
    struct timeval patience = { .tv_sec = IDLE_SECONDS };
    int one = 1;

    while (!atomic_load(&peer->stopped)) {
        int fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0) {
            /* One that went away, or a lack that passes: the next may have more luck. */
            if (errno != EINTR && errno != ECONNABORTED)
                nanosleep(&(struct timespec){ .tv_nsec = PAUSE_MS * 1000000l }, NULL);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        serve(peer, fd);
        close(fd);
    }
    return NULL;
}

/* The address by which this host reaches others: its loopback is not a VM's. */
static int find_own_address(struct sockaddr_in *address, struct error *error)
{
    struct sockaddr_in there = { .sin_family = AF_INET, .sin_port = htons(9) };
    cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof(*address);

    inet_pton(AF_INET, SOMEWHERE, &there.sin_addr);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&there, sizeof(there)) < 0 ||
        getsockname(fd, (struct sockaddr *)address, &length) < 0)
        return error_set(error, errno, "this host has no IPv4 address but its loopback");
    address->sin_port = 0;
    return 0;
}

static int open_listener(struct sockaddr_in *address, struct error *error)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof(*address);

    if (fd >= 0 && bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 &&
        listen(fd, 8) == 0 && getsockname(fd, (struct sockaddr *)address, &length) == 0)
        return fd;
    error_system(error, errno, "a TCP server");
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Signals are the main thread's. */
static int start_thread(struct peer *peer)
{
    sigset_t all, before;
    int result;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&peer->thread, NULL, run, peer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

int peer_start(struct peer **result, char *name, size_t size, struct error *error)
{
    struct sockaddr_in address;
    struct peer *peer;
    int failure = find_own_address(&address, error);

    if (failure < 0)
        return failure;
    peer = calloc(1, sizeof(*peer));
    if (!peer)
        return error_system(error, ENOMEM, "a TCP server");
    peer->listener = open_listener(&address, error);
    failure = peer->listener < 0 ? EIO : start_thread(peer);
    if (failure != 0) {
        if (peer->listener >= 0) {
            error_system(error, failure, "a TCP server");
            close(peer->listener);
        }
        free(peer);
        return -failure;
    }
    snprintf(name, size, "%x-%x", ntohl(address.sin_addr.s_addr), ntohs(address.sin_port));
    *result = peer;
    return 0;
}

void peer_stop(struct peer *peer)
{
    atomic_store(&peer->stopped, true);
    /* accept() returns; a connection ends by its next bytes, or soon without any. */
    shutdown(peer->listener, SHUT_RDWR);
    pthread_join(peer->thread, NULL);
    close(peer->listener);
    free(peer);
}
