/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/jail/sandbox_options.h"

const char *const sandbox_mode_names[] = {
    [SANDBOX_ON] = "on", [SANDBOX_OFF] = "off", [SANDBOX_MODE_COUNT] = NULL,
};

int sandbox_set_id(void *target, const struct option_row *row, const char *value,
                   struct error *error)
{
    return options_number(row->name, value, 1, UINT32_MAX - 1,
                          (uint64_t *)(void *)((char *)target + row->offset), error);
}
