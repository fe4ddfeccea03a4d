/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the host gives huge pages: what its switches say, in Linux before 6.8 and since. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/test_tool.h"
#include "vmm/base/cleanup.h"
#include "vmm/machine/huge_pages.h"

#define COMMON "enabled"
#define OWN "hugepages-2048kB/enabled"

static const struct {
    const char *common, *own; /* NULL: no such file */
    const char *refused_by;
} rows[] = {
    { "always madvise [never]\n", NULL, COMMON },
    { "always [madvise] never\n", NULL, NULL },
    { "[always] madvise never\n", NULL, NULL },
    { "always madvise [never]\n", "always [inherit] madvise never\n", COMMON },
    { "always [madvise] never\n", "always [inherit] madvise never\n", NULL },
    { "always madvise [never]\n", "[always] inherit madvise never\n", NULL },
    { "always madvise [never]\n", "always inherit [madvise] never\n", NULL },
    { "[always] madvise never\n", "always inherit madvise [never]\n", OWN },
    /* Not readable, or nothing that is known: the kernel decides, and nothing is said. */
    { NULL, NULL, NULL },
    { "", NULL, NULL },
    { "never\n", "never\n", NULL },
};

static void switches_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct test_directory directory;
        char path[96];
        const char *refused_by;

        test_directory_create(&directory);
        snprintf(path, sizeof(path), "%s/hugepages-2048kB", directory.path);
        assert_int_equal(mkdir(path, 0755), 0);
        if (rows[i].common)
            test_directory_write(&directory, COMMON, rows[i].common, strlen(rows[i].common));
        if (rows[i].own)
            test_directory_write(&directory, OWN, rows[i].own, strlen(rows[i].own));
        refused_by = huge_pages_refused_by(directory.path);
        if (!refused_by != !rows[i].refused_by)
            fail_msg("row %zu: %s", i, refused_by ? refused_by : "given");
        if (refused_by)
            assert_string_equal(refused_by, rows[i].refused_by);
        test_directory_remove(&directory);
    }
    assert_null(huge_pages_refused_by("/no/such/folder"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(switches_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
