/* SPDX-License-Identifier: Apache-2.0 */
/* Archives of layers that climb, lie, end early or are too large. */
#include "tests/support/layer_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_climbing(void **state)
{
    add(*state, '0', "../escaped", "x");
    refused(*state, "entry ../escaped: climbs out of the root");
}

static void test_climbing_absolute(void **state)
{
    add(*state, '0', "/etc/passwd", "x");
    refused(*state, "entry /etc/passwd: climbs out of the root, its path is absolute");
}

static void test_climbing_through_a_link(void **state)
{
    add(*state, '2', "etc", "/etc");
    add(*state, '0', "etc/passwd", "x");
    refused(*state, "entry etc/passwd: climbs through a symbolic link");
}

static void test_climbing_through_a_hard_link_to_a_link(void **state)
{
    add(*state, '2', "etc", "/etc");
    add(*state, '1', "copy", "etc");
    add(*state, '0', "copy/passwd", "x");
    refused(*state, "entry copy/passwd: climbs through a symbolic link");
}

static void test_below_a_file(void **state)
{
    add(*state, '0', "file", "x");
    add(*state, '0', "file/below", "x");
    refused(*state, "entry file/below: is below what is no folder");
}

static void test_hard_links_outside(void **state)
{
    add(*state, '1', "shadow", "../../etc/shadow");
    refused(*state, "entry shadow: is a hard link that climbs out");
}

static void test_hard_links_absolute(void **state)
{
    add(*state, '1', "shadow", "/etc/shadow");
    refused(*state, "entry shadow: is a hard link that climbs out");
}

static void test_hard_links_to_nothing(void **state)
{
    add(*state, '1', "shadow", "etc/shadow");
    refused(*state, "entry shadow: is a hard link to what its layer does not have");
}

static void test_hard_links_to_a_folder(void **state)
{
    add(*state, '5', "etc", NULL);
    add(*state, '1', "also", "etc");
    refused(*state, "entry also: is a hard link to what");
}

static void test_hard_links_to_a_whiteout(void **state)
{
    add(*state, '0', ".wh.x", NULL);
    add(*state, '1', "y", "x");
    refused(*state, "entry y: is a hard link to what");
}

static void test_hard_links_to_themselves(void **state)
{
    add(*state, '0', "x", "content");
    add(*state, '1', "x", "./x");
    assert_int_equal(unpack(*state), 0);
}

static void test_whiteouts_of_nothing(void **state)
{
    add(*state, '0', "etc/.wh...", NULL);
    refused(*state, "entry etc/.wh...: hides nothing");
}

static void test_replacing_a_full_folder(void **state)
{
    add(*state, '0', "etc/file", "x");
    add(*state, '0', "etc", "x");
    refused(*state, "entry etc: would replace a folder");
}

static void test_replacing_the_root(void **state)
{
    add(*state, '2', "./", "/");
    refused(*state, "would replace the root");
}

static void test_a_size_that_lies(void **state)
{
    struct world *world = *state;
    struct tar_entry entry = { .name = "big", .type = '0', .told_size = UINT64_C(1) << 32 };

    tar_add(&world->tar, &entry);
    refused(world, "entry big: larger than the limit of 64 MiB");
}

static void test_many_large_files(void **state)
{
    struct world *world = *state;
    void *zeros = calloc(1, 24u << 20);
    struct tar_entry entry = { .name = "a", .type = '0', .content = zeros, .size = 24u << 20 };

    tar_add(&world->tar, &entry);
    entry.name = "b";
    tar_add(&world->tar, &entry);
    entry.name = "a"; /* what is replaced counts as well */
    tar_add(&world->tar, &entry);
    free(zeros);
    refused(world, "entry a: larger than the limit");
}

static void test_cut_short(void **state)
{
    struct world *world = *state;
    struct tar_entry entry = { .name = "cut", .type = '0', .told_size = 100000, .content = "x",
                               .size = 1 };

    tar_add(&world->tar, &entry);
    assert_true(unpack_open(world) < 0);
    assert_non_null(strstr(world->error.message, "entry cut: "));
}

static void test_large_attributes(void **state)
{
    struct world *world = *state;
    static char value[XATTR_MAX - sizeof("user.a")];

    memset(value, 'v', sizeof(value));
    tar_add_pax(&world->tar, "SCHILY.xattr.user.a", value, sizeof(value));
    add(world, '0', "file", "x");
    tar_add_pax(&world->tar, "SCHILY.xattr.user.ab", value, sizeof(value));
    add(world, '0', "larger", "x");
    refused(world, "entry larger: extended attribute user.ab: of 1017 bytes");
    assert_true(find(world, "file")->xattrs.length > 0);
}

static void test_many_attributes(void **state)
{
    struct world *world = *state;
    struct xattrs xattrs = { .bytes = NULL };
    char name[64];
    int result = 0, count = 0;

    for (; result == 0 && count < 100; count++) {
        snprintf(name, sizeof(name), "user.%020d", count);
        result = xattrs_add(&xattrs, name, "v", 1, &world->error);
    }
    assert_int_equal(result, -E2BIG);
    assert_true(xattrs.names <= XATTR_NAMES_MAX);
    assert_non_null(strstr(world->error.message, "names of more than"));
    xattrs_release(&xattrs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_climbing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_climbing_absolute, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_climbing_through_a_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_climbing_through_a_hard_link_to_a_link, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_below_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hard_links_outside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hard_links_absolute, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hard_links_to_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hard_links_to_a_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hard_links_to_a_whiteout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hard_links_to_themselves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_whiteouts_of_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replacing_a_full_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replacing_the_root, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_size_that_lies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_large_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_attributes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_attributes, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
