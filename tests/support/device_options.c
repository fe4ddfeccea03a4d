/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/device_options.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/config/device.h"

struct made {
    struct config_pool pool;
    struct device_config device;
};

static struct made *made_of(const void *options)
{
    return (struct made *)(uintptr_t)((const char *)options - offsetof(struct made, device.disk));
}

static enum device_type type_of(const char *option)
{
    for (size_t i = 0; i < DEVICE_TYPE_COUNT; i++)
        if (strcmp(device_rows[i]->option, option) == 0 || strcmp(device_rows[i]->name, option) == 0)
            return (enum device_type)i;
    assert(!"an option of a device");
    return DEVICE_TYPE_COUNT;
}

int device_options_parse(const char *option, const char *text, void **options, struct error *error)
{
    const struct device_row *row = device_rows[type_of(option)];
    struct made *made = row->merge && *options ? made_of(*options) : calloc(1, sizeof(*made));
    struct device_config device;
    int result;

    assert(made);
    if (!row->merge || !*options)
        device_config_init(&made->device, type_of(option));
    device_config_init(&device, type_of(option));
    result = device_config_parse(&device, text, &made->pool, error);
    if (result == 0 && row->merge)
        result = row->merge(&made->device, &device, error);
    else if (result == 0)
        made->device = device;
    if (result == 0)
        result = device_config_validate(&made->device, error);
    if (result == 0)
        *options = device_config_options(&made->device);
    else if (!row->merge || !*options)
        device_options_release(device_config_options(&made->device));
    return result;
}

void device_options_release(void *options)
{
    struct made *made = options ? made_of(options) : NULL;

    if (!made)
        return;
    config_pool_release(&made->pool);
    free(made);
}

int device_options_conflict(const char *option, const void *one, const void *other, struct error *error)
{
    return device_rows[type_of(option)]->conflict(&made_of(one)->device, &made_of(other)->device, error);
}
