/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/config_file.h"

#include "vmm/base/json_reader.h"
#include "vmm/config/config_json.h"
#include "vmm/config/firecracker.h"

int config_file_load(const char *path, struct vm_config *config, struct config_file_log *log,
                     struct error *error)
{
    struct json_reader reader;
    int result = json_reader_open(&reader, path, error);

    *log = (struct config_file_log){ .level = -1 };
    if (result < 0)
        return result;
    if (json_object_object_get_ex(reader.root, CONFIG_JSON_KEY, NULL))
        result = config_json_read(&reader, config);
    else
        result = firecracker_read(&reader, config, log);
    json_reader_close(&reader);
    return result;
}
