/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: how they are kept, found, refused and thrown away. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/test_tool.h"
#include "vmm/cleanup.h"
#include "vmm/run/template.h"
#include "vmm/snapshot/machine_state.h"

#define MEMORY (2ull << 20)

static struct test_directory directory;

static int set_up(void **state)
{
    (void)state;
    test_directory_create(&directory);
    setenv("MOTE_CACHE", directory.path, 1);
    return 0;
}

static int tear_down(void **state)
{
    char command[300];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s/templates'", directory.path);
    assert_int_equal(system(command), 0);
    test_directory_remove(&directory);
    return 0;
}

static const char *path_of(const char *name)
{
    static char path[300];

    snprintf(path, sizeof(path), "%s/%s", directory.path, name);
    return path;
}

static bool is_there(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

/* ---- one -------------------------------------------------------------------- */

static struct vm_config config(void)
{
    struct vm_config made = vm_config_default();

    made.memory = MEMORY;
    return made;
}

static void open_one(struct template *template, const char *key)
{
    struct error error = ERROR_INIT;

    if (template_open(template, strdup(key), &error) < 0)
        fail_msg("%s", error.message);
}

/* The state as the VM's process writes it, of a machine of MEMORY. */
static void write_state(struct template *template, uint64_t memory)
{
    struct vm_config machine_config = config();
    struct machine_state machine;
    struct error error = ERROR_INIT;
    struct state *state;
    const void *bytes;
    size_t length;

    machine_config.memory = memory;
    assert_int_equal(state_create(&state, &error), 0);
    assert_int_equal(machine_state_of(&machine, &machine_config, template->id, &error), 0);
    machine_state(&machine, state);
    machine_state_release(&machine);
    assert_int_equal(state_finish(state, &error), 0);
    bytes = state_saved(state, &length);
    assert_int_equal(machine_state_write(template->saving.state_fd, bytes, length, &error), 0);
    state_destroy(state);
}

static int keep(struct template *template, struct error *error)
{
    struct vm_config kept = config();
    struct template_about about = { .kernel = "/boot/k", .root = "./r", .memory = MEMORY, .cpus = 1 };

    return template_keep(template, &kept, &about, error);
}

/* A whole one of KEY; its name goes to NAME. */
static void save_one(const char *key, char name[TEMPLATE_NAME_SIZE])
{
    struct error error = ERROR_INIT;
    struct template template;

    open_one(&template, key);
    assert_int_equal(template_find(&template, &error), 0);
    if (template_begin(&template, MEMORY, &error) < 0)
        fail_msg("%s", error.message);
    write_state(&template, MEMORY);
    if (keep(&template, &error) < 0)
        fail_msg("%s", error.message);
    strcpy(name, template.name);
    template_close(&template);
}

static int find_one(const char *key, struct error *error)
{
    struct template template;
    int result;

    *error = (struct error)ERROR_INIT;
    open_one(&template, key);
    result = template_find(&template, error);
    assert_int_equal(template.source.state_fd >= 0, result > 0);
    assert_int_equal(template.source.memory_fd >= 0, result > 0);
    template_close(&template);
    return result;
}

static const char *file_of(const char *name, const char *file)
{
    static char path[128];

    snprintf(path, sizeof(path), "templates/%s/%s", name, file);
    return path;
}

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

/* ---- all of them ------------------------------------------------------------ */

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

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_kept_and_found), TEST(test_half_saved), TEST(test_dropped),
        TEST(test_two_at_once), TEST(test_another_machine), TEST(test_faults),
        TEST(test_key_of_another), TEST(test_abouts_that_are_none), TEST(test_folder_of_others),
        TEST(test_swept), TEST(test_pruned), TEST(test_pruned_partials),
        TEST(test_swept_partials), TEST(test_removed_in_use), TEST(test_kept_aside),
    };

    return cmocka_run_group_tests_name("templates", tests, NULL, NULL);
}
