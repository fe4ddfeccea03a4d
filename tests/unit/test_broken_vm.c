/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `mote run` whose VM's process is in a guest's hands: what it hands over, says and does keeps its supervisor neither from the
 * job's time limit nor from the user.  The linker puts this file's VM in the place of Mote's.
 */
#include "vmm/job/supervisor.h"

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
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "devices/backend/socket_handoff.h"
#include "devices/registry.h"
#include "devices/virtio/vsock.h"
#include "guest/init/protocol.h"
#include "tests/support/fixture.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/exit_status.h"
#include "vmm/jail/layers.h"
#include "vmm/monitor/vm.h"

/* s; a supervisor that is deaf takes longer, and this program with it. */
#define PATIENCE 20
/* Of a job whose VM lives on, which has to come to an end by it. */
#define TIMEOUT_MS 1500
#define KEPT (64u << 10)

struct world {
    int handoff; /* the VM's end */
    struct sandbox *sandbox;
    struct log *log;
};

static void (*act)(struct world *world);
static struct outcome outcome;
static struct log words;
static char told[8192];
static bool verbose;
static const struct store_entry *log_entry;
static uint64_t timeout_ms = TIMEOUT_MS;

int __wrap_vm_create(struct vm **vm, const struct vm_config *config, const struct vm_host *host, struct error *error);
int __wrap_vm_create(struct vm **vm, const struct vm_config *config, const struct vm_host *host, struct error *error)
{
    const struct vsock_options *vsock = config->devices[config->device_count - 1].options;
    struct world world = { .handoff = vsock->handoff, .sandbox = host->sandbox, .log = host->log };

    (void)vm;
    (void)error;
    alarm(2 * PATIENCE);
    signal(SIGSYS, SIG_DFL);
    act(&world);
    _exit(0);
}

static void live_on(void)
{
    for (;;)
        pause();
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What the job comes to when its VM does WHAT, and how long that took. */
static double run(void (*what)(struct world *world))
{
    static struct timeline timeline;
    static uint8_t job[sizeof(struct run_header) + sizeof(struct run_job)];
    struct sandbox_config sandbox = SANDBOX_CONFIG_DEFAULT;
    struct vm_config config = vm_config_default();
    struct supervisor_options options = {
        .config = &config, .sandbox = &sandbox, .command = "true", .started_fd = -1, .log = &words,
        .timeline = &timeline, .job = job, .job_length = sizeof(job), .timeout_ms = timeout_ms, .verbose = verbose,
        .entry = log_entry, .log_limit = log_entry ? KEPT : 0,
    };
    struct error error = ERROR_INIT;
    double begin = seconds();

    act = what;
    words = memory_log(LOG_WARN);
    sandbox.mode = SANDBOX_OFF;
    alarm(PATIENCE);
    assert_int_equal(supervise(&options, &outcome, &error), 0);
    alarm(0);
    memory_log_text(&words, told, sizeof(told));
    vm_config_release(&config);
    return seconds() - begin;
}

/* The VM is killed at once, and WHY is told. */
static void is_broken(void (*what)(struct world *world), const char *why)
{
    timeout_ms = 0;
    run(what);
    timeout_ms = TIMEOUT_MS;
    assert_int_equal(outcome.cause, CAUSE_VMM_FAULT);
    if (!strstr(told, why))
        fail_msg("told: %s", told);
}

/* ---- descriptors ------------------------------------------------------------- */

static void send_descriptors(const struct world *world, const int *fds, size_t count, uint32_t port, size_t length)
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
    assert_true(sendmsg(world->handoff, &message, 0) >= 0);
}

static void send_one(const struct world *world, int fd)
{
    send_descriptors(world, &fd, 1, RUN_PORT_CONTROL, sizeof(uint32_t));
    live_on();
}

static int stream(int type, int which)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, type, 0, ends), 0);
    return ends[which];
}

static void hand_over_an_eventfd(struct world *world)
{
    send_one(world, eventfd(0, 0));
}

static void hand_over_a_pipe(struct world *world)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    send_one(world, ends[0]);
}

static void hand_over_a_file(struct world *world)
{
    send_one(world, memfd_create("x", 0));
}

static void hand_over_a_path(struct world *world)
{
    send_one(world, open("/etc/passwd", O_PATH));
}

static void hand_over_datagrams(struct world *world)
{
    send_one(world, stream(SOCK_DGRAM, 0));
}

static void hand_over_messages(struct world *world)
{
    send_one(world, stream(SOCK_SEQPACKET, 0));
}

static void hand_over_tcp(struct world *world)
{
    send_one(world, socket(AF_INET, SOCK_STREAM, 0));
}

static void hand_over_a_listener(struct world *world)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr name = { .sa_family = AF_UNIX };

    assert_int_equal(bind(fd, &name, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(fd, 1), 0);
    send_one(world, fd);
}

static void hand_over_nobody(struct world *world)
{
    send_one(world, socket(AF_UNIX, SOCK_STREAM, 0));
}

static void hand_over_two(struct world *world)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    send_descriptors(world, ends, 2, RUN_PORT_CONTROL, sizeof(uint32_t));
    live_on();
}

static void hand_over_three(struct world *world)
{
    int fds[] = { eventfd(0, 0), eventfd(0, 0), eventfd(0, 0) };

    send_descriptors(world, fds, 3, RUN_PORT_CONTROL, sizeof(uint32_t));
    live_on();
}

