/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sleep and reset registers of hardware-reduced ACPI (ACPI 6.4, sections
 * 4.8.3.6 to 4.8.3.8), one byte each:
 *
 *   +0  sleep control   bit 5 SLP_EN, bits 4:2 SLP_TYP; S5 has type 5 here
 *   +1  sleep status    bit 7 WAK; always 0, since nothing ever wakes up
 *   +2  reset           writing 1 resets
 *
 * The type of S5 is what the DSDT says in \_S5; both sides must agree on 5.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/registry.h"
#include "vmm/machine/power_registers.h"
#include "vmm/machine/state.h"

#define SLEEP_TYPE_MASK 0x1cu

struct power {
    struct device device;
    struct guest_event_sink *events;
    struct log *log;
    struct log_limit limit;
    uint8_t sleep_type; /* SLP_TYP reads back, SLP_EN reads as 0 */
};

static int power_create(struct device **device, const struct device_env *env, const void *options,
                        struct error *error)
{
    struct power *power = calloc(1, sizeof(*power));

    (void)options;
    if (!power)
        return error_system(error, ENOMEM, "power");
    device_init(&power->device, &power_ops);
    power->events = env->events;
    power->log = env->log;
    *device = &power->device;
    return 0;
}

static void power_destroy(struct device *device)
{
    device_release(device);
    free(device);
}

static void power_read(struct device *device, uint64_t offset, uint8_t *bytes, size_t length)
{
    const struct power *power = (const struct power *)device;

    memset(bytes, 0, length);
    if (offset == POWER_SLEEP_CONTROL)
        bytes[0] = power->sleep_type;
}

static void sleep_control(struct power *power, uint8_t value)
{
    power->sleep_type = value & SLEEP_TYPE_MASK;
    if (!(value & POWER_SLEEP_ENABLE))
        return;
    if (power->sleep_type == POWER_SLEEP_TYPE_S5 << 2)
        power->events->report(power->events->context, GUEST_POWER_OFF, "ACPI power-off", 0);
    else
        log_limited(power->log, &power->limit, LOG_WARN,
                    "power: the guest asked for sleep type %u, which does not exist; ignored",
                    power->sleep_type >> 2);
}

static void power_write(struct device *device, uint64_t offset, const uint8_t *bytes,
                        size_t length)
{
    struct power *power = (struct power *)device;

    for (size_t i = 0; i < length; i++) {
        if (offset + i == POWER_SLEEP_CONTROL)
            sleep_control(power, bytes[i]);
        else if (offset + i == POWER_RESET && bytes[i] == POWER_RESET_VALUE)
            power->events->report(power->events->context, GUEST_RESET, "ACPI reset register", 0);
    }
}

static void power_state(struct device *device, struct state *state)
{
    struct power *power = (struct power *)device;

    state_begin(state, "power", 0, 1);
    state_u8(state, &power->sleep_type);
    state_require(state, (power->sleep_type & ~SLEEP_TYPE_MASK) == 0, "the sleep type");
    state_end(state);
}

const struct device_ops power_ops = {
    .name = "power",
    .create = power_create,
    .destroy = power_destroy,
    .read = power_read,
    .write = power_write,
    .state = power_state,
};
