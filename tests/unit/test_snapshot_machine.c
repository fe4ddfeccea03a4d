/* SPDX-License-Identifier: Apache-2.0 */
/* What a snapshot says of the machine: whole and sealed, or refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/loading.h"
#include "tests/support/own_directory.h"
#include "tests/support/saved.h"
#include "vmm/base/cleanup.h"
#include "vmm/supervisor/snapshot/folder.h"
#include "vmm/snapshot/machine_state.h"

#define SIZE (12ull << 20)

static const uint8_t id[SNAPSHOT_ID_SIZE] = "0123456789abcde", other_id[SNAPSHOT_ID_SIZE] = "another";

/* TEXT is that of its second device. */
static struct vm_config config_with(const char *text)
{
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;

    config.cpus = 3;
    config.memory = SIZE;
    assert_int_equal(vm_config_add_option(&config, DEVICE_TYPE_ENTROPY, "on", &error), 0);
    assert_int_equal(vm_config_add_option(&config, DEVICE_TYPE_CONSOLE, text, &error), 0);
    assert_int_equal(vm_config_add_option(&config, DEVICE_TYPE_CONSOLE, "c=file:/d", &error), 0);
    return config;
}

static struct saved saved_machine(void)
{
    struct vm_config config = config_with("a=file:/b");
    struct error error = ERROR_INIT;
    struct saved saved;
    struct state *state;
    const void *bytes;

    assert_int_equal(state_create(&state, &error), 0);
    machine_state_save(&config, id, state);
    assert_int_equal(state_finish(state, &error), 0);
    bytes = state_saved(state, &saved.length);
    saved.bytes = malloc(saved.length);
    assert_non_null(saved.bytes);
    memcpy(saved.bytes, bytes, saved.length);
    state_destroy(state);
    vm_config_release(&config);
    return saved;
}

static int load_machine(const struct saved *saved, struct vm_config *config, struct error *error)
{
    struct machine_state machine = MACHINE_STATE_INIT;
    struct state *state;
    int result;

    *error = (struct error)ERROR_INIT;
    *config = vm_config_default();
    assert_int_equal(state_open(&state, saved->bytes, saved->length, error), 0);
    machine_state(&machine, state);
    result = state_first_fault(state, error);
    state_destroy(state);
    if (result == 0)
        result = machine_state_configure(&machine, config, error);
    machine_state_release(&machine);
    return result;
}

static void a_machine_comes_back(void **state)
{
    struct saved saved = saved_machine();
    struct vm_config config, was = config_with("a=file:/b");
    struct error error;

    (void)state;
    assert_int_equal(load_machine(&saved, &config, &error), 0);
    assert_int_equal(config.cpus, 3);
    assert_int_equal(config.memory, SIZE);
    assert_int_equal(config.device_count, 2); /* both ports are one device */
    assert_int_equal(config.devices[1]->console.count, 2);
    assert_string_equal(config.devices[1]->console.ports[0].host.path, "/b");
    assert_true(vm_config_equal(&config, &was));
    vm_config_release(&was);
    vm_config_release(&config);
    saved_release(&saved);
}

/* What the VM's process wrote is a state of the VM that it was given, and no other. */
static void a_machine_is_verified(void **state)
{
    struct vm_config own = config_with("a=file:/b"), other = config_with("a=file:/etc/shadow");
    struct saved saved = saved_machine();
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(machine_state_verify(saved.bytes, saved.length, &own, id, &error), 0);
    loading_assert_error(machine_state_verify(saved.bytes, saved.length, &other, id, &error), &error,
                         EPERM, "names other devices");
    loading_assert_error(machine_state_verify(saved.bytes, saved.length, &own, other_id, &error),
                         &error, EPERM, "names other devices");
    loading_assert_error(machine_state_verify(saved.bytes, 40, &own, id, &error), &error, EPERM,
                         "names other devices");
    loading_assert_error(machine_state_verify(saved.bytes, 0, &own, id, &error), &error, EPERM,
                         "names other devices");
    vm_config_release(&own);
    vm_config_release(&other);
    saved_release(&saved);
}

/* Who has the first file open writes to one that is no more; another machine's is none. */
static void a_state_is_sealed(void **state)
{
    struct vm_config own = config_with("a=file:/b"), other = config_with("a=file:/etc/shadow");
    struct saved saved = saved_machine();
    struct snapshot_folder folder;
    struct vm_snapshot_source source;
    struct error error = ERROR_INIT;
    cleanup_fd int kept = -1;
    cleanup_free void *bytes = NULL;
    size_t length;

    (void)state;
    assert_int_equal(snapshot_folder_begin(&folder, path_of("sealed"), SIZE, id, &error), 0);
    kept = dup(folder.state_fd);
    assert_int_equal(machine_state_write(kept, saved.bytes, saved.length, &error), 0);
    loading_assert_error(snapshot_folder_seal_state(&folder, &other, &error), &error, EPERM,
                         "names other devices");
    assert_int_equal(snapshot_folder_seal_state(&folder, &own, &error), 0);
    assert_int_equal(pwrite(kept, "worse", 5, 0), 5);
    assert_int_equal(snapshot_folder_finish(&folder, &error), 0);
    assert_int_equal(snapshot_folder_open(&source, path_of("sealed"), &error), 0);
    assert_int_equal(machine_state_read(source.state_fd, &bytes, &length, &error), 0);
    assert_int_equal(length, saved.length);
    assert_memory_equal(bytes, saved.bytes, length);
    snapshot_source_close(&source);
    vm_config_release(&own);
    vm_config_release(&other);
    saved_release(&saved);
}

static void altered_machines_are_refused(void **state)
{
    struct saved good = saved_machine();
    struct saved_section section = saved_find(&good, "machine");
    struct vm_config config;
    struct error error;
    unsigned int refused = 0;

    (void)state;
    for (size_t at = 0; at < section.length; at++) {
        for (unsigned int bit = 0; bit < 8; bit += 3) {
            struct saved altered = saved_copy(&good);

            saved_find(&altered, "machine").content[at] ^= (uint8_t)(1u << bit);
            saved_seal(&altered);
            if (load_machine(&altered, &config, &error) < 0)
                refused++;
            else
                assert_null(schema_fault(device_rows[config.devices[1]->type]->schema,
                                         device_config_values(config.devices[1])));
            vm_config_release(&config);
            saved_release(&altered);
        }
    }
    assert_true(refused > section.length);
    {
        struct saved foreign = saved_copy(&good);

        memcpy(strstr((char *)saved_find(&foreign, "machine").content + 9, "x86_64"), "arm_64", 6);
        saved_seal(&foreign);
        loading_assert_error(load_machine(&foreign, &config, &error), &error, ENOTSUP,
                             "was saved on arm_64");
        saved_release(&foreign);
    }
    saved_release(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_comes_back),
        cmocka_unit_test(a_machine_is_verified),
        cmocka_unit_test_setup_teardown(a_state_is_sealed, set_up, tear_down),
        cmocka_unit_test(altered_machines_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
