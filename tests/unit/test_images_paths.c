/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/images/digest.h"
#include "vmm/images/entry_path.h"
#include "vmm/images/reference.h"

static const char empty_digest[] =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static void test_digests(void **state)
{
    struct digest digest, nothing = digest_of("", 0);
    char text[DIGEST_TEXT], bad[80];

    (void)state;
    assert_true(digest_parse(empty_digest, &digest));
    assert_true(digest_equal(&digest, &nothing));
    assert_string_equal(digest_text(&digest, text), empty_digest);
    /* One too short, too long, a capital, another algorithm, a path. */
    snprintf(bad, sizeof(bad), "%.*s", 70, empty_digest);
    assert_false(digest_parse(bad, &digest));
    snprintf(bad, sizeof(bad), "%s0", empty_digest);
    assert_false(digest_parse(bad, &digest));
    snprintf(bad, sizeof(bad), "%s", empty_digest);
    bad[7] = 'E';
    assert_false(digest_parse(bad, &digest));
    assert_false(digest_parse("sha512:00", &digest));
    assert_false(digest_parse("sha256:../../../../etc/passwd", &digest));
    assert_false(digest_parse("", &digest));
}

static void test_good_paths(void **state)
{
    static const char *const paths[] = { "./usr//bin/./sh", "usr/bin/sh/", "usr/bin/sh" };
    struct error error = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const char *at = paths[i];
        char name[ENTRY_NAME_SIZE];

        assert_int_equal(entry_path_check(at, &error), 0);
        assert_true(entry_path_next(&at, name));
        assert_string_equal(name, "usr");
        assert_false(entry_path_ends(at));
        assert_true(entry_path_next(&at, name));
        assert_string_equal(name, "bin");
        assert_true(entry_path_next(&at, name));
        assert_string_equal(name, "sh");
        assert_true(entry_path_ends(at));
        assert_false(entry_path_next(&at, name));
    }
    assert_int_equal(entry_path_check("..a/b../...", &error), 0);
    assert_int_equal(entry_path_check("./", &error), 0);
}

static void test_paths_that_climb(void **state)
{
    static const char *const paths[] = { "..",      "../x",  "a/..",     "a/../b", "./..",
                                         "a//../b", "/etc/x", "/",        "..//",   "a/b/../../.." };
    struct error error = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_int_equal(entry_path_check(paths[i], &error), -EINVAL);
        assert_non_null(strstr(error.message, "climbs out of the root"));
        assert_non_null(strstr(error.message, paths[i]));
    }
}

static void test_absolute_paths(void **state)
{
    (void)state;
    assert_string_equal(entry_path_below("/etc/x"), "etc/x");
    assert_string_equal(entry_path_below("//etc//x"), "etc//x");
    assert_string_equal(entry_path_below("/"), ".");
    assert_string_equal(entry_path_below("etc/x"), "etc/x");
    assert_string_equal(entry_path_below(""), "");
}

/* A name of 255 bytes can be hidden, though no file could have the whiteout's. */
static void test_lengths_of_whiteouts(void **state)
{
    struct error error = ERROR_INIT;
    char path[300] = "a/.wh.", name[ENTRY_NAME_SIZE];
    const char *at = path;

    (void)state;
    memset(path + 6, 'n', 255);
    path[261] = '\0';
    assert_int_equal(entry_path_check(path, &error), 0);
    assert_true(entry_path_next(&at, name) && entry_path_next(&at, name));
    assert_int_equal(strlen(name), 259);
    path[261] = 'n';
    path[262] = '\0';
    assert_int_equal(entry_path_check(path, &error), -ENAMETOOLONG);
    strcpy(path + 261, "/x");
    assert_int_equal(entry_path_check(path, &error), -ENAMETOOLONG);
}

static void test_lengths_of_paths(void **state)
{
    struct error error = ERROR_INIT;
    char path[FILE_TREE_PATH_MAX + 1];

    (void)state;
    assert_int_equal(entry_path_check("", &error), -EINVAL);
    memset(path, 'a', 256);
    path[255] = '\0';
    assert_int_equal(entry_path_check(path, &error), 0);
    path[255] = 'a';
    path[256] = '\0';
    assert_int_equal(entry_path_check(path, &error), -ENAMETOOLONG);
    for (size_t i = 0; i < FILE_TREE_PATH_MAX; i++)
        path[i] = i % 2 ? '/' : 'a';
    path[FILE_TREE_PATH_MAX] = '\0';
    assert_int_equal(entry_path_check(path, &error), -ENAMETOOLONG);
    path[FILE_TREE_PATH_MAX - 1] = '\0';
    assert_int_equal(entry_path_check(path, &error), 0);
}

