/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest gets its job's supervisor to do by what it says, and when it says it. */
#include "vmm/run/supervisor_internal.h"

#include <pty.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/fixture.h"
#include "vmm/cleanup.h"
#include "vmm/command.h"

static struct log quiet = { .fd = -1 };
static struct timeline timeline;
static struct vm_config config;
static struct supervisor_options options;
static struct outcome outcome;
static struct supervisor supervisor;
static int guest; /* its end of the control connection */

static int set_up(void **state)
{
    struct error error = ERROR_INIT;
    int ends[2];

    (void)state;
    options = (struct supervisor_options){
        .config = &config, .command = "true", .started_fd = -1, .log = &quiet, .timeline = &timeline,
    };
    outcome = (struct outcome){ .status = STATUS_FAILED };
    supervisor = (struct supervisor){
        .options = &options, .outcome = &outcome, .vm = VM_PROCESS_INIT, .keeping = ASIDE_INIT,
        .patience = -1, .stop_cause = CAUSE_COUNT,
    };
    assert_int_equal(event_loop_create(&supervisor.loop, &error), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    assert_true(supervisor_accept(&supervisor, ends[0], RUN_PORT_CONTROL));
    guest = ends[1];
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    control_destroy(supervisor.control);
    event_loop_destroy(supervisor.loop);
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
    supervisor.phase = PHASE_RUNNING;
    supervisor_send_window(&supervisor);
    assert_int_equal(recv(guest, &record, sizeof(record), 0), sizeof(record));
    assert_int_equal(record.header.type, RUN_WINDOW);
    assert_int_equal(record.window.rows, 7);
    supervisor.over = true;
    supervisor_send_window(&supervisor);
    assert_int_equal(recv(guest, &record, sizeof(record), 0), -1);
    control_destroy(supervisor.control);
    supervisor.control = NULL;
    supervisor.over = false;
    supervisor_send_window(&supervisor);
    assert_true(dup2(input, STDIN_FILENO) == STDIN_FILENO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_window_after_the_end, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
