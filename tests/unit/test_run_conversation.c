/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest gets its job's supervisor to do by what it says, and when it says it. */
#include "vmm/job/job_run_internal.h"

#include <errno.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/fixture.h"
#include "tests/support/test_tool.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/exit_status.h"
#include "vmm/job/output.h"
#include "vmm/supervisor/vm_process_internal.h"

static struct log quiet = { .fd = -1 };
static struct timeline timeline;
static struct vm_config config;
static struct job_run_options options;
static struct template template;
static struct warm_start warm = { .template = &template };
static uint8_t job[sizeof(struct run_header) + sizeof(struct run_job)];
static struct outcome outcome;
static struct job_run run;
static struct vm_process process; /* that listens at ends[0], in some tests */
static int guest; /* its end of the control connection */

static int set_up(void **state)
{
    struct error error = ERROR_INIT;
    int ends[2];

    (void)state;
    options = (struct job_run_options){
        .config = &config, .command = "true", .started_fd = -1, .log = &quiet, .timeline = &timeline,
        .warm = &warm, .job = job, .job_length = sizeof(job),
    };
    template = (struct template)TEMPLATE_INIT;
    outcome = (struct outcome){ .status = STATUS_FAILED };
    run = (struct job_run){
        .options = &options, .outcome = &outcome, .vm = { .process = &process, .handoff = -1, .console = -1 }, .keeping = BACKGROUND_TASK_INIT,
        .clock = TIMER_INIT, .patience = TIMER_INIT, .console = CONSOLE_SHOW_INIT, .kept = KEPT_OUTPUT_INIT,
        .stop_cause = CAUSE_COUNT,
    };
    assert_int_equal(event_loop_create(&run.loop, &error), 0);
    process = (struct vm_process){ .loop = run.loop, .channel = -1, .request_timer = TIMER_INIT };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    assert_true(job_run_accept(&run, ends[0], RUN_PORT_CONTROL));
    guest = ends[1];
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    control_destroy(run.control);
    timer_close(&process.request_timer);
    event_loop_destroy(run.loop);
    close(guest);
    return 0;
}

/* ---- the terminal ------------------------------------------------------------ */

/* The loop also runs when the job and its VM are no more, for its template. */
static void a_window_after_the_end(void **state)
{
    struct winsize size = { .ws_row = 7, .ws_col = 70 };
    struct {
        struct run_header header;
        struct run_window window;
    } record;
    cleanup_fd int input = dup(STDIN_FILENO), master = -1, terminal = -1;

    (void)state;
    assert_int_equal(openpty(&master, &terminal, NULL, NULL, &size), 0);
    assert_int_equal(dup2(terminal, STDIN_FILENO), STDIN_FILENO);
    options.flags = RUN_TTY;
    run.phase = PHASE_RUNNING;
    job_run_send_window(&run);
    assert_int_equal(recv(guest, &record, sizeof(record), 0), sizeof(record));
    assert_int_equal(record.header.type, RUN_WINDOW);
    assert_int_equal(record.window.rows, 7);
    run.over = true;
    job_run_send_window(&run);
    assert_int_equal(recv(guest, &record, sizeof(record), 0), -1);
    control_destroy(run.control);
    run.control = NULL;
    run.over = false;
    job_run_send_window(&run);
    assert_true(dup2(input, STDIN_FILENO) == STDIN_FILENO);
}

/* ---- before the job was sent ------------------------------------------------- */

static void say(uint32_t type, const void *payload, size_t size)
{
    struct run_header header = { type, (uint32_t)size };

    assert_int_equal(send(guest, &header, sizeof(header), MSG_NOSIGNAL), sizeof(header));
    if (size > 0)
        assert_int_equal(send(guest, payload, size, MSG_NOSIGNAL), (ssize_t)size);
    run_loop_for(run.loop, 5);
}

