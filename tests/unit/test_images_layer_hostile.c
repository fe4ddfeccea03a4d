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

static void test_circles_of_links(void **state)
{
    add(*state, '2', "a", "b");
    add(*state, '2', "b", "/a");
    add(*state, '0', "a/x", "x");
    refused(*state, "entry a/x: leads through more than 40 symbolic links");
}

static void test_a_link_to_a_long_name(void **state)
{
    char target[300];

    memset(target, 'n', 256);
    target[256] = '\0';
    add(*state, '2', "l", target);
    add(*state, '0', "l/x", "x");
    refused(*state, "entry l/x: leads through a symbolic link to a name of more than 255 bytes");
}

/* Each link leads as deep again as a path can be long: the depth is that of one path all the same. */
static void test_depth_by_links(void **state)
{
    static char deep[2 * 1000 + 1];
    char name[16], target[2100] = "";

    for (size_t i = 0; i < 1000; i++)
        memcpy(deep + 2 * i, "d/", 2);
    for (int i = 0; i < 4; i++) {
        char path[2200];

        snprintf(target, sizeof(target), "%s%s", i == 0 ? "" : name, deep);
        snprintf(path, sizeof(path), "%sx", target);
        add(*state, '0', path, "x");
        snprintf(name, sizeof(name), "l%d/", i);
        add(*state, '2', (char[]){ 'l', (char)('0' + i), 0 }, target);
    }
    refused(*state, "is below more than 2048 folders");
}

static void test_links_are_no_way_to_the_root(void **state)
{
    add(*state, '2', "up", "../../../..");
    add(*state, '0', "up", "x");
    add(*state, '2', "up", "..");
    add(*state, '0', "up/up", "x");
    add(*state, '2', "up/..", "x");
    refused(*state, "climbs out of the root");
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

/* Names, targets and attributes have one bound together, however many inodes there are. */
static void test_text_of_the_tree(void **state)
{
    struct world *world = *state;
    char value[900] = "";

    world->layer.tree.text_bytes = FILE_TREE_TEXT_MAX - 2000;
    memset(value, 'v', sizeof(value));
    for (int i = 0; i < 3; i++) {
        char name[16];

        snprintf(name, sizeof(name), "f%d", i);
        tar_add_pax(&world->tar, "SCHILY.xattr.user.a", value, sizeof(value));
        add(world, '0', name, "x");
    }
    refused(world, "entry f2: more than 128 MiB of names, links' targets and extended attributes");
}

/* Each attribute is told to fakeroot with the file's whole path: on the disk that is far more than in the archive. */
static void test_room_for_what_fakeroot_is_told(void **state)
{
    struct world *world = *state;
    char path[3001], records[100 * 32];
    size_t at = 0;

    memset(path, 'd', sizeof(path));
    for (size_t i = 200; i < sizeof(path); i += 200)
        path[i] = '/';
    path[sizeof(path) - 1] = '\0';
    world->staging.limits.room = 256u << 10;
    for (int i = 0; i < 100; i++)
        at += (size_t)sprintf(records + at, "26 SCHILY.xattr.user.%02d=v\n", i);
    tar_add(&world->tar, &(struct tar_entry){ .name = "pax", .type = 'x', .content = records, .size = at });
    add(world, '0', path, "x");
    refused(world, "needs more than");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_climbing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_circles_of_links, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_link_to_a_long_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_depth_by_links, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_links_are_no_way_to_the_root, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_text_of_the_tree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_room_for_what_fakeroot_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_below_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hard_links_outside, set_up, tear_down),
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
