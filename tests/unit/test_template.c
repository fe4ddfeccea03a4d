/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: how one is kept, found, refused and dropped. */
#include "tests/support/template_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_kept_and_found(void **state)
{
    char name[TEMPLATE_NAME_SIZE];
    struct error error;
    struct stat status;

    (void)state;
    assert_int_equal(find_one("a guest", &error), 0);
    save_one("a guest", name);
    assert_int_equal(find_one("a guest", &error), 1);
    assert_int_equal(find_one("another", &error), 0);
    assert_int_equal(stat(path_of("templates"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_int_equal(stat(path_of(file_of(name, "memory")), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0400);
    assert_int_equal(status.st_size, memory_file_length(MEMORY, MEMORY_FULL));
}

/* Who is killed as he saves leaves nothing that anybody takes for one. */
static void test_half_saved(void **state)
{
    struct error error = ERROR_INIT;
    char name[TEMPLATE_NAME_SIZE], partial[64];
    struct template template;

    (void)state;
    open_one(&template, "a guest");
    assert_int_equal(template_begin(&template, MEMORY, &error), 0);
    write_state(&template, MEMORY);
    strcpy(name, template.name);
    snprintf(partial, sizeof(partial), "templates/%s.partial", name);
    /* As a kill leaves it. */
    close(template.saving.folder);
    template.saving.folder = -1;
    template_close(&template);
    assert_true(is_there(partial));
    assert_int_equal(find_one("a guest", &error), 0);
    save_one("a guest", name);
    assert_int_equal(find_one("a guest", &error), 1);
    assert_false(is_there(partial));
}

static void test_dropped(void **state)
{
    struct error error = ERROR_INIT;
    struct template template;
    char partial[64];

    (void)state;
    open_one(&template, "a guest");
    assert_int_equal(template_begin(&template, MEMORY, &error), 0);
    snprintf(partial, sizeof(partial), "templates/%s.partial", template.name);
    assert_true(is_there(partial));
    template_close(&template);
    assert_false(is_there(partial));
}

/* Two first runs at once: one saves, the other goes without. */
static void test_two_at_once(void **state)
{
    struct error error = ERROR_INIT;
    struct template one, other;

    (void)state;
    open_one(&one, "a guest");
    open_one(&other, "a guest");
    assert_int_equal(template_begin(&one, MEMORY, &error), 0);
    assert_int_equal(template_begin(&other, MEMORY, &error), -EWOULDBLOCK);
    template_close(&other);
    write_state(&one, MEMORY);
    assert_int_equal(keep(&one, &error), 0);
    template_close(&one);
    open_one(&other, "a guest");
    assert_int_equal(template_begin(&other, MEMORY, &error), -EEXIST);
    template_close(&other);
    assert_int_equal(find_one("a guest", &error), 1);
}

/* A VM's process that saves another machine than it was given has it dropped. */
static void test_another_machine(void **state)
{
    struct error error = ERROR_INIT;
    struct template template;

    (void)state;
    open_one(&template, "a guest");
    assert_int_equal(template_begin(&template, MEMORY, &error), 0);
    write_state(&template, 2 * MEMORY);
    assert_int_equal(keep(&template, &error), -EPERM);
    template_close(&template);
    assert_int_equal(find_one("a guest", &error), 0);
}

/* ---- faults ----------------------------------------------------------------- */

static void overwrite(const char *name, const char *file)
{
    int fd;

    assert_int_equal(chmod(path_of(file_of(name, file)), 0600), 0);
    fd = open(path_of(file_of(name, file)), O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, 100), 1);
    close(fd);
}

static void cut(const char *name, const char *file)
{
    assert_int_equal(truncate(path_of(file_of(name, file)), 64), 0);
}

static void take_away(const char *name, const char *file)
{
    assert_int_equal(unlink(path_of(file_of(name, file))), 0);
}

static void open_to_others(const char *name, const char *file)
{
    assert_int_equal(chmod(path_of(file_of(name, file)), 0666), 0);
}

static void link_elsewhere(const char *name, const char *file)
{
    take_away(name, file);
    assert_int_equal(symlink("/etc/passwd", path_of(file_of(name, file))), 0);
}

/* Each fault of each file: told once, and then there is none. */
static void test_faults(void **state)
{
    static void (*const faults[])(const char *, const char *) = {
        overwrite, cut, take_away, open_to_others, link_elsewhere,
    };
    static const char *const files[] = { "state", "memory", "seal", "about" };
    char name[TEMPLATE_NAME_SIZE];
    struct error error;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(faults); i++)
        for (size_t j = 0; j < ARRAY_LENGTH(files); j++) {
            if (faults[i] == open_to_others && j == 3)
                continue; /* the folder is this user's alone */
            save_one("a guest", name);
            usleep(20000); /* the grain of a file's times */
            faults[i](name, files[j]);
            if (find_one("a guest", &error) >= 0)
                fail_msg("fault %zu of %s is not seen", i, files[j]);
            assert_non_null(strstr(error.message, name));
            assert_int_equal(find_one("a guest", &error), 0);
        }
}

/* The same short name for another guest: its `about` says so. */
static void test_key_of_another(void **state)
{
    char name[TEMPLATE_NAME_SIZE], other[TEMPLATE_NAME_SIZE], path[300];
    struct error error;

    (void)state;
    save_one("a guest", name);
    template_name("another", other);
    snprintf(path, sizeof(path), "%s/templates/%s", directory.path, other);
    assert_int_equal(rename(path_of(file_of(name, "")), path), 0);
    assert_true(find_one("another", &error) < 0);
    assert_non_null(strstr(error.message, "is of another guest"));
    assert_false(is_there(file_of(other, "")));
}

static void test_abouts_that_are_none(void **state)
{
    static const char *const texts[] = { "", "{", "[]", "null", "{}", "{\"key\":7}", "\xff\xfe" };
    char name[TEMPLATE_NAME_SIZE];
    struct error error;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        save_one("a guest", name);
        test_directory_write(&directory, file_of(name, "about"), texts[i], strlen(texts[i]));
        assert_true(find_one("a guest", &error) < 0);
    }
}

static void test_folder_of_others(void **state)
{
    struct error error = ERROR_INIT;
    struct template template;

    (void)state;
    assert_int_equal(mkdir(path_of("templates"), 0700), 0);
    assert_int_equal(chmod(path_of("templates"), 0777), 0);
    assert_int_equal(template_open(&template, strdup("a guest"), &error), -EPERM);
    assert_non_null(strstr(error.message, "other users can write there"));
    template_close(&template);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kept_and_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_half_saved, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_machine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_faults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_of_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_abouts_that_are_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_folder_of_others, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
