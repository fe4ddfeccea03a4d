/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/monitor/protocol.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/base/cleanup.h"
#include "vmm/monitor/vm.h"

struct message_kind {
    enum message_sender sender;
    uint32_t length;
    uint32_t fds_max;
};

#define MESSAGE_KIND(type, sender, payload, fds) [type] = { sender, sizeof(payload), fds },
static const struct message_kind kinds[MESSAGE_TYPE_COUNT] = { MESSAGES(MESSAGE_KIND) };
#undef MESSAGE_KIND

/* Room for descriptors, aligned as a header wants it. */
union ancillary {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(MESSAGE_FDS_MAX * sizeof(int))];
};

/* ---- sending ---------------------------------------------------------------- */

static ssize_t send_with_files(int channel, struct iovec *part, const int *fds, size_t fd_count, int flags)
{
    union ancillary ancillary = { .bytes = { 0 } };
    struct msghdr message = {
        .msg_iov = part, .msg_iovlen = 1,
        .msg_control = &ancillary, .msg_controllen = CMSG_SPACE(fd_count * sizeof(int)),
    };

    ancillary.header = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(fd_count * sizeof(int)),
    };
    memcpy(CMSG_DATA(&ancillary.header), fds, fd_count * sizeof(int));
    return sendmsg(channel, &message, flags);
}

int message_send(int channel, struct message *message, const int *fds, size_t fd_count, int flags)
{
    struct iovec part = { .iov_base = message };
    ssize_t sent;

    message->header.length = kinds[message->header.type].length;
    message->header.fd_count = (uint32_t)fd_count;
    part.iov_len = sizeof(message->header) + message->header.length;
    /* Without descriptors by send(): the monitor's jail has no other for this channel. */
    do
        sent = fd_count > 0 ? send_with_files(channel, &part, fds, fd_count, flags | MSG_NOSIGNAL)
                            : send(channel, part.iov_base, part.iov_len, flags | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

/* ---- receiving -------------------------------------------------------------- */

/* TEXT ends within its SIZE bytes, and is a line that does nothing to a terminal. */
static void end_text(char *text, size_t size)
{
    text[size - 1] = '\0';
    error_keep_one_line(text);
}

static void decode_answer(struct answer *answer)
{
    answer->paused = answer->paused != 0;
    if (answer->error_number < 0)
        answer->error_number = EIO;
    end_text(answer->message, sizeof(answer->message));
}

static int decode_exited(struct event_exited *exited)
{
    unsigned int marks = atomic_load(&exited->timeline.count);

    if (exited->end > VM_FAILED)
        return -EPROTO;
    if (exited->error_number < 0)
        exited->error_number = EINVAL;
    end_text(exited->how, sizeof(exited->how));
    if (!exited->how[0])
        strcpy(exited->how, "no reason given");
    end_text(exited->message, sizeof(exited->message));
    atomic_store(&exited->timeline.count, marks < TIMELINE_MARKS_MAX ? marks : TIMELINE_MARKS_MAX);
    for (size_t i = 0; i < TIMELINE_MARKS_MAX; i++)
        end_text(exited->timeline.marks[i].name, TIMELINE_NAME_SIZE);
    return 0;
}

int message_decode(struct message *message, size_t length, enum message_sender sender)
{
    const struct message_header *header = &message->header;
    const struct message_kind *kind;

    if (length < sizeof(*header) || header->type >= MESSAGE_TYPE_COUNT)
        return -EPROTO;
    kind = &kinds[header->type];
    if (kind->sender != sender || header->length != kind->length || length - sizeof(*header) != header->length ||
        header->fd_count > kind->fds_max)
        return -EPROTO;
    if (header->type == REQUEST_REPLACE_DISK &&
        strnlen(message->replace_disk.path, sizeof(message->replace_disk.path)) == sizeof(message->replace_disk.path))
        return -EPROTO;
    if (header->type == MESSAGE_ANSWER)
        decode_answer(&message->answer);
    return header->type == EVENT_EXITED ? decode_exited(&message->exited) : 0;
}

/* Fewer than were sent, where this process has as many open as it may. */
static size_t take_files(struct msghdr *received, int *fds)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(received);
    size_t size;

    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
        header->cmsg_len < CMSG_LEN(0) || header->cmsg_len > CMSG_LEN(MESSAGE_FDS_MAX * sizeof(int)))
        return 0;
    size = header->cmsg_len - CMSG_LEN(0);
    memcpy(fds, CMSG_DATA(header), size);
    return size / sizeof(int);
}

int message_receive(int channel, enum message_sender sender, struct message *message, int fds[MESSAGE_FDS_MAX], int flags)
{
    union ancillary ancillary;
    struct iovec part = { .iov_base = message, .iov_len = sizeof(*message) };
    struct msghdr received = {
        .msg_iov = &part, .msg_iovlen = 1,
        .msg_control = fds ? &ancillary : NULL, .msg_controllen = fds ? sizeof(ancillary) : 0,
    };
    size_t fd_count = 0;
    ssize_t length;
    int result;

    for (size_t i = 0; fds && i < MESSAGE_FDS_MAX; i++)
        fds[i] = -1;
    do
        length = recvmsg(channel, &received, flags | MSG_CMSG_CLOEXEC);
    while (length < 0 && errno == EINTR);
    if (length < 0)
        return errno == ECONNRESET ? 0 : -errno;
    if (fds)
        fd_count = take_files(&received, fds);
    if (length == 0 && fd_count == 0 && !(received.msg_flags & MSG_CTRUNC))
        return 0;
    result = message_decode(message, (size_t)length, sender);
    /* The kernel drops descriptors that there is no room for. */
    if (received.msg_flags & MSG_TRUNC || (!fds && received.msg_flags & MSG_CTRUNC) ||
        (result == 0 && fd_count > message->header.fd_count))
        result = -EPROTO;
    if (result < 0 && fds)
        message_close_files(fds);
    return result < 0 ? result : 1;
}

void message_close_files(int fds[MESSAGE_FDS_MAX])
{
    for (int i = 0; i < MESSAGE_FDS_MAX; i++) {
        cleanup_close(&fds[i]);
        fds[i] = -1;
    }
}

void answer_take_error(const struct answer *answer, struct error *error)
{
    if (answer->error_number)
        error_set(error, answer->error_number, "%s", answer->message);
}