/* The guest says HELLO, and is asked to prepare itself. */
static void prepare(enum warm kind)
{
    struct run_header request;

    options.prepare = (const uint8_t *)&(struct run_header){ RUN_PREPARE, 0 };
    options.prepare_length = sizeof(request);
    run.warm = kind;
    template.source.record_fd = STDERR_FILENO; /* there will be a record */
    say(RUN_HELLO, &(struct run_hello){ RUN_VERSION }, sizeof(struct run_hello));
    assert_int_equal(run.phase, PHASE_PREPARING);
    assert_int_equal(recv(guest, &request, sizeof(request), 0), sizeof(request));
}

/* It is ended, and another boots: none of it is the job's outcome. */
static void expect_distrust(const char *why)
{
    uint8_t byte;

    assert_non_null(run.distrust);
    assert_string_equal(run.distrust, why);
    assert_false(run.over || outcome.began || outcome.restored);
    assert_string_equal(outcome.message, "");
    assert_true(run.phase < PHASE_STARTING);
    assert_true(recv(guest, &byte, sizeof(byte), MSG_DONTWAIT) <= 0);
}

static void a_restored_guest_that_has_started(void **state)
{
    (void)state;
    prepare(WARM_RESTORED);
    say(RUN_STARTED, NULL, 0);
    expect_distrust("its guest broke the protocol");
    say(RUN_ENDED, &(struct run_ended){ .exited = 1 }, sizeof(struct run_ended));
    expect_distrust("its guest broke the protocol");
}

static void a_restored_guest_that_has_failed(void **state)
{
    struct run_failed failed = { RUN_FAILED_EXEC, ENOENT };

    (void)state;
    prepare(WARM_RESTORED);
    say(RUN_FAILED, &failed, sizeof(failed));
    expect_distrust("its guest broke the protocol");
}

/* The request to record was sent before it was distrusted. */
static void an_answer_of_one_that_is_distrusted(void **state)
{
    struct message message;
    int ends[2], fds[MESSAGE_FDS_MAX];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    process.channel = ends[0];
    prepare(WARM_RESTORED);
    say(RUN_PREPARED, NULL, 0);
    assert_int_equal(run.phase, PHASE_SAVING);
    assert_int_equal(message_receive(ends[1], FROM_SUPERVISOR, &message, fds, MSG_DONTWAIT), 1);
    assert_int_equal(message.header.type, REQUEST_RECORD);
    say(RUN_STARTED, NULL, 0);
    message = (struct message){ .header = { .type = MESSAGE_ANSWER, .id = message.header.id } };
    assert_true(vm_requests_answered(&process, &message));
    assert_false(vm_requests_answered(&process, &message));
    expect_distrust("its guest broke the protocol");
    close(ends[0]);
    close(ends[1]);
}

static void a_restored_guest_that_hung_up(void **state)
{
    (void)state;
    prepare(WARM_RESTORED);
    shutdown(guest, SHUT_RDWR);
    run_loop_for(run.loop, 5);
    job_run_send_job(&run);
    expect_distrust("its guest hung up");
}

static void a_guest_that_boots_and_has_started(void **state)
{
    (void)state;
    prepare(WARM_SAVES);
    say(RUN_STARTED, NULL, 0);
    assert_true(run.over && !outcome.began);
    assert_int_equal(outcome.cause, CAUSE_GUEST_PANIC);
    assert_int_equal(outcome.status, STATUS_FAILED);
}

/* As when it cannot mount its disks: that is its word for the user. */
static void a_guest_that_cannot_prepare_itself(void **state)
{
    char payload[sizeof(struct run_failed) + 4];
    struct run_failed failed = { RUN_FAILED_SETUP, 0 };

    (void)state;
    memcpy(payload, &failed, sizeof(failed));
    memcpy(payload + sizeof(failed), "root", 4);
    prepare(WARM_SAVES);
    say(RUN_FAILED, payload, sizeof(payload));
    assert_true(run.over);
    assert_int_equal(outcome.cause, CAUSE_NOT_STARTED);
    assert_string_equal(outcome.message, "the guest could not make ready for the job: root");
}

