/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One register of four bytes: writing N puts the guest's mark N on the
 * monitor's timeline.  A write of one or two bytes is a small N.  Reads yield
 * the last mark, 0 before the first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/registry.h"
#include "vmm/machine/state.h"

#define REGISTER_SIZE 4

struct boot_mark {
    struct device device;
    struct guest_event_sink *events;
    uint32_t last;
};

static int boot_mark_create(struct device **device, const struct device_env *env,
                            const void *options, struct error *error)
{
    struct boot_mark *mark = calloc(1, sizeof(*mark));

    (void)options;
    if (!mark)
        return error_system(error, ENOMEM, "boot mark");
    device_init(&mark->device, &boot_mark_ops);
    mark->events = env->events;
    *device = &mark->device;
    return 0;
}

static void boot_mark_destroy(struct device *device)
{
    device_release(device);
    free(device);
}

static void boot_mark_read(struct device *device, uint64_t offset, uint8_t *bytes, size_t length)
{
    const struct boot_mark *mark = (const struct boot_mark *)device;

    for (size_t i = 0; i < length; i++)
        bytes[i] = offset + i < REGISTER_SIZE ? (uint8_t)(mark->last >> (8 * (offset + i))) : 0;
}

static void boot_mark_write(struct device *device, uint64_t offset, const uint8_t *bytes,
                            size_t length)
{
    struct boot_mark *mark = (struct boot_mark *)device;
    uint32_t value = 0;

    if (offset != 0 || length > REGISTER_SIZE)
        return;
    for (size_t i = 0; i < length; i++)
        value |= (uint32_t)bytes[i] << (8 * i);
    mark->last = value;
    mark->events->report(mark->events->context, GUEST_MARK, "boot mark", value);
}

static void boot_mark_state(struct device *device, struct state *state)
{
    struct boot_mark *mark = (struct boot_mark *)device;

    state_begin(state, "boot-mark", 0, 1);
    state_u32(state, &mark->last);
    state_end(state);
}

const struct device_ops boot_mark_ops = {
    .name = "boot-mark",
    .create = boot_mark_create,
    .destroy = boot_mark_destroy,
    .read = boot_mark_read,
    .write = boot_mark_write,
    .state = boot_mark_state,
};
