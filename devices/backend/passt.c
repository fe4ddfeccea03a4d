/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/passt.h"

#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/backend/frame_stream.h"
#include "devices/backend/passt_internal.h"
#include "vmm/base/cleanup.h"

#define END_TIMEOUT_MS 1000
#define EXIT_REASON_MS 100
#define SEGMENTS_MAX 1024 /* writev(2) takes no more */

struct passt {
    struct uplink uplink;
    struct frame_stream *stream;
    pid_t pid;       /* 0: none to wait for */
    int messages_fd; /* its standard error, or -1 */
    char reason[256];
    bool serves; /* ports are forwarded: the guest has clients */
    struct frame_filter filter;
    uint8_t head[FRAME_FILTER_HEAD];
    struct iovec outgoing[SEGMENTS_MAX];
};

/* ---- frames ------------------------------------------------------------- */

static ssize_t passt_receive(struct uplink *uplink, unsigned int pair,
                             const struct iovec *segments, int count)
{
    struct passt *passt = (struct passt *)uplink;
    const uint8_t *frame;
    ssize_t result = frame_stream_peek(passt->stream, &frame);

    (void)pair;
    if (result > 0 && passt->serves)
        frame_filter_learn(&passt->filter, frame, (size_t)result);
    if (result > 0)
        return frame_stream_receive(passt->stream, segments, count);
    if (result != -EPROTO)
        return result;
    snprintf(passt->reason, sizeof(passt->reason), "it sent a length that no frame has");
    return -EPIPE;
}

/*
 * The frame in SEGMENTS, the first of which is the uplink's header, as `outgoing`:
 * its head is a copy, so that the guest cannot change what was looked at.  The
 * number of its pieces, or 0: there are too many; *LENGTH is the head's.
 */
static int copy_head(struct passt *passt, const struct iovec *segments, int count, size_t *length)
{
    int pieces = 2;

    *length = 0;
    if (count > SEGMENTS_MAX - 1)
        return 0;
    passt->outgoing[0] = segments[0];
    for (int i = 1; i < count; i++) {
        size_t part = FRAME_FILTER_HEAD - *length;

        if (part > segments[i].iov_len)
            part = segments[i].iov_len;
        memcpy(passt->head + *length, segments[i].iov_base, part);
        *length += part;
        if (part < segments[i].iov_len)
            passt->outgoing[pieces++] = (struct iovec){
                (uint8_t *)segments[i].iov_base + part, segments[i].iov_len - part,
            };
    }
    passt->outgoing[1] = (struct iovec){ passt->head, *length };
    return pieces;
}

static ssize_t passt_send(struct uplink *uplink, unsigned int pair, struct iovec *segments,
                          int count)
{
    struct passt *passt = (struct passt *)uplink;
    size_t length;
    int pieces = copy_head(passt, segments, count, &length);

    (void)pair;
    if (pieces == 0)
        return -EMSGSIZE;
    if (!frame_filter_passes(&passt->filter, passt->head, length))
        return -EACCES;
    return frame_stream_send(passt->stream, passt->outgoing, pieces);
}

/*
 * passt sends to everybody until it has seen a frame of the guest's, and Linux takes no connection that everybody was asked for:
 * the first client of a forwarded port would wait in vain.  A reverse ARP request of the guest's for its own address (RFC 903)
 * asks for nothing that passt answers; QEMU announces a migrated guest so.
 */
static bool passt_announce(struct uplink *uplink, const uint8_t mac[6])
{
    struct passt *passt = (struct passt *)uplink;
    uint8_t frame[60] = {
        [0] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        [12] = ETHERTYPE_REVARP >> 8, ETHERTYPE_REVARP & 0xff,
        [15] = ARPHRD_ETHER, [16] = ETHERTYPE_IP >> 8, [18] = 6, [19] = 4, [21] = ARPOP_RREQUEST,
    };
    struct iovec segments[2] = { [1] = { frame, sizeof(frame) } };

    memcpy(frame + 6, mac, 6);
    memcpy(frame + 22, mac, 6); /* the sender's */
    memcpy(frame + 32, mac, 6); /* and whose address is asked for */
    return frame_stream_send(passt->stream, segments, 2) != -EAGAIN;
}

static const char *passt_refusal(struct uplink *uplink)
{
    const char *refusal = ((struct passt *)uplink)->filter.refusal;

    return refusal[0] ? refusal : NULL;
}

static bool passt_flush(struct uplink *uplink, unsigned int pair)
{
    (void)pair;
    return frame_stream_flush(((struct passt *)uplink)->stream);
}

