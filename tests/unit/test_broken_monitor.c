/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `mote boot` and `mote run` whose VM's process is in a guest's hands: it says, sends and does what it likes, and its supervisor
 * neither waits for it nor believes it.
 */
#include "tests/support/broken_monitor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/exit_status.h"
#include "vmm/jail/layers.h"
#include "vmm/monitor/vm.h"

/* ---- the end ----------------------------------------------------------------- */

static void say(struct broken_monitor *monitor, int32_t number)
{
    struct exit_reason last = { .signal = number, .call = SYS_execve, .thread = SANDBOX_IO };

    assert_int_equal(write(monitor->sandbox->reason_fd, &last, sizeof(last)), sizeof(last));
}

static void babble(struct broken_monitor *monitor)
{
    assert_int_equal(write(monitor->sandbox->reason_fd, "abc", 3), 3);
    live_on();
}

static void claim_and_live_on(struct broken_monitor *monitor)
{
    say(monitor, SIGSYS);
    live_on();
}

static void babble_without_end(struct broken_monitor *monitor)
{
    for (;;)
        if (write(monitor->sandbox->reason_fd, "abcdefghijklm", 13) < 0)
            usleep(10);
}

static void close_and_live_on(struct broken_monitor *monitor)
{
    close(monitor->sandbox->reason_fd);
    live_on();
}

/* As one that is under way to the supervisor in a message does: the pipe is open beyond the monitor's end. */
static void leave_the_pipe_open(struct broken_monitor *monitor)
{
    (void)monitor;
    if (fork() == 0) {
        sleep(PATIENCE);
        _exit(0);
    }
}

static void test_exit_reasons_without_an_end(void **state)
{
    (void)state;
    broken_fails(babble, "told why it ends, did not end and was killed");
    broken_fails(claim_and_live_on, "is not confirmed by the host's kernel ('its I/O thread called execve");
    broken_fails(babble_without_end, "did not end and was killed");
    broken_fails(close_and_live_on, "was killed (SIGKILL)");
    broken_fails(leave_the_pipe_open, "without a message");
}

/* The user's word counts as long as a monitor is about to end. */
static void babble_and_wait_for_the_user(struct broken_monitor *monitor)
{
    kill(getppid(), SIGTERM);
    for (;;) {
        struct message request;
        int fds[MESSAGE_FDS_MAX];

        /* Only a supervisor that is not deaf sends it. */
        if (message_receive(monitor->channel, FROM_SUPERVISOR, &request, fds, 0) == 1 &&
            request.header.type == REQUEST_STOP)
            _exit(77);
    }
}

static void babble_first(struct broken_monitor *monitor)
{
    assert_int_equal(write(monitor->sandbox->reason_fd, "abc", 3), 3);
    usleep(100000);
    babble_and_wait_for_the_user(monitor);
}

static void test_signals_are_heard_meanwhile(void **state)
{
    struct outcome outcome;
    int status;

    (void)state;
    assert_true(broken_boot(babble_first, &status) < 0);
    assert_non_null(strstr(broken_told, "ended with wait status 19712")); /* 77 << 8 */
    broken_run(babble_first, NULL, &outcome);
    assert_int_equal(outcome.cause, CAUSE_SIGNALLED);
    assert_int_equal(outcome.status, STATUS_SIGNAL + SIGTERM);
}

static void stop_at_nothing(struct broken_monitor *monitor)
{
    (void)monitor;
    kill(getppid(), SIGTERM);
    live_on();
}

/* Who waits for the VM's end gets one: `mote boot` gives its monitor time, a job's is killed. */
static void test_a_monitor_that_does_not_stop(void **state)
{
    struct outcome outcome;
    int status;

    (void)state;
    assert_true(broken_boot(stop_at_nothing, &status) < 0);
    assert_non_null(strstr(broken_told, "the VM did not end within 5 s and was killed"));
    assert_int_equal(status, STATUS_FAILED);
    broken_run(stop_at_nothing, NULL, &outcome);
    assert_int_equal(outcome.cause, CAUSE_SIGNALLED);
}

