/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pvpanic device (QEMU docs/specs/pvpanic): one byte, the first of the
 * window.  Reading tells which events the host understands; the guest's panic
 * handler writes those that happened.
 *
 *   bit 0  the guest panicked
 *   bit 1  the guest panicked and will run its crash kernel: only a log line
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/registry.h"

#define EVENT_PANICKED 1u
#define EVENT_CRASH_LOADED 2u

struct pvpanic {
    struct device device;
    struct guest_event_sink *events;
    struct log *log;
    struct log_limit limit;
};

static int pvpanic_create(struct device **device, const struct device_env *env,
                          const void *options, struct error *error)
{
    struct pvpanic *pvpanic = calloc(1, sizeof(*pvpanic));

    (void)options;
    if (!pvpanic)
        return error_system(error, ENOMEM, "pvpanic");
    device_init(&pvpanic->device, &pvpanic_ops);
    pvpanic->events = env->events;
    pvpanic->log = env->log;
    *device = &pvpanic->device;
    return 0;
}

static void pvpanic_destroy(struct device *device)
{
    device_release(device);
    free(device);
}

static void pvpanic_read(struct device *device, uint64_t offset, uint8_t *bytes, size_t length)
{
    (void)device;
    memset(bytes, 0, length);
    if (offset == 0)
        bytes[0] = EVENT_PANICKED | EVENT_CRASH_LOADED;
}

static void pvpanic_write(struct device *device, uint64_t offset, const uint8_t *bytes,
                          size_t length)
{
    struct pvpanic *pvpanic = (struct pvpanic *)device;

    (void)length;
    if (offset != 0)
        return;
    if (bytes[0] & EVENT_PANICKED)
        pvpanic->events->report(pvpanic->events->context, GUEST_PANICKED, "pvpanic", bytes[0]);
    else if (bytes[0] & EVENT_CRASH_LOADED)
        log_limited(pvpanic->log, &pvpanic->limit, LOG_WARN,
                    "pvpanic: the guest panicked and runs its crash kernel");
}

const struct device_ops pvpanic_ops = {
    .name = "pvpanic",
    .create = pvpanic_create,
    .destroy = pvpanic_destroy,
    .read = pvpanic_read,
    .write = pvpanic_write,
};
