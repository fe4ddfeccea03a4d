/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/vm_exit.h"

#include <errno.h>
#include <string.h>

#include "vmm/base/exit_status.h"

/* Whether REPORT is what became of its process. */
static int check_status(const struct event_exited *report, int status, struct error *error)
{
    if (!report)
        return error_set(error, ECHILD, "the VM's process ended without a message (status %d); "
                         "please report it", status);
    if (status != (report->error_number ? STATUS_FAILED : STATUS_OK))
        return error_set(error, ECHILD, "the VM's process ended with status %d, which is not what it reported; take "
                         "it for one that its guest broke into, and report it", status);
    return 0;
}

void vm_exit_judge(struct vm_exit *exit, const struct event_exited *report, int status, const struct error *error)
{
    *exit = (struct vm_exit){ .end = VM_RUNNING };
    if (report)
        exit->timeline = report->timeline;
    if (status < 0)
        exit->error = *error;
    if (status < 0 || check_status(report, status, &exit->error) < 0)
        return;
    exit->end = (enum vm_end_kind)report->end;
    memcpy(exit->how, report->how, sizeof(exit->how));
    if (report->error_number)
        error_set(&exit->error, report->error_number, "%s", report->message);
}

void vm_exit_take_stop(struct vm_exit *exit)
{
    if (exit->end != VM_RESET)
        return;
    exit->end = VM_STOPPED;
    strcpy(exit->how, "amid a restart");
}

int vm_exit_status(const struct vm_exit *exit, int signal)
{
    switch (exit->end) {
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

void vm_exit_tell(const struct vm_exit *exit, int signal, struct log *log)
{
    switch (exit->end) {
    case VM_POWERED_OFF:
        log_info(log, "the guest powered off (%s)", exit->how);
        break;
    case VM_RESET:
        log_info(log, "the guest reset (%s)", exit->how);
        break;
    case VM_STOPPED:
        if (signal)
            log_info(log, "the VM was stopped (SIG%s)", sigabbrev_np(signal));
        else
            log_info(log, "the VM was stopped (%s)", exit->how);
        break;
    case VM_PANICKED:
        log_error(log, "the guest's kernel panicked (%s)", exit->how);
        break;
    default:
        log_error(log, "the VM failed (%s)", exit->how);
        break;
    }
}