/* Another child of the supervisor's ends meanwhile: that, too, has it look. */
static void babble_and_orphan(struct broken_monitor *monitor)
{
    assert_int_equal(write(monitor->sandbox->reason_fd, "abc", 3), 3);
    kill(getppid(), SIGCHLD);
    live_on();
}

static void test_a_child_that_ends_meanwhile(void **state)
{
    (void)state;
    broken_fails(babble_and_orphan, "did not end and was killed");
}

static void claim_and_exit(struct broken_monitor *monitor)
{
    say(monitor, SIGSYS);
}

static void claim_memory_and_crash(struct broken_monitor *monitor)
{
    say(monitor, SIGBUS);
    raise(SIGILL);
}

static void die_of_seccomp(struct broken_monitor *monitor)
{
    say(monitor, SIGSYS);
    raise(SIGSYS);
}

static void test_what_the_kernel_says(void **state)
{
    (void)state;
    broken_fails(claim_and_exit, "ended with wait status 0; the cause that it claims is not confirmed");
    broken_fails(claim_memory_and_crash, "ended by SIGILL; the cause that it claims is not confirmed");
    broken_fails(die_of_seccomp, "the sandbox ended the VM: its I/O thread called execve");
}

/* ---- the report -------------------------------------------------------------- */

static void report(struct broken_monitor *monitor, enum vm_end_kind end, int number, const char *how)
{
    struct message sent = {
        .header.type = EVENT_EXITED, .exited = { .end = (uint32_t)end, .error_number = number },
    };

    memset(sent.exited.message, 'x', sizeof(sent.exited.message)); /* without an end */
    memcpy(sent.exited.how, how, strnlen(how, sizeof(sent.exited.how)));
    assert_int_equal(message_send(monitor->channel, &sent, NULL, 0, 0), 0);
}

static void report_and_be_killed(struct broken_monitor *monitor)
{
    report(monitor, VM_POWERED_OFF, 0, "ACPI power-off");
    raise(SIGKILL);
}

static void report_and_fail(struct broken_monitor *monitor)
{
    report(monitor, VM_POWERED_OFF, 0, "ACPI power-off");
    _exit(3);
}

static void report_an_error_and_end_well(struct broken_monitor *monitor)
{
    report(monitor, VM_POWERED_OFF, EIO, "ACPI power-off");
    _exit(0);
}

static void report_as_it_is(struct broken_monitor *monitor)
{
    report(monitor, VM_POWERED_OFF, 0, "\033[2J\xc2\x9b\n ACPI power-off, forty-eight bytes or more of it");
}

static void report_an_error_without_an_end(struct broken_monitor *monitor)
{
    report(monitor, VM_RUNNING, INT32_MIN, "");
    _exit(STATUS_FAILED);
}

static void report_no_end_that_there_is(struct broken_monitor *monitor)
{
    report(monitor, (enum vm_end_kind)77, 0, "");
    live_on();
}

static void test_reports(void **state)
{
    struct outcome outcome;
    int status;

    (void)state;
    broken_fails(report_and_be_killed, "was killed (SIGKILL)");
    broken_fails(report_and_fail, "ended with status 3, which is not what it reported");
    broken_fails(report_an_error_and_end_well, "ended with status 0, which is not what it reported");
    broken_fails(report_an_error_without_an_end, "xxxx");
    broken_fails(report_no_end_that_there_is, "sent an unexpected message and was killed");
    assert_int_equal(broken_boot(report_as_it_is, &status), 0);
    assert_int_equal(status, STATUS_OK);
    assert_non_null(strstr(broken_told, "powered off (?[2J???"));
    assert_null(strchr(broken_told, '\033'));
    broken_run(report_as_it_is, NULL, &outcome);
    assert_int_equal(outcome.cause, CAUSE_GUEST_PANIC);
    assert_non_null(strstr(broken_told, "the guest's kernel ended before the job had ended"));
}

