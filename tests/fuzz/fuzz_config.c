/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of devices: the text of an option, and the wire form of a
 * snapshot, altered.  Oracle: what is taken is in the range of each field, is equal to
 * its copy, and comes back equal by JSON and by the wire.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/support/config_forms.h"
#include "tests/support/saved.h"
#include "vmm/machine/state.h"

#define TEXT_MAX 4096

/* One of each kind, whose state is altered. */
static const struct {
    enum device_type type;
    const char *text;
} base[] = {
    { DEVICE_TYPE_DISK, "/dev/disk,ro,serial=abc,queues=4,block-size=512,rate=3M,ops=7,ops-once=1" },
    { DEVICE_TYPE_BALLOON, "16M,stats=3,reporting" },
    { DEVICE_TYPE_ENTROPY, "on,rate=5K" },
    { DEVICE_TYPE_NET, "user,mac=52:54:00:12:34:56,forward=tcp:[::1]:8080:80,forward=udp:5:3,local,rx-rate=1M" },
    { DEVICE_TYPE_NET, "tap:tap0,queues=7,offloads=off" },
    { DEVICE_TYPE_CONSOLE, "log=file:/log" },
    { DEVICE_TYPE_CONSOLE, "fd=fd:7" },
    { DEVICE_TYPE_VSOCK, "9:/vsock" },
};

static void check(const struct vm_config *config)
{
    struct error error = ERROR_INIT;
    struct vm_config back;
    char *json = config_to_json(config, &error);

    for (size_t i = 0; i < config->device_count; i++)
        fuzz_require(!schema_fault(device_rows[config->devices[i]->type]->schema,
                                   device_config_values(config->devices[i])));
    if (json) {
        fuzz_require(config_from_json(&back, json, &error) == 0);
        fuzz_require(vm_config_equal(config, &back));
        vm_config_release(&back);
        free(json);
    } else {
        fuzz_require(error.number == EILSEQ && !strchr(error.message, '\n'));
    }
    fuzz_require(config_by_wire(&back, config, &error) == 0);
    fuzz_require(vm_config_equal(config, &back));
    vm_config_release(&back);
    fuzz_require(vm_config_copy(&back, config, &error) == 0);
    fuzz_require(vm_config_equal(config, &back));
    vm_config_release(&back);
}

static void try_option(struct fuzz_input *input)
{
    enum device_type type = (enum device_type)(fuzz_take(input, 1) % DEVICE_TYPE_COUNT);
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;
    char text[TEXT_MAX];
    size_t length = input->size < sizeof(text) - 1 ? input->size : sizeof(text) - 1;

    memcpy(text, input->bytes, length);
    text[length] = '\0';
    config.kernel = "k";
    if (vm_config_add_option(&config, type, text, &error) < 0)
        fuzz_require(strncmp(error.message, "--", 2) == 0 && !strchr(error.message, '\n'));
    else
        check(&config);
    if (config.device_count > 0 && vm_config_validate(&config, &error) < 0)
        fuzz_require(error.message[0] && !strchr(error.message, '\n'));
    vm_config_release(&config);
}

static struct saved save_base(void)
{
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;
    struct saved saved = { .bytes = NULL };
    struct state *state;
    const void *bytes;

    for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++)
        fuzz_require(vm_config_add_option(&config, base[i].type, base[i].text, &error) == 0);
    fuzz_require(state_create(&state, &error) == 0);
    state_begin(state, "devices", 0, 1);
    vm_config_devices_state(&config, state);
    state_end(state);
    fuzz_require(state_finish(state, &error) == 0);
    bytes = state_saved(state, &saved.length);
    saved.bytes = malloc(saved.length);
    fuzz_require(saved.bytes != NULL);
    memcpy(saved.bytes, bytes, saved.length);
    state_destroy(state);
    vm_config_release(&config);
    return saved;
}

static void try_wire(struct fuzz_input *input)
{
    struct saved saved = save_base();
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;
    struct state *state;

    while (input->size > 0) {
        size_t at = fuzz_take(input, 2) % saved.length;

        saved.bytes[at] = (uint8_t)fuzz_take(input, 1);
    }
    saved_seal(&saved);
    if (state_open(&state, saved.bytes, saved.length, &error) == 0) {
        state_begin(state, "devices", 0, 1);
        vm_config_devices_state(&config, state);
        state_end(state);
        if (state_finish(state, &error) == 0)
            check(&config);
        state_destroy(state);
    }
    vm_config_release(&config);
    saved_release(&saved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, size };

    if (fuzz_take(&input, 1) & 1)
        try_wire(&input);
    else
        try_option(&input);
    return 0;
}