static void test_whiteouts(void **state)
{
    (void)state;
    assert_int_equal(whiteout_kind("x.wh.y"), WHITEOUT_NONE);
    assert_int_equal(whiteout_kind(".wh"), WHITEOUT_NONE);
    assert_int_equal(whiteout_kind(".wh.x"), WHITEOUT_NAME);
    assert_int_equal(whiteout_kind(".wh...."), WHITEOUT_NAME);
    assert_int_equal(whiteout_kind(".wh..wh..opq"), WHITEOUT_OPAQUE);
    assert_int_equal(whiteout_kind(".wh..wh.plnk"), WHITEOUT_IGNORED);
    assert_int_equal(whiteout_kind(".wh."), WHITEOUT_WRONG);
    assert_int_equal(whiteout_kind(".wh.."), WHITEOUT_WRONG);
    assert_int_equal(whiteout_kind(".wh..."), WHITEOUT_WRONG);
}

static void test_links_that_stay_inside(void **state)
{
    (void)state;
    assert_true(link_stays_inside("x", 0));
    assert_true(link_stays_inside("x/y/z", 0));
    assert_true(link_stays_inside("./x", 0));
    assert_true(link_stays_inside("../x", 1));
    assert_true(link_stays_inside("../../", 2));
    assert_false(link_stays_inside("../x", 0));
    assert_false(link_stays_inside("../../x", 1));
    assert_false(link_stays_inside("./../x", 0));
    assert_false(link_stays_inside("/x", 5));
    assert_false(link_stays_inside("", 5));
    /* x may be a link to the root: what follows it would climb from there. */
    assert_false(link_stays_inside("x/../y", 5));
    assert_false(link_stays_inside("../x/..", 5));
}

/* A path with colons of its own, tags with colons, and none. */
static void test_references(void **state)
{
    struct reference reference;
    struct error error = ERROR_INIT;
    char folder[] = "/tmp/mote-test-XXXXXX", text[128], path[64];

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/a:b", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(text, sizeof(text), "%s/a:b:repo/name:1.0", folder);
    assert_int_equal(reference_read(&reference, text, &error), 0);
    assert_string_equal(reference.path, path);
    assert_string_equal(reference.tag, "repo/name:1.0");
    free(reference.path);
    assert_int_equal(reference_read(&reference, path, &error), 0);
    assert_null(reference.tag);
    free(reference.path);
    snprintf(text, sizeof(text), "%s/none:1", folder);
    assert_int_equal(reference_read(&reference, text, &error), -ENOENT);
    assert_non_null(strstr(error.message, "check the path"));
    rmdir(path);
    rmdir(folder);
}

static void test_unknown_tags(void **state)
{
    char path[] = "img", many[100][16];
    struct reference reference = { .path = path, .tag = "latst" };
    struct tags tags = { .count = 0 };
    struct error error = ERROR_INIT;

    (void)state;
    reference_unknown(&reference, &tags, &error);
    assert_string_equal(error.message, "img: holds no image with a tag; leave the tag out");
    tags_add(&tags, "latest");
    tags_add(&tags, "1.0");
    tags_add(&tags, "1.0");
    reference_unknown(&reference, &tags, &error);
    assert_string_equal(error.message,
                        "img: has no image 'latst'; did you mean 'latest'? It has latest, 1.0");
    reference.tag = NULL;
    reference_unknown(&reference, &tags, &error);
    assert_string_equal(error.message, "img: holds several images; add :TAG, one of latest, 1.0");
    for (int i = 0; i < 100; i++) {
        snprintf(many[i], sizeof(many[i]), "v%d", i);
        tags_add(&tags, many[i]);
    }
    reference_unknown(&reference, &tags, &error);
    assert_non_null(strstr(error.message, " more"));
    assert_true(strlen(error.message) < sizeof(error.message) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_good_paths),
        cmocka_unit_test(test_paths_that_climb),
        cmocka_unit_test(test_absolute_paths),
        cmocka_unit_test(test_lengths_of_paths),
        cmocka_unit_test(test_lengths_of_whiteouts),
        cmocka_unit_test(test_whiteouts),
        cmocka_unit_test(test_links_that_stay_inside),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_unknown_tags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