/* ---- a VM that is paused ------------------------------------------------------ */

static void ask_to_pause(int client, int folder)
{
    static const char request[] = "{\"command\":\"pause\"}\n";
    struct sockaddr_un name = { .sun_family = AF_UNIX };

    snprintf(name.sun_path, sizeof(name.sun_path), "/proc/self/fd/%d/control", folder);
    assert_int_equal(connect(client, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(send(client, request, strlen(request), MSG_NOSIGNAL), strlen(request));
}

/* Its job has ended, and /output is still in it. */
static void output_of_a_paused_vm(void **state)
{
    char word[] = "true", *words[] = { word };
    struct vm_control_owner owner = { .vm = &config, .is_job = true };
    struct error error = ERROR_INIT;
    struct test_directory directory;
    struct store_entry entry;
    struct message message;
    int fds[MESSAGE_FDS_MAX], ends[2], client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    test_directory_create(&directory);
    setenv("XDG_RUNTIME_DIR", directory.path, 1);
    assert_int_equal(store_create(&entry, "job", words, 1, &error), 0);
    assert_int_equal(store_claim(&entry, &error), 0);
    owner.entry = &entry;
    assert_int_equal(vm_control_create(&run.vm_control, &owner, run.loop, &error), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    process.channel = ends[0];
    vm_control_attach(run.vm_control, &process);
    ask_to_pause(client, entry.folder);
    run_loop_for(run.loop, 20);
    assert_int_equal(message_receive(ends[1], FROM_SUPERVISOR, &message, fds, MSG_DONTWAIT), 1);
    message = (struct message){ .header = { .type = MESSAGE_ANSWER, .id = message.header.id }, .answer.paused = 1 };
    assert_true(vm_requests_answered(&process, &message));
    assert_true(store_is_paused(&entry));
    assert_int_equal(timer_open(&run.clock, run.loop, NULL, NULL, &error), 0);
    job_run_await_output(&run);
    assert_int_equal(message_receive(ends[1], FROM_SUPERVISOR, &message, fds, MSG_DONTWAIT), 1);
    assert_true(message.header.type == REQUEST_RESUME && message.header.id == 0);
    assert_false(store_is_paused(&entry));
    vm_control_destroy(run.vm_control);
    timer_close(&run.clock);
    close(client);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(store_remove(&entry, &error), 0);
    store_close(&entry);
    test_directory_remove(&directory);
}

/* ---- what the loop tells of late ---------------------------------------------- */

/* The job's end and the connection for /output are of two descriptors: the loop may tell of the second first. */
static void output_ahead_of_its_end(void **state)
{
    struct {
        struct run_header header;
        struct run_ended ended;
    } end = { { RUN_ENDED, sizeof(struct run_ended) }, { .exited = 1 } };
    struct run_hello hello = { RUN_VERSION };
    int ends[2];

    (void)state;
    options.output = "/nowhere";
    warm.template->key = NULL;
    say(RUN_HELLO, &hello, sizeof(hello));
    say(RUN_STARTED, NULL, 0);
    assert_int_equal(run.phase, PHASE_RUNNING);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    /* One that comes before the end is none. */
    assert_false(job_run_accept(&run, ends[0], RUN_PORT_OUTPUT));
    assert_int_equal(send(guest, &end, sizeof(end), MSG_NOSIGNAL), sizeof(end));
    assert_true(job_run_accept(&run, ends[0], RUN_PORT_OUTPUT));
    assert_int_equal(run.phase, PHASE_ENDED);
    close(ends[1]);
    output_stop(run.output_process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_window_after_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_restored_guest_that_has_started, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_restored_guest_that_has_failed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_of_one_that_is_distrusted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_restored_guest_that_hung_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_guest_that_boots_and_has_started, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_guest_that_cannot_prepare_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(output_of_a_paused_vm, set_up, tear_down),
        cmocka_unit_test_setup_teardown(output_ahead_of_its_end, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
