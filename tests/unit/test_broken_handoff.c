/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `mote run` whose VM's process is in a guest's hands: what it hands over and prints keeps its supervisor neither from the
 * job's time limit nor from the user.
 */
#include "tests/support/broken_monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/backend/socket_handoff.h"
#include "guest/init/protocol.h"
#include "vmm/base/cleanup.h"
#include "vmm/jail/layers.h"

/* Of a job whose VM lives on, which has to come to an end by it. */
#define TIMEOUT_MS 1500
#define KEPT (64u << 10)

static struct outcome outcome;

/* The VM is killed at once, and WHY is told. */
static void is_broken(broken_act act, const char *why)
{
    broken_run(act, NULL, &outcome);
    assert_int_equal(outcome.cause, CAUSE_VMM_FAULT);
    if (!strstr(broken_told, why))
        fail_msg("told: %s", broken_told);
}

/* It lives on until the job's time is up. */
static void times_out(broken_act act, struct job_run_options options)
{
    options.timeout_ms = TIMEOUT_MS;
    broken_run(act, &options, &outcome);
    assert_int_equal(outcome.cause, CAUSE_TIMEOUT);
}

/* ---- descriptors ------------------------------------------------------------- */

static void send_descriptors(const struct broken_monitor *monitor, const int *fds, size_t count, uint32_t port, size_t length)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(8 * sizeof(int))];
    } ancillary = { .bytes = "" };
    uint32_t ports[2] = { port, port };
    struct iovec payload = { .iov_base = ports, .iov_len = length };
    struct msghdr message = {
        .msg_iov = &payload, .msg_iovlen = 1, .msg_control = &ancillary,
        .msg_controllen = CMSG_SPACE(count * sizeof(int)),
    };

    ancillary.header.cmsg_level = SOL_SOCKET;
    ancillary.header.cmsg_type = SCM_RIGHTS;
    ancillary.header.cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(&ancillary.header), fds, count * sizeof(int));
    assert_true(sendmsg(monitor->options->handoff, &message, 0) >= 0);
}

static void send_one(const struct broken_monitor *monitor, int fd)
{
    send_descriptors(monitor, &fd, 1, RUN_PORT_CONTROL, sizeof(uint32_t));
    live_on();
}

static int stream(int type, int which)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, type, 0, ends), 0);
    return ends[which];
}

static void hand_over_an_eventfd(struct broken_monitor *monitor)
{
    send_one(monitor, eventfd(0, 0));
}

static void hand_over_a_pipe(struct broken_monitor *monitor)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    send_one(monitor, ends[0]);
}

static void hand_over_a_file(struct broken_monitor *monitor)
{
    send_one(monitor, memfd_create("x", 0));
}

static void hand_over_a_path(struct broken_monitor *monitor)
{
    send_one(monitor, open("/etc/passwd", O_PATH));
}

static void hand_over_datagrams(struct broken_monitor *monitor)
{
    send_one(monitor, stream(SOCK_DGRAM, 0));
}

static void hand_over_messages(struct broken_monitor *monitor)
{
    send_one(monitor, stream(SOCK_SEQPACKET, 0));
}

static void hand_over_tcp(struct broken_monitor *monitor)
{
    send_one(monitor, socket(AF_INET, SOCK_STREAM, 0));
}

static void hand_over_a_listener(struct broken_monitor *monitor)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr name = { .sa_family = AF_UNIX };

    assert_int_equal(bind(fd, &name, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(fd, 1), 0);
    send_one(monitor, fd);
}

static void hand_over_nobody(struct broken_monitor *monitor)
{
    send_one(monitor, socket(AF_UNIX, SOCK_STREAM, 0));
}

static void hand_over_two(struct broken_monitor *monitor)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    send_descriptors(monitor, ends, 2, RUN_PORT_CONTROL, sizeof(uint32_t));
    live_on();
}

static void hand_over_three(struct broken_monitor *monitor)
{
    int fds[] = { eventfd(0, 0), eventfd(0, 0), eventfd(0, 0) };

    send_descriptors(monitor, fds, 3, RUN_PORT_CONTROL, sizeof(uint32_t));
    live_on();
}

static void hand_over_with_much_to_say(struct broken_monitor *monitor)
{
    int fd = stream(SOCK_STREAM, 0);

    send_descriptors(monitor, &fd, 1, RUN_PORT_CONTROL, 2 * sizeof(uint32_t));
    live_on();
}

static unsigned int open_descriptors(void)
{
    unsigned int count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void test_what_is_no_connection(void **state)
{
    static void (*const acts[])(struct broken_monitor *) = {
        hand_over_an_eventfd, hand_over_a_pipe, hand_over_a_file, hand_over_a_path, hand_over_datagrams,
        hand_over_messages, hand_over_tcp, hand_over_a_listener, hand_over_nobody, hand_over_two, hand_over_three,
        hand_over_with_much_to_say,
    };
    unsigned int before = open_descriptors();

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(acts); i++) {
        is_broken(acts[i], "handed over what is no connection and was killed");
        assert_int_equal(open_descriptors(), before);
    }
}

static void hand_over_without_end(struct broken_monitor *monitor)
{
    for (;;) {
        int fd = socket_handoff_send(monitor->options->handoff, 9999);

        if (fd >= 0)
            close(fd);
    }
}