/* ---- its end ------------------------------------------------------------ */

/* The last line that passt said of itself, without what its C library's syslog adds. */
static void read_last_words(struct passt *passt, char *words, size_t size)
{
    char text[4096], *line, *rest = text;
    ssize_t length = read(passt->messages_fd, text, sizeof(text) - 1);

    words[0] = '\0';
    text[length > 0 ? length : 0] = '\0';
    while ((line = strsep(&rest, "\n")))
        if (*line && strncmp(line, "Failed to send", 14) != 0)
            snprintf(words, size, "%s", line);
}

/* The signal that ended it, 0 for none; its socket closes a moment before it can be waited for. */
static int ended_by_signal(pid_t pid)
{
    cleanup_fd int process = pidfd_open(pid, 0);
    struct pollfd ended = { .fd = process, .events = POLLIN };
    siginfo_t info = { .si_pid = 0 };

    if (process >= 0)
        poll(&ended, 1, EXIT_REASON_MS);
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
        return 0;
    return info.si_code == CLD_EXITED ? 0 : info.si_status;
}

static const char *passt_reason(struct uplink *uplink)
{
    struct passt *passt = (struct passt *)uplink;
    char words[200];
    int number;

    if (passt->reason[0])
        return passt->reason;
    number = ended_by_signal(passt->pid);
    if (number) {
        snprintf(passt->reason, sizeof(passt->reason), "passt was ended by SIG%s",
                 sigabbrev_np(number));
        return passt->reason;
    }
    read_last_words(passt, words, sizeof(words));
    snprintf(passt->reason, sizeof(passt->reason), "passt ended%s%s%s", words[0] ? " ('" : "",
             words, words[0] ? "')" : "");
    return passt->reason;
}

/*
 * It leaves by itself when its socket is closed; it keeps nothing that would be
 * lost by a kill, so no one has to wait for it.
 */
static void end_process(pid_t pid)
{
    cleanup_fd int process = pidfd_open(pid, 0);
    struct pollfd ended = { .fd = process, .events = POLLIN };

    if (process < 0)
        return;
    pidfd_send_signal(process, SIGKILL, NULL, 0);
    while (poll(&ended, 1, END_TIMEOUT_MS) < 0 && errno == EINTR)
        ;
    waitpid(pid, NULL, WNOHANG);
}

static void passt_destroy(struct uplink *uplink)
{
    struct passt *passt = (struct passt *)uplink;

    frame_stream_destroy(passt->stream);
    if (passt->pid > 0)
        end_process(passt->pid);
    if (passt->messages_fd >= 0)
        close(passt->messages_fd);
    free(passt);
}

static const struct uplink_ops passt_ops = {
    .receive = passt_receive,
    .send = passt_send,
    .flush = passt_flush,
    .announce = passt_announce,
    .refusal = passt_refusal,
    .reason = passt_reason,
    .destroy = passt_destroy,
};

/* ---- its start ---------------------------------------------------------- */

/* The socket pair and the pipe; OURS is the stream's from then on. */
static int connect_process(struct passt *passt, const struct passt_options *options,
                           struct error *error)
{
    int sockets[2], pipes[2], result;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        return error_system(error, errno, "--net user: a socket pair");
    passt->stream = frame_stream_create(sockets[0]);
    passt->uplink.fds[0] = sockets[0];
    if (!passt->stream || pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0) {
        result = error_system(error, passt->stream ? errno : ENOMEM, "--net user");
        if (!passt->stream)
            close(sockets[0]);
        close(sockets[1]);
        return result;
    }
    passt->messages_fd = pipes[0];
    result = passt_spawn(&passt->pid, sockets[1], pipes[1], options, &passt->filter.rules, error);
    close(sockets[1]);
    close(pipes[1]);
    return result;
}

int passt_start(struct uplink **uplink, const struct passt_options *options, struct error *error)
{
    struct passt *passt = calloc(1, sizeof(*passt));
    int result;

    if (!passt)
        return error_system(error, ENOMEM, "--net user");
    result = passt_prepare(options, &passt->filter.rules, error);
    if (result < 0) {
        free(passt);
        return result;
    }
    passt->uplink = (struct uplink){ .ops = &passt_ops, .name = PASST_PROGRAM, .pairs = 1 };
    passt->messages_fd = -1;
    passt->serves = options->forward_count > 0;
    result = connect_process(passt, options, error);
    if (result < 0) {
        passt_destroy(&passt->uplink);
        return result;
    }
    *uplink = &passt->uplink;
    return 0;
}
