/* SPDX-License-Identifier: Apache-2.0 */
/* --port as it is written. */
#include "tests/support/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/config/config.h"

/* --port TEXT after those that CONFIG has is refused. */
static void assert_refused(struct vm_config *config, const char *text, const char *reason,
                           const char *remedy)
{
    struct vm_config copy;
    struct error error = ERROR_INIT;
    int result;

    assert_int_equal(vm_config_copy(&copy, config, &error), 0);
    result = vm_config_add_option(&copy, DEVICE_TYPE_CONSOLE, text, &error);
    if (result == 0)
        result = device_config_validate(copy.devices[0], &error);
    assert_true(result < 0);
    if (!strstr(error.message, reason) || !strstr(error.message, remedy))
        fail_msg("%s: %s", text, error.message);
    vm_config_release(&copy);
}

static void test_options(void **state)
{
    struct vm_config config = vm_config_default();
    struct virtio_console_options *console;
    struct error error = ERROR_INIT;
    char text[256];

    (void)state;
    assert_refused(&config, "", "name is missing", "give --port NAME=");
    assert_refused(&config, "file:/x", "name is missing", "give --port NAME=");
    assert_refused(&config, "a=", "names nothing", "fd:N");
    assert_refused(&config, "a=/x", "names nothing", "unix:PATH");
    assert_refused(&config, "a=file:", "names nothing", "file:PATH");
    assert_refused(&config, "a=tcp:1", "is unknown", "file:PATH");
    assert_refused(&config, "a b=file:/x", "does not do", "letters");
    assert_refused(&config, "=file:/x", "name is missing", "NAME=");
    assert_refused(&config, "a=fd:2", "out of range", "from 3");
    assert_refused(&config, "a=fd:x", "no whole number", "from 3");
    assert_refused(&config, "a=fd:99999", "is not open", "open it");
    assert_refused(&config, "a=file:/x,ro", "'ro' is unknown", "as ,,");
    snprintf(text, sizeof(text), "a=unix:/%0*d", 108, 0);
    assert_refused(&config, text, "longer than 107", "shorter");
    snprintf(text, sizeof(text), "%0*d=file:/x", 65, 0);
    assert_refused(&config, text, "does not do", "1 to 64");
    for (unsigned int i = 0; i < CONSOLE_PORTS_MAX - 1; i++) {
        snprintf(text, sizeof(text), "org.example.%u=file:/tmp/a,,b=%u", i, i);
        assert_int_equal(vm_config_add_option(&config, DEVICE_TYPE_CONSOLE, text, &error), 0);
    }
    assert_int_equal(config.device_count, 1);
    assert_int_equal(device_config_validate(config.devices[0], &error), 0);
    console = &config.devices[0]->console;
    assert_int_equal(console->count, CONSOLE_PORTS_MAX - 1);
    assert_string_equal(console->ports[1].name, "org.example.1");
    assert_string_equal(console->ports[1].host.path, "/tmp/a,b=1");
    assert_refused(&config, "more=file:/x", "over 30 ports", "fewer");
    console->count--;
    assert_refused(&config, "org.example.1=file:/x", "given twice", "another name");
    vm_config_release(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
