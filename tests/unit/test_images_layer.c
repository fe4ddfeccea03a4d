/* SPDX-License-Identifier: Apache-2.0 */
/* Archives of layers, good and hostile, into trees and images. */
#include "tests/support/fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/support/tar.h"
#include "vmm/images/layer.h"

#define LIMIT (64u << 20)

struct world {
    struct tar tar;
    struct layer layer;
    struct erofs image;
    struct error error;
    int fd;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    static const struct erofs_limits limits = { LIMIT, LIMIT };

    *state = world;
    world->fd = memfd_create("image", 0);
    return layer_init(&world->layer, &world->error) < 0 ||
           erofs_begin(&world->image, world->fd, &limits, &world->error) < 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    erofs_end(&world->image);
    layer_release(&world->layer);
    close(world->fd);
    free(world->tar.bytes);
    free(world);
    return 0;
}

static void add(struct world *world, char type, const char *name, const char *rest)
{
    struct tar_entry entry = { .name = name, .type = type };

    if (type == '0' && rest) {
        entry.content = rest;
        entry.size = strlen(rest);
    } else {
        entry.link = rest;
    }
    tar_add(&world->tar, &entry);
}

/* Reads the archive as it is, without an end. */
static int unpack_open(struct world *world)
{
    struct archive *tar = archive_read_new();
    int result;

    archive_read_support_format_tar(tar);
    assert_int_equal(archive_read_open_memory(tar, world->tar.bytes, world->tar.length),
                     ARCHIVE_OK);
    result = layer_unpack(&world->layer, tar, &world->image, &world->error);
    archive_read_free(tar);
    return result;
}

static int unpack(struct world *world)
{
    static const uint8_t uuid[16];
    int result;

    tar_end(&world->tar);
    result = unpack_open(world);
    return result < 0 ? result
                      : layer_finish(&world->layer, &world->image, uuid, &world->error);
}

static void refused(struct world *world, const char *text)
{
    assert_true(unpack(world) < 0);
    if (!strstr(world->error.message, text))
        fail_msg("'%s' is not in '%s'", text, world->error.message);
}

/* The inode at a path of single slashes; NULL when there is none. */
static const struct file_inode *find(const struct world *world, const char *path)
{
    const struct file_node *node = world->layer.tree.root;
    char copy[256], *save = NULL;

    strcpy(copy, path);
    for (char *name = strtok_r(copy, "/", &save); name && node; name = strtok_r(NULL, "/", &save))
        node = file_node_child(node, name);
    return node ? node->inode : NULL;
}

/* ---- good ones ---- */

static void test_kinds(void **state)
{
    struct world *world = *state;
    struct tar_entry device = { .name = "dev/sda", .type = '4', .major = 8, .minor = 300,
                                .mode = 0660, .uid = 1, .gid = 6, .mtime = 1234567 };

    add(world, '5', "./", NULL);
    add(world, '0', "etc/file", "content");
    add(world, '1', "hard", "etc/file");
    add(world, '1', "./hard2", "./hard");
    add(world, '2', "soft", "../../anywhere");
    add(world, '6', "fifo", NULL);
    tar_add(&world->tar, &device);
    assert_int_equal(unpack(world), 0);
    assert_ptr_equal(find(world, "hard"), find(world, "etc/file"));
    assert_int_equal(find(world, "hard2")->users, 3);
    assert_int_equal(find(world, "etc/file")->size, 7);
    assert_true(S_ISLNK(find(world, "soft")->mode));
    assert_true(S_ISFIFO(find(world, "fifo")->mode));
    assert_int_equal(find(world, "dev/sda")->mode, S_IFBLK | 0660);
    assert_int_equal(major(find(world, "dev/sda")->rdev), 8);
    assert_int_equal(minor(find(world, "dev/sda")->rdev), 300);
    assert_int_equal(find(world, "dev/sda")->gid, 6);
    assert_int_equal(find(world, "dev/sda")->mtime.tv_sec, 1234567);
    assert_true(find(world, "etc")->implied);
    assert_false(find(world, "")->implied);
}

static void test_long_names_and_attributes(void **state)
{
    struct world *world = *state;
    char name[600];
    struct tar_entry entry = { .name = name, .type = '0' };

    for (size_t i = 0; i < sizeof(name) - 1; i++)
        name[i] = i % 200 == 199 ? '/' : 'n';
    name[sizeof(name) - 1] = '\0';
    tar_add_pax(&world->tar, "SCHILY.xattr.user.mote", "yes", 3);
    tar_add(&world->tar, &entry);
    tar_add_pax(&world->tar, "SCHILY.xattr.trusted.overlay.redirect", "/etc", 4);
    add(world, '5', "redirected", NULL);
    tar_add_pax(&world->tar, "SCHILY.xattr.com.apple.provenance", "x", 1);
    add(world, '0', "foreign", "x");
    assert_int_equal(unpack(world), 0);
    name[199] = name[399] = '/';
    assert_int_equal(world->layer.tree.nodes, 1 + 3 + 2);
    /* An image must not direct the overlay that it becomes a layer of. */
    assert_int_equal(find(world, "redirected")->xattrs.length, 0);
    assert_int_equal(find(world, "foreign")->xattrs.length, 0);
}

