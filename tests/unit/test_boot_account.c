/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a monitor's report: which end is told, and the exit status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>

#include "vmm/supervisor/boot.h"
#include "vmm/base/exit_status.h"
#include "vmm/monitor/vm.h"

static struct event_exited report_of(enum vm_end_kind end, const char *how)
{
    struct event_exited report = { .end = end };

    strcpy(report.how, how);
    return report;
}

/* The guest resets as it is told to end: what was asked for happened, so that who asked hears of no success of the guest's. */
static void a_stop_amid_a_restart_is_one(void **state)
{
    struct event_exited report = report_of(VM_RESET, "ACPI reset register");

    (void)state;
    assert_int_equal(boot_status(&report, SIGTERM), STATUS_OK);
    boot_take_stop(&report);
    assert_int_equal(report.end, VM_STOPPED);
    assert_int_equal(boot_status(&report, SIGTERM), STATUS_SIGNAL + SIGTERM);
    assert_int_equal(boot_status(&report, 0), STATUS_OK);
}

static void other_ends_stay(void **state)
{
    static const enum vm_end_kind ends[] = { VM_POWERED_OFF, VM_PANICKED, VM_STOPPED, VM_FAILED, VM_RUNNING };

    (void)state;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct event_exited report = report_of(ends[i], "so");

        boot_take_stop(&report);
        assert_int_equal(report.end, ends[i]);
        assert_string_equal(report.how, "so");
    }
}

/* A report that the kernel's account of the process contradicts is none. */
static void a_contradicted_report_is_none(void **state)
{
    struct event_exited report = report_of(VM_POWERED_OFF, "so");
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(boot_judge(&report, STATUS_OK, &error), 0);
    assert_true(boot_judge(&report, STATUS_FAILED, &error) < 0);
    assert_non_null(strstr(error.message, "is not what it reported"));
    assert_int_equal(report.end, VM_RUNNING);
    assert_true(boot_judge(NULL, STATUS_OK, &error) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_amid_a_restart_is_one),
        cmocka_unit_test(other_ends_stay),
        cmocka_unit_test(a_contradicted_report_is_none),
    };

    return cmocka_run_group_tests_name("boot account", tests, NULL, NULL);
}