/* ---- messages ---------------------------------------------------------------- */

static void send_all(struct broken_monitor *monitor, const void *bytes, size_t length)
{
    for (unsigned int i = 0; i < 100000; i++)
        if (send(monitor->channel, bytes, length, MSG_NOSIGNAL) < 0)
            break;
    live_on();
}

static void send_without_end(struct broken_monitor *monitor, struct message message)
{
    while (message_send(monitor->channel, &message, NULL, 0, 0) == 0)
        continue;
    live_on();
}

static void answer_without_end(struct broken_monitor *monitor)
{
    send_without_end(monitor, (struct message){ .header = { .type = MESSAGE_ANSWER, .id = 1 } });
}

static void report_without_end(struct broken_monitor *monitor)
{
    send_without_end(monitor, (struct message){ .header.type = EVENT_EXITED, .exited.end = VM_POWERED_OFF });
}

static void want_the_terminal_without_end(struct broken_monitor *monitor)
{
    send_without_end(monitor, (struct message){ .header.type = EVENT_TERMINAL_WANTED });
}

static void start_without_end(struct broken_monitor *monitor)
{
    send_without_end(monitor, (struct message){ .header.type = EVENT_STARTED });
}

/* What is a supervisor's to send. */
static void request(struct broken_monitor *monitor)
{
    send_without_end(monitor, (struct message){ .header.type = REQUEST_STOP });
}

/* A report once it is cut. */
static void send_what_is_too_long(struct broken_monitor *monitor)
{
    struct {
        struct message message;
        char more;
    } sent = { .message.header = { .type = EVENT_EXITED, .length = sizeof(struct event_exited) } };

    send_all(monitor, &sent, sizeof(sent));
}

static void send_what_is_too_short(struct broken_monitor *monitor)
{
    send_all(monitor, "y", 1);
}

static void send_a_descriptor(struct broken_monitor *monitor)
{
    struct message sent = { .header.type = EVENT_EXITED };

    message_send(monitor->channel, &sent, &monitor->channel, 1, 0);
    live_on();
}

static void send_one_too_many(struct broken_monitor *monitor)
{
    message_send(monitor->channel, &(struct message){ .header.type = MESSAGE_ANSWER }, NULL, 0, 0);
    report(monitor, VM_POWERED_OFF, 0, "ACPI power-off");
}

static void test_messages_that_nobody_asked_for(void **state)
{
    struct outcome outcome;
    int status;

    (void)state;
    broken_fails(answer_without_end, "sent an unexpected message and was killed");
    broken_fails(report_without_end, "sent an unexpected message and was killed");
    broken_fails(want_the_terminal_without_end, "sent an unexpected message and was killed");
    broken_fails(start_without_end, "sent an unexpected message and was killed");
    broken_fails(request, "sent an unexpected message and was killed");
    broken_fails(send_what_is_too_long, "sent an unexpected message and was killed");
    broken_fails(send_what_is_too_short, "sent an unexpected message and was killed");
    broken_fails(send_a_descriptor, "sent an unexpected message and was killed");
    assert_int_equal(broken_boot(send_one_too_many, &status), 0);
    broken_run(send_one_too_many, NULL, &outcome);
    assert_int_equal(outcome.cause, CAUSE_GUEST_PANIC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_reasons_without_an_end),
        cmocka_unit_test(test_signals_are_heard_meanwhile),
        cmocka_unit_test(test_a_monitor_that_does_not_stop),
        cmocka_unit_test(test_a_child_that_ends_meanwhile),
        cmocka_unit_test(test_what_the_kernel_says),
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_messages_that_nobody_asked_for),
    };

    return cmocka_run_group_tests_name("broken monitor", tests, NULL, NULL);
}
