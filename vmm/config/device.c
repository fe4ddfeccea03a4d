/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/device.h"

#include <errno.h>

#include "vmm/config/settings.h"

#define DEVICE_ROW(type, name, options, class) [type] = &name##_row,
const struct device_row *const device_rows[DEVICE_TYPE_COUNT] = { DEVICE_TYPES(DEVICE_ROW) };
#undef DEVICE_ROW

#define DEVICE_CLASS(type, name, options, class) [type] = &class,
const struct virtio_device_class *const device_classes[DEVICE_TYPE_COUNT] = { DEVICE_TYPES(DEVICE_CLASS) };
#undef DEVICE_CLASS

void *device_config_options(struct device_config *device)
{
    return &device->disk;
}

const void *device_config_values(const struct device_config *device)
{
    return &device->disk;
}

void device_config_init(struct device_config *device, enum device_type type)
{
    device->type = type;
    schema_default(device_rows[type]->schema, device_config_options(device));
}

int device_config_parse(struct device_config *device, const char *text, struct config_pool *pool,
                        struct error *error)
{
    const struct device_row *row = device_rows[device->type];
    struct settings settings;
    int result = settings_parse(&settings, row->option, text, error);

    if (result < 0)
        return result;
    if ((result = row->read(device, &settings, pool, error)) == 0 &&
        (result = settings_rows(&settings, row->schema, device_config_options(device), pool, error)) == 0)
        result = settings_finish(&settings, row->schema, row->known, error);
    settings_release(&settings);
    return result;
}

int device_config_validate(const struct device_config *device, struct error *error)
{
    const struct device_row *row = device_rows[device->type];
    const char *fault = schema_fault(row->schema, device_config_values(device));

    if (fault)
        return error_set(error, ERANGE, "--%s: %s is out of range; the manual mote.1 lists what it takes",
                         row->option, fault);
    return row->validate(device, error);
}

bool device_config_equal(const struct device_config *one, const struct device_config *two)
{
    return one->type == two->type && schema_equal(device_rows[one->type]->schema, device_config_values(one),
                                                  device_config_values(two));
}

int device_config_copy(struct device_config *copy, const struct device_config *device,
                       struct config_pool *pool)
{
    device_config_init(copy, device->type);
    return schema_copy(device_rows[device->type]->schema, device_config_options(copy),
                       device_config_values(device), pool);
}
