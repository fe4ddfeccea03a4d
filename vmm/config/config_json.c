/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/config_json.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/options.h"
#include "vmm/base/utf8.h"

/* ---- reading ------------------------------------------------------------ */

/* The type that OBJECT says to be of; the first that has the name. */
static int read_type(const struct json_reader *reader, const char *path, struct json_object *object,
                     enum device_type *type)
{
    char list[128] = "";
    const char *name = "";
    struct json_object *value;

    if (json_object_object_get_ex(object, "type", &value) && json_object_is_type(value, json_type_string))
        name = json_object_get_string(value);
    for (size_t i = 0; i < DEVICE_TYPE_COUNT; i++) {
        if (strcmp(name, device_rows[i]->name) == 0) {
            *type = (enum device_type)i;
            return 0;
        }
        strncat(list, i ? ", " : "", sizeof(list) - strlen(list) - 1);
        strncat(list, device_rows[i]->name, sizeof(list) - strlen(list) - 1);
    }
    return json_reader_wrong(reader, path, "has no \"type\" that is known; use one of %s", list);
}

static int read_device(const struct json_reader *reader, const char *path, struct json_object *object,
                       struct vm_config *config)
{
    static const struct json_key extra[] = { { "type", JSON_IGNORED } };
    const struct schema_json json = {
        .reader = reader, .pool = &config->pool, .extra = extra, .extra_count = ARRAY_LENGTH(extra),
    };
    struct device_config *device;
    enum device_type type = DEVICE_TYPE_DISK;
    int result;

    if (!json_object_is_type(object, json_type_object))
        return json_reader_wrong(reader, path, "is no object; write it in braces");
    result = read_type(reader, path, object, &type);
    if (result < 0)
        return result;
    device = vm_config_add_device(config, type, reader->error);
    return device ? schema_json_read(&json, path, object, device_rows[type]->schema,
                                     device_config_options(device))
                  : -reader->error->number;
}

int config_json_read(const struct json_reader *reader, struct vm_config *config)
{
    struct {
        uint64_t version;
        struct json_object *devices;
    } own = { .version = 0 };
    const struct json_key extra[] = {
        { CONFIG_JSON_KEY, JSON_NUMBER, true, 0, CONFIG_JSON_VERSION, CONFIG_JSON_VERSION },
        { "devices", JSON_LIST, false, sizeof(uint64_t) },
    };
    const struct schema_json json = {
        .reader = reader, .pool = &config->pool, .extra = extra, .extra_count = ARRAY_LENGTH(extra),
        .extra_target = &own,
    };
    int result = schema_json_read(&json, "", reader->root, &vm_schema, config);
    size_t count = result == 0 && own.devices ? json_object_array_length(own.devices) : 0;

    for (size_t i = 0; result == 0 && i < count; i++) {
        char path[32];

        snprintf(path, sizeof(path), "devices[%zu]", i);
        result = read_device(reader, path, json_object_array_get_idx(own.devices, i), config);
    }
    return result;
}

/* ---- writing ------------------------------------------------------------ */

static void write_device(FILE *stream, const struct device_config *device)
{
    bool first = true;

    fputc('{', stream);
    schema_json_begin(stream, 3, "type", &first);
    schema_json_text(stream, device_rows[device->type]->name);
    schema_json_write(stream, 3, device_rows[device->type]->schema, device_config_values(device), &first);
    fputs("\n    }", stream);
}

static void write_config(FILE *stream, const struct vm_config *config)
{
    bool first = true, first_device = true;

    fputc('{', stream);
    schema_json_begin(stream, 1, CONFIG_JSON_KEY, &first);
    fprintf(stream, "%d", CONFIG_JSON_VERSION);
    schema_json_write(stream, 1, &vm_schema, config, &first);
    schema_json_begin(stream, 1, "devices", &first);
    fputc('[', stream);
    for (size_t i = 0; i < config->device_count; i++) {
        schema_json_begin(stream, 2, NULL, &first_device);
        write_device(stream, config->devices[i]);
    }
    fprintf(stream, "%s]\n}\n", config->device_count ? "\n  " : "");
}

/* The line in which TEXT is no UTF-8, or NULL. */
static const char *find_damage(const char *text, const char *clean)
{
    const char *line = clean;

    for (; *text && *text == *clean; text++, clean++)
        if (*clean == '\n')
            line = clean + 1;
    return *text == *clean ? NULL : line;
}

int config_json_write(FILE *stream, const struct vm_config *config, struct error *error)
{
    cleanup_free char *text = NULL, *clean = NULL;
    const char *damage;
    size_t size;
    FILE *memory = open_memstream(&text, &size);

    if (!memory)
        return error_system(error, ENOMEM, "the configuration");
    write_config(memory, config);
    if (fclose(memory) != 0 || !(clean = utf8_clean(text)))
        return error_system(error, ENOMEM, "the configuration");
    damage = find_damage(text, clean);
    if (damage)
        return error_set(error, EILSEQ, "the configuration: %.*s is no UTF-8, which JSON needs; rename the file",
                         (int)strcspn(damage, "\n"), damage);
    if (fputs(text, stream) < 0 || fflush(stream) != 0)
        return error_system(error, errno, "the configuration");
    return 0;
}
