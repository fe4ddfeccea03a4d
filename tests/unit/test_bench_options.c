/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `mote bench`. */
#include "tests/support/workshop_bench.h"

#include <stdio.h>

#include "vmm/base/cleanup.h"

static int parse(const char *words, struct error *error)
{
    static char copy[256];
    char *arguments[16] = { NULL }, *rest = copy, *word;
    bool helped;
    int count = 0;

    *error = (struct error)ERROR_INIT;
    snprintf(copy, sizeof(copy), "bench %s", words);
    while (count < 15 && (word = strsep(&rest, " ")))
        arguments[count++] = word;
    return bench_options_parse(&options, count, arguments, &helped, error);
}

static void options_are_read(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(parse("--quick --runs 7 --only mote,crun --axes start --memory-budget 1G "
                           "--firecracker /bin/sh --firecracker /bin/true", &error), 0);
    assert_true(options.quick && options.runs == 7 && options.memory_budget == 1u << 30);
    assert_true(bench_list_has(options.only, "crun") && !bench_list_has(options.only, "cru") &&
                !bench_list_has(options.only, "runc"));
    assert_string_equal(bench_options_path(&options, "firecracker"), "/bin/true");
    assert_null(bench_options_path(&options, "qemu"));
    assert_null(bench_options_path(&options, NULL));
    assert_true(bench_list_has(NULL, "anything"));
}

static void options_are_refused(void **state)
{
    static const char *const bad[][2] = {
        { "--runs 0", "--runs 0" }, { "--runs x", "--runs x" },
        { "--only motte", "did you mean 'mote'" }, { "--only crun,zzzzzz", "--only zzzzzz" },
        { "--only ,", "names nothing" }, { "--only=", "names nothing" },
        { "--axes strat", "did you mean 'start'" }, { "--json --csv", "exclude each other" },
        { "--rootfs /bin/sh", "no directory" }, { "--html /tmp", "is a directory" },
        { "--qemu /no/such", "--qemu /no/such" }, { "--memory-budget 0", "is nothing" },
        { "word", "'word'" }, { "--quik", "did you mean --quick" },
    };
    struct error error;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        assert_true(parse(bad[i][0], &error) < 0);
        if (!strstr(error.message, bad[i][1]))
            fail_msg("%s: %s", bad[i][0], error.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(options_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(options_are_refused, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
