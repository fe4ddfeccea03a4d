/* SPDX-License-Identifier: Apache-2.0 */
/* All templates: which stay, and which are thrown away. */
#include "tests/support/template_bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void count_one(void *context, const struct template_entry *entry)
{
    assert_string_equal(entry->about.kernel, "/boot/k");
    assert_string_equal(entry->about.root, "./r");
    assert_int_equal(entry->about.memory, MEMORY);
    assert_true(entry->disk > 0 && entry->disk < MEMORY);
    ++*(int *)context;
}

static int count(void)
{
    struct error error = ERROR_INIT;
    int found = 0;

    assert_int_equal(template_list(count_one, &found, &error), 0);
    return found;
}

/* Last used HOURS ago. */
static void use_before(const char *name, int hours)
{
    struct timespec times[2] = { { .tv_sec = time(NULL) - 3600 * hours } };

    times[1] = times[0];
    assert_int_equal(utimensat(AT_FDCWD, path_of(file_of(name, "about")), times, 0), 0);
}

/* Of more than are kept, those used last stay. */
static void test_swept(void **state)
{
    char name[TEMPLATE_NAME_SIZE], key[24];
    struct error error;

    (void)state;
    for (int i = 0; i < TEMPLATES_KEPT; i++) {
        snprintf(key, sizeof(key), "guest %d", i);
        save_one(key, name);
        use_before(name, i + 1);
    }
    assert_int_equal(find_one(key, &error), 1); /* the oldest is used again */
    save_one("one more", name);
    assert_int_equal(count(), TEMPLATES_KEPT);
    assert_int_equal(find_one(key, &error), 1);
    snprintf(key, sizeof(key), "guest %d", TEMPLATES_KEPT - 2);
    assert_int_equal(find_one(key, &error), 0);
}

static void test_pruned(void **state)
{
    char one[TEMPLATE_NAME_SIZE], other[TEMPLATE_NAME_SIZE];
    struct error error = ERROR_INIT;
    uint64_t disk;

    (void)state;
    save_one("one", one);
    save_one("other", other);
    use_before(one, 10);
    assert_int_equal(template_prune(time(NULL) - 3600 * 20, &disk, &error), 0);
    assert_int_equal(template_prune(time(NULL) - 3600, &disk, &error), 1);
    assert_true(disk > 0);
    assert_int_equal(count(), 1);
    assert_false(is_there(file_of(one, "")));
    assert_true(is_there(file_of(other, "")));
    assert_int_equal(template_prune(time(NULL) + 1, &disk, &error), 1);
    assert_int_equal(count(), 0);
}

/* One that somebody saves is left alone, what a kill left is not, nor is anything else there touched. */
static void test_pruned_partials(void **state)
{
    struct error error = ERROR_INIT;
    char partial[64];
    struct template template;
    uint64_t disk;

    (void)state;
    open_one(&template, "a guest");
    assert_int_equal(template_begin(&template, MEMORY, &error), 0);
    snprintf(partial, sizeof(partial), "templates/%s.partial", template.name);
    assert_int_equal(mkdir(path_of("templates/not-ours.partial"), 0700), 0);
    test_directory_write(&directory, "templates/file", "x", 1);
    assert_int_equal(template_prune(time(NULL) + 1, &disk, &error), 0);
    assert_true(is_there(partial));
    close(template.saving.folder);
    template.saving.folder = -1;
    template_close(&template);
    assert_int_equal(template_prune(time(NULL) + 1, &disk, &error), 1);
    assert_false(is_there(partial));
    assert_true(is_there("templates/not-ours.partial"));
    assert_true(is_there("templates/file"));
}

/* Whose key nobody has any more; but not the one that somebody is at. */
static void test_swept_partials(void **state)
{
    struct error error = ERROR_INIT;
    char left[64], name[TEMPLATE_NAME_SIZE];
    struct template killed, busy;

    (void)state;
    open_one(&killed, "an old guest");
    open_one(&busy, "another guest");
    assert_int_equal(template_begin(&killed, MEMORY, &error), 0);
    assert_int_equal(template_begin(&busy, MEMORY, &error), 0);
    snprintf(left, sizeof(left), "templates/%s.partial", killed.name);
    /* As a kill leaves it. */
    close(killed.saving.folder);
    killed.saving.folder = -1;
    template_close(&killed);
    assert_int_equal(mkdir(path_of("templates/not-ours.partial"), 0700), 0);
    assert_true(is_there(left));
    save_one("a guest", name);
    assert_false(is_there(left));
    assert_true(is_there("templates/not-ours.partial"));
    write_state(&busy, MEMORY);
    assert_int_equal(keep(&busy, &error), 0);
    template_close(&busy);
    assert_int_equal(find_one("another guest", &error), 1);
    assert_int_equal(find_one("a guest", &error), 1);
}

/* Kept by a process aside, whose last word is lost: what is complete is not dropped any more. */
static void test_kept_aside(void **state)
{
    struct error error = ERROR_INIT;
    struct template template;
    int status;
    pid_t pid;

    (void)state;
    open_one(&template, "a guest");
    assert_int_equal(template_begin(&template, MEMORY, &error), 0);
    write_state(&template, MEMORY);
    pid = fork();
    if (pid == 0)
        _exit(keep(&template, &error) < 0);
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
    template_drop(&template);
    template_close(&template);
    assert_int_equal(find_one("a guest", &error), 1);
}

/* Who has one open goes on with it. */
static void test_removed_in_use(void **state)
{
    char name[TEMPLATE_NAME_SIZE];
    struct error error = ERROR_INIT;
    struct template template;
    uint64_t disk;

    (void)state;
    save_one("a guest", name);
    open_one(&template, "a guest");
    assert_int_equal(template_find(&template, &error), 1);
    assert_int_equal(template_prune(time(NULL) + 1, &disk, &error), 1);
    assert_int_equal(memory_file_check(template.source.memory_fd, MEMORY, template.source.id,
                                       MEMORY_FULL, &error), 0);
    template_close(&template);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_swept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pruned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pruned_partials, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_swept_partials, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removed_in_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kept_aside, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