/* Sound connections to a port of nobody's: more than the guest may make are its process' own. */
static void test_a_flood_of_connections(void **state)
{
    (void)state;
    is_broken(hand_over_without_end, "handed over connections without end and was killed");
}

/* The sender shares what it handed over: it takes O_NONBLOCK away again, and neither reads nor writes. */
static void hand_over_and_block(struct broken_monitor *monitor)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    send_descriptors(monitor, &ends[0], 1, RUN_PORT_CONTROL, sizeof(uint32_t));
    for (;;) {
        fcntl(ends[0], F_SETFL, 0);
        usleep(100);
    }
}

static void test_silence(void **state)
{
    (void)state;
    times_out(hand_over_and_block, (struct job_run_options){ .verbose = false });
}

/* The pipe of exit reasons stays open in a message that the supervisor does not read any more. */
static void send_the_pipe_and_end(struct broken_monitor *monitor)
{
    int fd = eventfd(0, 0);

    send_descriptors(monitor, &fd, 1, RUN_PORT_CONTROL, sizeof(uint32_t));
    for (unsigned int i = 0; i < 8; i++)
        send_descriptors(monitor, &monitor->sandbox->reason_fd, 1, RUN_PORT_CONTROL, sizeof(uint32_t));
}

static void test_a_pipe_that_stays_open(void **state)
{
    (void)state;
    broken_run(send_the_pipe_and_end, NULL, &outcome);
}

/* ---- standard error ---------------------------------------------------------- */

#define CONSOLE_BELOW 64

/* Of a guest's kernel that prints without end. */
static void print_without_end(struct broken_monitor *monitor)
{
    char line[] = "a line of the kernel's\n";

    (void)monitor;
    /* The console's pipe is the one that is open for writing and none of the first three. */
    for (int fd = 3; fd < CONSOLE_BELOW; fd++)
        if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY && lseek(fd, 0, SEEK_CUR) < 0 && errno == ESPIPE &&
            fd != monitor->sandbox->reason_fd)
            for (;;)
                if (write(fd, line, sizeof(line) - 1) < 0)
                    live_on();
    _exit(1);
}

/* With --verbose the console goes there; a reader that stopped keeps the guest waiting and no one else. */
static void test_a_reader_that_stopped(void **state)
{
    cleanup_fd int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, CONSOLE_BELOW);
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
    times_out(print_without_end, (struct job_run_options){ .verbose = true });
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    close(ends[0]);
}

/* ---- output that is kept ------------------------------------------------------ */

#define FLOOD (8u << 20)

static void send_record(int control, uint32_t type, const void *payload, uint32_t size)
{
    struct run_header header = { type, size };

    assert_int_equal(write(control, &header, sizeof(header)), sizeof(header));
    assert_int_equal(write(control, payload, size), size);
}

/* A guest as it should be, whose job writes without end. */
static void flood(struct broken_monitor *monitor)
{
    struct run_hello hello = { .version = RUN_VERSION };
    uint8_t job[sizeof(struct run_header) + sizeof(struct run_job)];
    int control = socket_handoff_send(monitor->options->handoff, RUN_PORT_CONTROL), output;
    char bytes[4096];

    fcntl(control, F_SETFL, 0);
    send_record(control, RUN_HELLO, &hello, sizeof(hello));
    assert_int_equal(read(control, job, sizeof(job)), sizeof(job));
    output = socket_handoff_send(monitor->options->handoff, RUN_PORT_STDOUT);
    fcntl(output, F_SETFL, 0);
    send_record(control, RUN_STARTED, NULL, 0);
    memset(bytes, 'x', sizeof(bytes));
    for (unsigned int i = 0; i < FLOOD / sizeof(bytes); i++)
        if (write(output, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes))
            _exit(100 + errno % 100);
    close(output);
    send_record(control, RUN_ENDED, &(struct run_ended){ .exited = 1 }, sizeof(struct run_ended));
    live_on();
}

static void test_kept_output(void **state)
{
    char folder[] = "/tmp/mote-test-XXXXXX", note[64], file[64];
    struct store_entry entry = STORE_ENTRY_INIT;
    cleanup_fd int saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, CONSOLE_BELOW), output = -1;
    struct stat status;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(note, sizeof(note), "%s/dropped", folder);
    snprintf(file, sizeof(file), "%s/stdout", folder);
    strcpy(entry.name, "kept");
    entry.folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    output = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    fflush(stdout);
    assert_int_equal(dup2(output, STDOUT_FILENO), STDOUT_FILENO);
    broken_run(flood, &(struct job_run_options){ .entry = &entry, .log_limit = KEPT }, &outcome);
    assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    if (outcome.cause != CAUSE_EXITED)
        fail_msg("told: %s", broken_told);
    assert_int_equal(outcome.bytes_out, FLOOD);
    assert_int_equal(stat(file, &status), 0);
    assert_int_equal(status.st_size, FLOOD);
    assert_true((uint64_t)status.st_blocks * 512 <= 3 * KEPT);
    close(entry.folder);
    unlink(note);
    unlink(file);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_connection),
        cmocka_unit_test(test_a_flood_of_connections),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_a_pipe_that_stays_open),
        cmocka_unit_test(test_a_reader_that_stopped),
        cmocka_unit_test(test_kept_output),
    };

    return cmocka_run_group_tests_name("broken handoff", tests, NULL, NULL);
}
