/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/command.h"

#include "vmm/log.h"

int command_failed(const struct error *error)
{
    struct log log = LOG_INIT;

    log_error(&log, "%s", error->message);
    return STATUS_FAILED;
}
