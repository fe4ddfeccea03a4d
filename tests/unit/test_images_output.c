/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest's output may take of memory: its folders, by how many and how often it names them. */
#include "tests/support/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/images/file_tree.h"
#include "vmm/images/output_folders.h"

static const struct timespec epoch;

struct seen {
    char text[256];
};

static void see(void *context, const char *path, mode_t mode, const struct timespec *mtime)
{
    struct seen *seen = context;

    (void)mtime;
    snprintf(seen->text + strlen(seen->text), sizeof(seen->text) - strlen(seen->text), "%s %o;", path, mode);
}

static void test_order_and_repetition(void **state)
{
    struct output_folders folders = { .tree = NULL };
    struct error error = ERROR_INIT;
    struct seen seen = { "" };

    (void)state;
    assert_int_equal(output_folders_add(&folders, "a", 0, &epoch, &error), 0);
    assert_int_equal(output_folders_add(&folders, "./a//b/", 0700, &epoch, &error), 0);
    assert_int_equal(output_folders_add(&folders, "a-c", 0755, &epoch, &error), 0);
    assert_int_equal(output_folders_add(&folders, "a/b", 0711, &epoch, &error), 0);
    assert_int_equal(folders.count, 3);
    output_folders_each(&folders, see, &seen);
    assert_string_equal(seen.text, "a/b 711;a-c 755;a 0;");
    output_folders_release(&folders);
}

/* As often as it likes: a hundred thousand times the same takes what one does. */
static void test_one_again_and_again(void **state)
{
    struct output_folders folders = { .tree = NULL };
    struct error error = ERROR_INIT;
    char path[FILE_TREE_PATH_MAX];

    (void)state;
    memset(path, 'd', sizeof(path));
    for (size_t i = 200; i < sizeof(path); i += 200)
        path[i] = '/';
    path[sizeof(path) - 1] = '\0';
    for (int i = 0; i < 100000; i++) {
        path[0] = i % 2 ? '.' : 'd'; /* spelled in two ways that are two names */
        assert_int_equal(output_folders_add(&folders, path, 0700, &epoch, &error), 0);
    }
    assert_int_equal(folders.count, 2);
    assert_int_equal(folders.text, 2 * sizeof(path));
    output_folders_release(&folders);
}

static void test_bounds(void **state)
{
    struct output_folders folders = { .tree = NULL };
    struct error error = ERROR_INIT;
    char path[FILE_TREE_PATH_MAX];
    int result = 0;
    size_t i = 0;

    (void)state;
    memset(path, 'd', sizeof(path));
    for (size_t at = 200; at < sizeof(path); at += 200)
        path[at] = '/';
    path[sizeof(path) - 1] = '\0';
    for (; result == 0 && i < OUTPUT_FOLDERS_MAX; i++) {
        char number[16];

        snprintf(number, sizeof(number), "%08zu", i);
        memcpy(path, number, 8);
        result = output_folders_add(&folders, path, 0700, &epoch, &error);
    }
    assert_int_equal(result, -E2BIG);
    assert_true(folders.text <= OUTPUT_FOLDERS_TEXT_MAX);
    output_folders_release(&folders);
    folders = (struct output_folders){ .count = OUTPUT_FOLDERS_MAX };
    assert_int_equal(output_folders_add(&folders, "one", 0700, &epoch, &error), -E2BIG);
    assert_non_null(strstr(error.message, "more than 524288 folders"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_repetition),
        cmocka_unit_test(test_one_again_and_again),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
