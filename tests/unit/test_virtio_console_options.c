/* SPDX-License-Identifier: Apache-2.0 */
/* --port as it is written. */
#include "tests/support/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/backend/console.h"
#include "devices/virtio/console.h"

static void assert_refused(void *options, const char *text, const char *reason,
                           const char *remedy)
{
    struct error error = ERROR_INIT;
    void *before = options;

    assert_true(virtio_console_parse(text, &options, &error) < 0);
    assert_ptr_equal(options, before);
    if (!strstr(error.message, reason) || !strstr(error.message, remedy))
        fail_msg("%s: %s", text, error.message);
}

static void test_options(void **state)
{
    struct virtio_console_options *ports;
    struct error error = ERROR_INIT;
    void *options = NULL;
    char text[256];

    (void)state;
    assert_refused(NULL, "", "name is missing", "give --port NAME=");
    assert_refused(NULL, "file:/x", "name is missing", "give --port NAME=");
    assert_refused(NULL, "a=", "names nothing", "fd:N");
    assert_refused(NULL, "a=/x", "names nothing", "unix:PATH");
    assert_refused(NULL, "a=file:", "names nothing", "file:PATH");
    assert_refused(NULL, "a=tcp:1", "is unknown", "file:PATH");
    assert_refused(NULL, "a b=file:/x", "does not do", "letters");
    assert_refused(NULL, "=file:/x", "name is missing", "NAME=");
    assert_refused(NULL, "a=fd:2", "out of range", "from 3");
    assert_refused(NULL, "a=fd:x", "no whole number", "from 3");
    assert_refused(NULL, "a=fd:99999", "is not open", "open it");
    assert_refused(NULL, "a=file:/x,ro", "'ro' is unknown", "man mote");
    snprintf(text, sizeof(text), "a=unix:/%0*d", 108, 0);
    assert_refused(NULL, text, "longer than 107", "shorter");
    snprintf(text, sizeof(text), "%0*d=file:/x", 65, 0);
    assert_refused(NULL, text, "does not do", "1 to 64");
    for (unsigned int i = 0; i < CONSOLE_PORTS_MAX - 1; i++) {
        snprintf(text, sizeof(text), "org.example.%u=file:/tmp/a,,b=%u", i, i);
        assert_int_equal(virtio_console_parse(text, &options, &error), 0);
    }
    ports = options;
    assert_int_equal(ports->count, CONSOLE_PORTS_MAX - 1);
    assert_string_equal(ports->ports[1].name, "org.example.1");
    assert_string_equal(ports->ports[1].host.path, "/tmp/a,b=1");
    assert_refused(options, "more=file:/x", "over 30 ports", "fewer");
    ports->count--;
    free(ports->ports[ports->count].name);
    free(ports->ports[ports->count].host.path);
    assert_refused(options, "org.example.1=file:/x", "given twice", "another name");
    virtio_console_release(options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
