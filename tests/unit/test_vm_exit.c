/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a monitor's report: which end is told, and the exit status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "vmm/base/exit_status.h"
#include "vmm/supervisor/vm_exit.h"

static struct vm_exit exit_of(enum vm_end_kind end, const char *how)
{
    struct vm_exit exit = { .end = end };

    strcpy(exit.how, how);
    return exit;
}

/* The guest resets as it is told to end: what was asked for happened, so that who asked hears of no success of the guest's. */
static void a_stop_amid_a_restart_is_one(void **state)
{
    struct vm_exit exit = exit_of(VM_RESET, "ACPI reset register");

    (void)state;
    assert_int_equal(vm_exit_status(&exit, SIGTERM), STATUS_OK);
    vm_exit_take_stop(&exit);
    assert_int_equal(exit.end, VM_STOPPED);
    assert_int_equal(vm_exit_status(&exit, SIGTERM), STATUS_SIGNAL + SIGTERM);
    assert_int_equal(vm_exit_status(&exit, 0), STATUS_OK);
}

static void other_ends_stay(void **state)
{
    static const enum vm_end_kind ends[] = { VM_POWERED_OFF, VM_PANICKED, VM_STOPPED, VM_FAILED, VM_RUNNING };

    (void)state;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct vm_exit exit = exit_of(ends[i], "so");

        vm_exit_take_stop(&exit);
        assert_int_equal(exit.end, ends[i]);
        assert_string_equal(exit.how, "so");
    }
}

/* A report that the kernel's account of the process contradicts is none. */
static void a_contradicted_report_is_none(void **state)
{
    const struct event_exited report = { .end = VM_POWERED_OFF, .how = "so" };
    struct error killed = { .number = ECHILD, .message = "killed" };
    struct vm_exit exit;

    (void)state;
    vm_exit_judge(&exit, &report, STATUS_OK, &killed);
    assert_int_equal(exit.end, VM_POWERED_OFF);
    assert_int_equal(exit.error.number, 0);
    vm_exit_judge(&exit, &report, STATUS_FAILED, &killed);
    assert_non_null(strstr(exit.error.message, "is not what it reported"));
    assert_int_equal(exit.end, VM_RUNNING);
    vm_exit_judge(&exit, NULL, STATUS_OK, &killed);
    assert_non_null(strstr(exit.error.message, "without a message"));
    assert_int_equal(exit.end, VM_RUNNING);
    vm_exit_judge(&exit, &report, -ECHILD, &killed);
    assert_string_equal(exit.error.message, "killed");
    assert_int_equal(exit.end, VM_RUNNING);
}

/* Its end stands, and so does the error that it met on the way. */
static void an_error_at_the_end(void **state)
{
    const struct event_exited report = { .end = VM_POWERED_OFF, .error_number = EPIPE, .message = "lost" };
    struct vm_exit exit;

    (void)state;
    vm_exit_judge(&exit, &report, STATUS_FAILED, NULL);
    assert_int_equal(exit.end, VM_POWERED_OFF);
    assert_int_equal(exit.error.number, EPIPE);
    assert_string_equal(exit.error.message, "lost");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_amid_a_restart_is_one),
        cmocka_unit_test(other_ends_stay),
        cmocka_unit_test(a_contradicted_report_is_none),
        cmocka_unit_test(an_error_at_the_end),
    };

    return cmocka_run_group_tests_name("vm exit", tests, NULL, NULL);
}