/* A later entry of the same name wins; folders keep what is in them. */
static void test_repeated_entries(void **state)
{
    struct world *world = *state;
    struct tar_entry folder = { .name = "dir", .type = '5', .mode = 0700 };

    add(world, '0', "file", "one");
    add(world, '1', "other", "file");
    add(world, '0', "file", "another");
    add(world, '0', "dir/inside", "x");
    tar_add(&world->tar, &folder);
    add(world, '5', "empty", NULL);
    add(world, '2', "empty", "now-a-link");
    assert_int_equal(unpack(world), 0);
    assert_int_equal(find(world, "file")->size, 7);
    assert_int_equal(find(world, "other")->size, 3);
    assert_int_equal(find(world, "other")->users, 1);
    assert_non_null(find(world, "dir/inside"));
    assert_int_equal(find(world, "dir")->mode & 0777, 0700);
    assert_false(find(world, "dir")->implied);
    assert_true(S_ISLNK(find(world, "empty")->mode));
}

/* Whiteouts hide what is below, never what the layer has itself, in any order. */
static void test_whiteouts(void **state)
{
    struct world *world = *state;

    add(world, '0', ".wh.gone", NULL);
    add(world, '0', "a/.wh.b", NULL);
    add(world, '0', "a/b/file", "x");
    add(world, '0', "c/d/file", "x");
    add(world, '0', "c/.wh.d", NULL);
    add(world, '0', "own", "x");
    add(world, '0', ".wh.own", NULL);
    add(world, '0', ".wh.late", NULL);
    add(world, '0', "late", "x");
    add(world, '0', "opaque/.wh..wh..opq", NULL);
    add(world, '5', "opaque", NULL);
    add(world, '0', ".wh..wh.plnk", NULL);
    assert_int_equal(unpack(world), 0);
    assert_true(find(world, "gone")->whiteout);
    assert_int_equal(find(world, "gone")->mode, S_IFCHR);
    assert_int_equal(find(world, "gone")->rdev, 0);
    assert_true(S_ISDIR(find(world, "a/b")->mode) && find(world, "a/b")->opaque);
    assert_true(find(world, "c/d")->opaque && !find(world, "c")->opaque);
    assert_false(find(world, "own")->whiteout);
    assert_false(find(world, "late")->whiteout);
    assert_true(find(world, "opaque")->opaque);
    assert_true(find(world, "opaque")->xattrs.length > 0);
    assert_null(find(world, ".wh..wh.plnk"));
}

/* umoci hides the files of a folder that became a file, before or after that. */
static void test_whiteouts_below_a_file(void **state)
{
    struct world *world = *state;

    add(world, '0', "one", "x");
    add(world, '0', "one/.wh.a", NULL);
    add(world, '0', "one/deep/.wh.a", NULL);
    add(world, '0', "two/.wh.a", NULL);
    add(world, '0', "two/deep/.wh.a", NULL);
    add(world, '0', "two/deep/.wh..wh..opq", NULL);
    add(world, '0', "two", "x");
    assert_int_equal(unpack(world), 0);
    assert_true(S_ISREG(find(world, "one")->mode));
    assert_true(S_ISREG(find(world, "two")->mode));
}

static void test_an_empty_layer(void **state)
{
    struct world *world = *state;
    uint8_t magic[4];

    assert_int_equal(unpack(world), 0);
    assert_int_equal(pread(world->fd, magic, 4, 1024), 4);
    assert_memory_equal(magic, "\xe2\xe1\xf5\xe0", 4);
}

/* ---- hostile ones ---- */

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
    static char value[3500];

    for (int i = 0; i < 20; i++) {
        char key[64];

        memset(value, 'a' + i, sizeof(value));
        snprintf(key, sizeof(key), "SCHILY.xattr.user.%d", i);
        tar_add_pax(&world->tar, key, value, sizeof(value));
    }
    add(world, '0', "file", "x");
    /* Each header replaces the one before, for some readers; the file is whole either way. */
    if (unpack(world) < 0)
        assert_non_null(strstr(world->error.message, "entry file: extended attributes"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_kinds),
        TEST(test_long_names_and_attributes),
        TEST(test_repeated_entries),
        TEST(test_whiteouts),
        TEST(test_whiteouts_below_a_file),
        TEST(test_an_empty_layer),
        TEST(test_climbing),
        TEST(test_climbing_absolute),
        TEST(test_climbing_through_a_link),
        TEST(test_climbing_through_a_hard_link_to_a_link),
        TEST(test_below_a_file),
        TEST(test_hard_links_outside),
        TEST(test_hard_links_absolute),
        TEST(test_hard_links_to_nothing),
        TEST(test_hard_links_to_a_folder),
        TEST(test_hard_links_to_a_whiteout),
        TEST(test_hard_links_to_themselves),
        TEST(test_whiteouts_of_nothing),
        TEST(test_replacing_a_full_folder),
        TEST(test_replacing_the_root),
        TEST(test_a_size_that_lies),
        TEST(test_many_large_files),
        TEST(test_cut_short),
        TEST(test_large_attributes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
