/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a VM ended: by what its monitor reported, as far as the kernel's account of that process' end does not say otherwise.
 * A guest may have written the report.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/supervisor/boot.h"
#include "vmm/base/exit_status.h"
#include "vmm/monitor/vm.h"

/* An error where the report is missing, or not what became of its process. */
static int check_status(const struct event_exited *report, int status, struct error *error)
{
    if (status < 0)
        return status;
    if (!report)
        return error_set(error, ECHILD, "the VM's process ended without a word (status %d); "
                         "please report it", status);
    if (status != (report->error_number ? STATUS_FAILED : STATUS_OK))
        return error_set(error, ECHILD, "the VM's process ended with status %d, which is not what it reported; take "
                         "it for one that its guest broke into, and report it", status);
    return 0;
}

int boot_judge(struct event_exited *report, int status, struct error *error)
{
    int result = check_status(report, status, error);

    if (result < 0 && report)
        report->end = VM_RUNNING;
    if (result < 0 || !report->error_number)
        return result;
    return error_set(error, report->error_number, "%s", report->message);
}

void boot_take_stop(struct event_exited *report)
{
    if (report->end != VM_RESET)
        return;
    report->end = VM_STOPPED;
    strcpy(report->how, "amid a restart");
}

int boot_status(const struct event_exited *report, int signal)
{
    switch (report->end) {
    case VM_POWERED_OFF:
    case VM_RESET:
        return STATUS_OK;
    case VM_STOPPED:
        return signal ? STATUS_SIGNAL + signal : STATUS_OK;
    case VM_PANICKED:
        return STATUS_PANIC;
    default:
        return STATUS_FAILED;
    }
}

void boot_tell_end(const struct event_exited *report, int signal, struct log *log)
{
    switch (report->end) {
    case VM_POWERED_OFF:
        log_info(log, "the guest powered off (%s)", report->how);
        break;
    case VM_RESET:
        log_info(log, "the guest reset (%s)", report->how);
        break;
    case VM_STOPPED:
        if (signal)
            log_info(log, "the VM was stopped (SIG%s)", sigabbrev_np(signal));
        else
            log_info(log, "the VM was stopped (%s)", report->how);
        break;
    case VM_PANICKED:
        log_error(log, "the guest's kernel panicked (%s)", report->how);
        break;
    default:
        log_error(log, "the VM failed (%s)", report->how);
        break;
    }
}
