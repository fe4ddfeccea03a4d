/* SPDX-License-Identifier: Apache-2.0 */
/* Archives of layers into trees and private folders, and the listings of those. */
#include "tests/support/layer_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "vmm/images/fake_files.h"
#include "vmm/images/layer_inherit.h"
#include "vmm/images/listing.h"

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
    struct stat status;

    assert_int_equal(unpack(world), 0);
    assert_int_equal(fstatat(world->fd, STAGING_ROOT, &status, 0), 0);
    assert_int_equal(status.st_nlink, 2);
}

/* ---- on the disk ---- */

/* The file at PATH of root/, not what a link leads to. */
static struct stat staged(const struct world *world, const char *path)
{
    struct stat status;
    char whole[256];

    snprintf(whole, sizeof(whole), STAGING_ROOT "/%s", path);
    assert_int_equal(fstatat(world->fd, whole, &status, AT_SYMLINK_NOFOLLOW), 0);
    return status;
}

/* The text of a file of the private folder; NULs become spaces. */
static const char *text_of(const struct world *world, const char *name, char text[4096])
{
    int fd = openat(world->fd, name, O_RDONLY);
    ssize_t length = read(fd, text, 4095);

    close(fd);
    assert_true(length >= 0);
    for (ssize_t i = 0; i < length; i++)
        text[i] = text[i] ? text[i] : ' ';
    text[length] = '\0';
    return text;
}

/* No device and no setuid file is made, whoever runs this; fakeroot is told of them. */
static void test_only_plain_files_are_made(void **state)
{
    struct world *world = *state;
    struct tar_entry device = { .name = "null", .type = '3', .major = 1, .minor = 3, .mode = 0666 };
    struct tar_entry setuid = { .name = "su", .type = '0', .mode = 06755, .uid = 7, .gid = 8,
                                .content = "x", .size = 1 };
    char text[4096];

    tar_add(&world->tar, &device);
    tar_add(&world->tar, &setuid);
    add(world, '1', "su2", "su");
    add(world, '6', "fifo", NULL);
    add(world, '0', ".wh.gone", NULL);
    add(world, '0', "dir/.wh..wh..opq", NULL);
    add(world, '2', "soft", "../../etc");
    assert_int_equal(unpack(world), 0);
    assert_int_equal(staged(world, "null").st_mode, S_IFREG | 0600);
    assert_int_equal(staged(world, "su").st_mode, S_IFREG | 0600);
    assert_int_equal(staged(world, "su").st_uid, geteuid());
    assert_int_equal(staged(world, "su").st_ino, staged(world, "su2").st_ino);
    assert_int_equal(staged(world, "fifo").st_mode, S_IFREG | 0600);
    assert_int_equal(staged(world, "gone").st_mode, S_IFREG | 0600);
    assert_int_equal(staged(world, "dir").st_mode, S_IFDIR | 0700);
    assert_true(S_ISLNK(staged(world, "soft").st_mode));
    text_of(world, FAKE_STATE, text);
    assert_non_null(strstr(text, "mode=20666,uid=0,gid=0,nlink=1,rdev=259\n"));
    assert_non_null(strstr(text, "mode=106755,uid=7,gid=8,nlink=2,rdev=0\n"));
    assert_non_null(strstr(text, "mode=20000,"));
    assert_null(strstr(strstr(text, "mode=106755") + 1, "mode=106755"));
    assert_non_null(strstr(text_of(world, FAKE_XATTRS, text),
                           "root/dir trusted.overlay.opaque \1 y"));
}

/* ---- the listing ---- */

/* Writes the world's listing and reads it into LAYER. */
static void read_back(struct world *world, struct layer *layer)
{
    int fd = memfd_create("listing", 0);

    assert_int_equal(listing_write(&world->layer, fd, &world->error), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(layer_init(layer, &world->error), 0);
    assert_int_equal(listing_read(layer, fd, &world->error), 0);
    close(fd);
}

static void test_listing(void **state)
{
    struct world *world = *state, lower = { .fd = -1 };
    struct tar_entry folder = { .name = "tmp", .type = '5', .mode = 01777, .uid = 3, .gid = 2000000,
                                .mtime = 77 };
    struct layer upper;

    tar_add(&world->tar, &folder);
    tar_add_pax(&world->tar, "SCHILY.xattr.user.mote", "yes", 3);
    add(world, '5', "opaque\xff", NULL);
    add(world, '0', "opaque\xff/.wh..wh..opq", NULL);
    add(world, '0', "file", "content");
    add(world, '0', ".wh.gone", NULL);
    assert_int_equal(unpack(world), 0);
    read_back(world, &lower.layer);
    assert_int_equal(find(&lower, "tmp")->mode, S_IFDIR | 01777);
    assert_int_equal(find(&lower, "tmp")->gid, 2000000);
    assert_int_equal(find(&lower, "tmp")->mtime.tv_sec, 77);
    assert_true(find(&lower, "opaque\xff")->opaque);
    assert_true(find(&lower, "opaque\xff")->xattrs.length > 0);
    assert_true(S_ISREG(find(&lower, "file")->mode) && S_ISREG(find(&lower, "gone")->mode));
    assert_int_equal(lower.layer.tree.nodes, world->layer.tree.nodes);
    assert_int_equal(layer_init(&upper, &world->error), 0);
    assert_int_equal(layer_inherit(&upper, &lower.layer, 1, &world->error), 0);
    layer_release(&upper);
    layer_release(&lower.layer);
}

/* Attributes come from the topmost layer that has the folder, unless a file is above it. */
static void test_inherited_attributes(void **state)
{
    struct world *world = *state, lower = { .fd = -1 };
    struct tar_entry tmp = { .name = "tmp", .type = '5', .mode = 01777 };
    struct tar_entry root = { .name = "./", .type = '5', .mode = 0711 };

    tar_add(&world->tar, &root);
    tar_add(&world->tar, &tmp);
    add(world, '0', "was", "a file");
    assert_int_equal(unpack(world), 0);
    read_back(world, &lower.layer);
    layer_release(&world->layer);
    assert_int_equal(layer_init(&world->layer, &world->error), 0);
    free(world->tar.bytes);
    world->tar = (struct tar){ .bytes = NULL };
    add(world, '0', "tmp/made", "x");
    add(world, '0', "was/made", "x");
    tar_end(&world->tar);
    assert_int_equal(unpack_open(world), 0);
    assert_true(layer_implies_folders(&world->layer));
    assert_int_equal(layer_inherit(&world->layer, &lower.layer, 1, &world->error), 0);
    assert_int_equal(find(world, "")->mode, S_IFDIR | 0711);
    assert_int_equal(find(world, "tmp")->mode, S_IFDIR | 01777);
    assert_int_equal(find(world, "was")->mode, S_IFDIR | 0755);
    layer_release(&lower.layer);
}

static void test_a_damaged_listing(void **state)
{
    struct world *world = *state;
    struct layer layer;
    int fd = memfd_create("listing", 0);
    bool opaque;

    assert_int_equal(write(fd, "no listing at all", 17), 17);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(layer_init(&layer, &world->error), 0);
    assert_int_equal(listing_read(&layer, fd, &world->error), -EBADMSG);
    assert_non_null(strstr(world->error.message, "is damaged; remove it"));
    layer_release(&layer);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(listing_root_is_opaque(fd, &opaque, &world->error), -EBADMSG);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_names_and_attributes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_repeated_entries, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_whiteouts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_whiteouts_below_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_empty_layer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_plain_files_are_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_listing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_inherited_attributes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_damaged_listing, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
