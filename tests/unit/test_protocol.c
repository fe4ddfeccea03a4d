/* SPDX-License-Identifier: Apache-2.0 */
/* The messages between supervisor and monitor, from end to end of a channel, and those of a monitor that lies. */
#include "vmm/monitor/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/fixture.h"
#include "vmm/base/cleanup.h"
#include "vmm/monitor/vm.h"

static int ends[2]; /* the supervisor's, and the monitor's */

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        cleanup_close(&ends[i]);
    return 0;
}

static unsigned int open_descriptors(void)
{
    unsigned int count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void a_request_and_its_files(void **state)
{
    struct message sent = { .header = { .type = REQUEST_SNAPSHOT, .id = 7 }, .snapshot = { .stop = 1, .base_count = 1 } };
    struct message got;
    int files[] = { 0, 1, 2 }, fds[MESSAGE_FDS_MAX];
    unsigned int before = open_descriptors();

    (void)state;
    memset(sent.snapshot.id, 0xab, sizeof(sent.snapshot.id));
    assert_int_equal(message_send(ends[0], &sent, files, 3, MSG_DONTWAIT), 0);
    assert_int_equal(message_receive(ends[1], FROM_SUPERVISOR, &got, fds, 0), 1);
    assert_int_equal(got.header.type, REQUEST_SNAPSHOT);
    assert_int_equal(got.header.id, 7);
    assert_int_equal(got.header.fd_count, 3);
    assert_memory_equal(&got.snapshot, &sent.snapshot, sizeof(got.snapshot));
    assert_true(fds[2] >= 0 && fcntl(fds[2], F_GETFD) == FD_CLOEXEC);
    assert_int_equal(fds[3], -1);
    message_close_files(fds);
    assert_int_equal(fds[0], -1);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(message_receive(ends[1], FROM_SUPERVISOR, &got, fds, 0), -EAGAIN);
}

static void the_other_side_is_gone(void **state)
{
    struct message got, sent = { .header.type = REQUEST_PAUSE };
    int fds[MESSAGE_FDS_MAX];

    (void)state;
    close(ends[1]);
    ends[1] = -1;
    assert_int_equal(message_receive(ends[0], FROM_MONITOR, &got, NULL, 0), 0);
    assert_true(message_send(ends[0], &sent, NULL, 0, 0) < 0);
    assert_int_equal(message_receive(ends[0], FROM_MONITOR, &got, fds, 0), 0);
}

/* What a monitor sent is none of its messages, and what came with it is closed. */
static void is_refused(const void *bytes, size_t length, int file)
{
    char control[CMSG_SPACE(sizeof(int))] = "";
    struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = length };
    struct msghdr sent = { .msg_iov = &part, .msg_iovlen = 1 };
    unsigned int before = open_descriptors();
    struct message got;

    if (file >= 0) {
        struct cmsghdr header = {
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)),
        };

        memcpy(control, &header, sizeof(header));
        memcpy(CMSG_DATA((struct cmsghdr *)(void *)control), &file, sizeof(file));
        sent.msg_control = control;
        sent.msg_controllen = sizeof(control);
    }
    assert_int_equal(sendmsg(ends[1], &sent, 0), (ssize_t)length);
    assert_int_equal(message_receive(ends[0], FROM_MONITOR, &got, NULL, 0), -EPROTO);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(message_receive(ends[0], FROM_MONITOR, &got, NULL, 0), -EAGAIN);
}

static void what_is_no_message(void **state)
{
    struct {
        struct message message;
        char more;
    } sent = { .message.header = { .type = EVENT_EXITED, .length = sizeof(struct event_exited) } };
    const size_t whole = sizeof(sent.message.header) + sizeof(struct event_exited);

    (void)state;
    is_refused("y", 1, -1);
    is_refused(&sent, sizeof(sent.message.header), -1);
    is_refused(&sent, whole - 1, -1);
    is_refused(&sent, sizeof(sent), -1);
    is_refused(&sent, whole, STDERR_FILENO);
    sent.message.header.fd_count = 1;
    is_refused(&sent, whole, -1);
    sent.message.header = (struct message_header){ .type = EVENT_EXITED, .length = sizeof(struct answer) };
    is_refused(&sent, whole, -1);
    sent.message.header = (struct message_header){ .type = REQUEST_PAUSE };
    is_refused(&sent, sizeof(sent.message.header), -1);
    sent.message.header.type = MESSAGE_TYPE_COUNT;
    is_refused(&sent, sizeof(sent.message.header), -1);
    sent.message.header.type = UINT32_MAX;
    is_refused(&sent, sizeof(sent.message.header), -1);
    sent.message.header = (struct message_header){ .type = EVENT_EXITED, .length = sizeof(struct event_exited) };
    sent.message.exited.end = VM_FAILED + 1;
    is_refused(&sent, whole, -1);
}

/* Texts that do not end, marks without number, numbers without meaning. */
static void what_is_made_whole(void **state)
{
    struct message sent = { .header.type = EVENT_EXITED }, got;

    (void)state;
    memset(&sent.exited, '\x9b', sizeof(sent.exited));
    sent.exited.end = VM_PANICKED;
    assert_int_equal(message_send(ends[1], &sent, NULL, 0, 0), 0);
    assert_int_equal(message_receive(ends[0], FROM_MONITOR, &got, NULL, 0), 1);
    assert_int_equal(got.exited.end, VM_PANICKED);
    assert_int_equal(got.exited.error_number, EINVAL);
    assert_int_equal(got.exited.timeline.count, TIMELINE_MARKS_MAX);
    assert_int_equal(strlen(got.exited.how), sizeof(got.exited.how) - 1);
    assert_int_equal(strspn(got.exited.message, "?"), sizeof(got.exited.message) - 1);
    assert_int_equal(strspn(got.exited.timeline.marks[TIMELINE_MARKS_MAX - 1].name, "?"), TIMELINE_NAME_SIZE - 1);
    sent = (struct message){ .header.type = MESSAGE_ANSWER, .answer = { .paused = 7, .error_number = INT32_MIN } };
    memset(sent.answer.message, '\x1b', sizeof(sent.answer.message));
    assert_int_equal(message_send(ends[1], &sent, NULL, 0, 0), 0);
    assert_int_equal(message_receive(ends[0], FROM_MONITOR, &got, NULL, 0), 1);
    assert_int_equal(got.answer.paused, 1);
    assert_int_equal(got.answer.error_number, EIO);
    assert_int_equal(strspn(got.answer.message, "?"), sizeof(got.answer.message) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_and_its_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_other_side_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_made_whole, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("protocol", tests, NULL, NULL);
}