static void hand_over_with_much_to_say(struct world *world)
{
    int fd = stream(SOCK_STREAM, 0);

    send_descriptors(world, &fd, 1, RUN_PORT_CONTROL, 2 * sizeof(uint32_t));
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
    static void (*const acts[])(struct world *) = {
        hand_over_an_eventfd, hand_over_a_pipe, hand_over_a_file, hand_over_a_path, hand_over_datagrams,
        hand_over_messages, hand_over_tcp, hand_over_a_listener, hand_over_nobody, hand_over_two, hand_over_three,
        hand_over_with_much_to_say,
    };
    unsigned int before = open_descriptors();

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(acts); i++) {
        is_broken(acts[i], "handed over what is no connection and was killed");
        close(words.fd);
        assert_int_equal(open_descriptors(), before);
    }
}

static void hand_over_without_end(struct world *world)
{
    for (;;) {
        int fd = socket_handoff_send(world->handoff, 9999);

        if (fd >= 0)
            close(fd);
    }
}

/* Sound connections to a port of nobody's: more than the guest may make are its process' own. */
static void test_a_flood_of_connections(void **state)
{
    (void)state;
    is_broken(hand_over_without_end, "handed over connections without end and was killed");
    close(words.fd);
}

/* The sender shares what it handed over: it takes O_NONBLOCK away again, and neither reads nor writes. */
static void hand_over_and_block(struct world *world)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    send_descriptors(world, &ends[0], 1, RUN_PORT_CONTROL, sizeof(uint32_t));
    for (;;) {
        fcntl(ends[0], F_SETFL, 0);
        usleep(100);
    }
}

static void test_silence(void **state)
{
    (void)state;
    assert_true(run(hand_over_and_block) < PATIENCE / 2.0);
    assert_int_equal(outcome.cause, CAUSE_TIMEOUT);
}

/* ---- the end ----------------------------------------------------------------- */

static void babble(struct world *world)
{
    assert_int_equal(write(world->sandbox->words_fd, "abc", 3), 3);
    live_on();
}

/* Below, another child ends meanwhile: that is when the old supervisor looked. */
static void babble_and_orphan(struct world *world)
{
    assert_int_equal(write(world->sandbox->words_fd, "abc", 3), 3);
    kill(getppid(), SIGCHLD);
    live_on();
}

static void claim_and_exit(struct world *world)
{
    struct exit_reason last = { .signal = SIGSYS, .call = SYS_execve, .thread = SANDBOX_IO };

    assert_int_equal(write(world->sandbox->words_fd, &last, sizeof(last)), sizeof(last));
}

static void test_last_words(void **state)
{
    (void)state;
    timeout_ms = 0;
    assert_true(run(babble) < PATIENCE / 2.0);
    assert_non_null(strstr(told, "did not end and was killed"));
    assert_true(run(babble_and_orphan) < PATIENCE / 2.0);
    assert_non_null(strstr(told, "did not end and was killed"));
    run(claim_and_exit);
    timeout_ms = TIMEOUT_MS;
    assert_non_null(strstr(told, "is not confirmed by the host's kernel ('its I/O thread called execve"));
    assert_int_equal(outcome.cause, CAUSE_VMM_FAULT);
}

/* The pipe of last words stays open in a message that the supervisor does not read any more. */
static void send_the_pipe_and_end(struct world *world)
{
    int fd = eventfd(0, 0);

    send_descriptors(world, &fd, 1, RUN_PORT_CONTROL, sizeof(uint32_t));
    for (unsigned int i = 0; i < 8; i++)
        send_descriptors(world, &world->sandbox->words_fd, 1, RUN_PORT_CONTROL, sizeof(uint32_t));
}

static void test_a_pipe_that_stays_open(void **state)
{
    (void)state;
    assert_true(run(send_the_pipe_and_end) < PATIENCE / 2.0);
}

/* ---- standard error ---------------------------------------------------------- */

#define CONSOLE_BELOW 64

/* Of a guest's kernel that prints without end. */
static void print_without_end(struct world *world)
{
    char line[] = "a line of the kernel's\n";

    (void)world;
    /* The console's pipe is the one that is open for writing and none of the first three. */
    for (int fd = 3; fd < CONSOLE_BELOW; fd++)
        if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY && lseek(fd, 0, SEEK_CUR) < 0 && errno == ESPIPE &&
            fd != world->sandbox->words_fd)
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
    double took;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
    verbose = true;
    took = run(print_without_end);
    verbose = false;
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    close(ends[0]);
    assert_int_equal(outcome.cause, CAUSE_TIMEOUT);
    assert_true(took < PATIENCE / 2.0);
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
static void flood(struct world *world)
{
    struct run_hello hello = { .version = RUN_VERSION };
    uint8_t job[sizeof(struct run_header) + sizeof(struct run_job)];
    int control = socket_handoff_send(world->handoff, RUN_PORT_CONTROL), output;
    char bytes[4096];

    fcntl(control, F_SETFL, 0);
    send_record(control, RUN_HELLO, &hello, sizeof(hello));
    assert_int_equal(read(control, job, sizeof(job)), sizeof(job));
    output = socket_handoff_send(world->handoff, RUN_PORT_STDOUT);
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
    log_entry = &entry;
    run(flood);
    log_entry = NULL;
    assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    if (outcome.cause != CAUSE_EXITED)
        fail_msg("told: %s", told);
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
        cmocka_unit_test(test_last_words),
        cmocka_unit_test(test_a_pipe_that_stays_open),
        cmocka_unit_test(test_a_reader_that_stopped),
        cmocka_unit_test(test_kept_output),
    };

    return cmocka_run_group_tests_name("broken vm", tests, NULL, NULL);
}
