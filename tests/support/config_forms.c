/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/config_forms.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/config/config_json.h"
#include "vmm/machine/state.h"

char *config_to_json(const struct vm_config *config, struct error *error)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    int result = config_json_write(stream, config, error);

    fclose(stream);
    if (result == 0)
        return text;
    free(text);
    return NULL;
}

int config_from_json(struct vm_config *back, const char *json, struct error *error)
{
    struct json_reader reader;
    int result = json_reader_parse(&reader, "test", json, strlen(json), error);

    *back = vm_config_default();
    if (result < 0)
        return result;
    result = config_json_read(&reader, back);
    json_reader_close(&reader);
    return result;
}

static void devices_state(struct vm_config *config, struct state *state)
{
    state_begin(state, "devices", 0, 1);
    vm_config_devices_state(config, state);
    state_end(state);
}

int config_by_wire(struct vm_config *back, const struct vm_config *config, struct error *error)
{
    struct vm_config source = *config;
    struct state *saved, *loaded;
    const void *bytes;
    size_t length;
    int result = state_create(&saved, error);

    *back = *config;
    back->device_count = 0;
    back->pool = (struct config_pool){ NULL };
    if (result < 0)
        return result;
    devices_state(&source, saved);
    result = state_finish(saved, error);
    bytes = state_saved(saved, &length);
    if (result == 0)
        result = state_open(&loaded, bytes, length, error);
    if (result == 0) {
        devices_state(back, loaded);
        result = state_finish(loaded, error);
        state_destroy(loaded);
    }
    state_destroy(saved);
    return result;
}
