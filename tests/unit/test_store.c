/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs with a name: who holds one, what others see of it, and folders that are not ours. */
#include "vmm/supervisor/store.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/test_tool.h"
#include "vmm/base/cleanup.h"
#include "vmm/job/job.h"

static struct test_directory directory;
static struct text_list command;

static int set_up(void **state)
{
    struct error error = ERROR_INIT;

    (void)state;
    test_directory_create(&directory);
    setenv("XDG_RUNTIME_DIR", directory.path, 1);
    assert_int_equal(text_list_add(&command, "echo", &error), 0);
    assert_int_equal(text_list_add(&command, "hi", &error), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    text_list_release(&command);
    test_directory_remove(&directory);
    return 0;
}

static void test_names(void **state)
{
    static const char *const good[] = { "a", "0", "A-b_c.d", "123456789012" };
    static const char *const bad[] = {
        "", ".", "..", "-a", "_a", "a/b", "a b", "a\n", "\xc3\xa4",
        "12345678901234567890123456789012345678901234567890123456789012345",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++)
        assert_true(store_name_is_good(good[i]));
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        assert_false(store_name_is_good(bad[i]));
}

#define RIVALS 6

/* One that wants the name "same" once START ends, tells RESULT whether it got it, and holds it until END ends. */
static void rival(int start, int result, int end)
{
    struct store_entry entry;
    struct error error = ERROR_INIT;
    char byte, won;

    if (read(start, &byte, 1) != 0)
        _exit(1);
    won = store_create(&entry, "same", command.items, command.count, &error) == 0;
    if (write(result, &won, 1) != 1 || read(end, &byte, 1) != 0)
        _exit(1);
    _exit(0);
}

static unsigned int winners(void)
{
    int start[2], result[2], end[2], status;
    unsigned int count = 0;
    char won;

    assert_int_equal(pipe(start) | pipe(result) | pipe(end), 0);
    for (unsigned int i = 0; i < RIVALS; i++)
        if (fork() == 0) {
            close(start[1]);
            close(end[1]);
            rival(start[0], result[1], end[0]);
        }
    close(start[1]);
    for (unsigned int i = 0; i < RIVALS; i++) {
        assert_int_equal(read(result[0], &won, 1), 1);
        count += won;
    }
    close(end[1]);
    for (unsigned int i = 0; i < RIVALS; i++)
        assert_true(wait(&status) > 0 && status == 0);
    close(start[0]);
    close(result[0]);
    close(result[1]);
    close(end[0]);
    return count;
}

/* Of those that want a name in the same moment, one gets it; the last one's folder is there all the while. */
static void test_rivals(void **state)
{
    (void)state;
    for (unsigned int i = 0; i < 100; i++)
        assert_int_equal(winners(), 1);
}

/* Holds NAME in a process of its own until that is told to end. */
static pid_t hold(const char *name)
{
    int ready[2];
    char byte;
    pid_t child;

    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        struct store_entry entry;
        struct error error = ERROR_INIT;

        if (store_create(&entry, name, command.items, command.count, &error) < 0 || store_claim(&entry, &error) < 0 ||
            write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void count(void *context, const struct store_entry *entry)
{
    (void)entry;
    ++*(unsigned int *)context;
}

static void test_life(void **state)
{
    struct store_entry entry, other;
    struct error error = ERROR_INIT;
    unsigned int listed = 0;
    char text[32];
    pid_t child = hold("job");

    (void)state;
    assert_int_equal(store_find(&entry, "job", &error), 0);
    assert_true(store_is_running(&entry));
    store_read(&entry, "command", text, sizeof(text));
    assert_string_equal(text, "echo hi");
    assert_int_equal(store_create(&other, "job", command.items, command.count, &error), -EEXIST);
    assert_non_null(strstr(error.message, "choose another"));
    store_close(&other);
    assert_int_equal(store_list(count, &listed, &error), 0);
    assert_int_equal(listed, 1);

    assert_int_equal(store_signal(&entry, SIGTERM), 0);
    assert_int_equal(store_wait(&entry, &error), 0);
    waitpid(child, NULL, 0);
    assert_false(store_is_running(&entry));
    assert_int_equal(store_signal(&entry, SIGTERM), -ESRCH);
    /* It wrote no verdict. */
    assert_int_equal(store_status(&entry), 128 + SIGKILL);
    store_close(&entry);

    /* The name is free again, and what was left of the other is gone. */
    assert_int_equal(store_create(&entry, "job", command.items, command.count, &error), 0);
    assert_int_equal(store_claim(&entry, &error), 0);
    assert_int_equal(store_remove(&entry, &error), 0);
    store_close(&entry);
    assert_int_equal(store_find(&entry, "job", &error), -ENOENT);
    assert_non_null(strstr(error.message, "mote ps"));
    store_close(&entry);
}

/* Makes NAME in a process of its own, which claims it MS later, or ends for CLAIM false. */
static pid_t hold_unclaimed(const char *name, unsigned int ms, bool claim)
{
    int ready[2];
    char byte;
    pid_t child;

    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        struct store_entry entry;
        struct error error = ERROR_INIT;

        if (store_create(&entry, name, command.items, command.count, &error) < 0 || write(ready[1], "", 1) != 1)
            _exit(1);
        alarm(10); /* should the test fail */
        usleep(ms * 1000);
        if (!claim)
            _exit(0);
        if (store_claim(&entry, &error) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

/* Between its making and the supervisor's claim an entry is nobody's: who has a signal for it waits. */
static void test_signals_before_the_claim(void **state)
{
    struct store_entry entry;
    struct error error = ERROR_INIT;
    pid_t child = hold_unclaimed("late", 200, true);
    int status;

    (void)state;
    assert_int_equal(store_find(&entry, "late", &error), 0);
    assert_int_equal(store_signal(&entry, SIGTERM), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    store_close(&entry);

    /* One that ends first. */
    child = hold_unclaimed("never", 200, false);
    assert_int_equal(store_find(&entry, "never", &error), 0);
    assert_int_equal(store_signal(&entry, SIGTERM), -ESRCH);
    assert_int_equal(waitpid(child, &status, 0), child);
    store_close(&entry);

    /* And one that takes too long: nobody waits for ever. */
    child = hold_unclaimed("stuck", 60000, true);
    assert_int_equal(store_find(&entry, "stuck", &error), 0);
    assert_int_equal(store_signal(&entry, SIGTERM), -ETIMEDOUT);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    store_close(&entry);
}

/* Of two that take away the same one, the later has nothing to do. */
static void test_removed_twice(void **state)
{
    struct store_entry entry;
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(store_create(&entry, "a", command.items, command.count, &error), 0);
    assert_int_equal(store_remove(&entry, &error), 0);
    assert_int_equal(store_remove(&entry, &error), 0);
    store_close(&entry);
}

static void test_verdicts(void **state)
{
    static const struct {
        const char *text;
        int status;
    } records[] = {
        { "{ \"cause\": \"exited\", \"status\": 42 }", 42 }, { "", 137 }, { "{", 137 },
        { "[]", 137 }, { "{ \"status\": 99999 }", 99999 & 0xff },
    };
    struct store_entry entry;
    struct error error = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(records); i++) {
        int fd;

        assert_int_equal(store_create(&entry, NULL, command.items, command.count, &error), 0);
        assert_int_equal(strlen(entry.name), 12);
        fd = store_open_file(&entry, "verdict", &error);
        assert_int_equal(write(fd, records[i].text, strlen(records[i].text)),
                         strlen(records[i].text));
        close(fd);
        assert_int_equal(store_status(&entry), records[i].status);
        assert_int_equal(store_remove(&entry, &error), 0);
        store_close(&entry);
    }
}

static void note_name(void *context, const struct store_entry *entry)
{
    strcat(context, entry->name);
    strcat(context, store_is_paused(entry) ? "! " : " ");
}

/* Hundreds are listed as one would count them; none is asked. */
static void test_the_list(void **state)
{
    static const char *const names[] = { "vm-10", "vm-2", "a", "vm-1" };
    struct store_entry entries[ARRAY_LENGTH(names)];
    struct error error = ERROR_INIT;
    char listed[200] = "";

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        assert_int_equal(store_create(&entries[i], names[i], command.items, command.count, &error), 0);
    assert_int_equal(store_set_paused(&entries[0], true, &error), 0);
    assert_int_equal(store_set_paused(&entries[1], true, &error), 0);
    assert_int_equal(store_set_paused(&entries[1], true, &error), 0);
    assert_int_equal(store_set_paused(&entries[1], false, &error), 0);
    assert_int_equal(store_set_paused(&entries[1], false, &error), 0);
    assert_int_equal(store_list(note_name, listed, &error), 0);
    assert_string_equal(listed, "a vm-1 vm-2 vm-10! ");
    store_ended(&entries[0], 143, &(struct log)LOG_INIT);
    assert_int_equal(store_status(&entries[0]), 143);
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        assert_int_equal(store_remove(&entries[i], &error), 0);
        store_close(&entries[i]);
    }
    listed[0] = '\0';
    assert_int_equal(store_list(note_name, listed, &error), 0);
    assert_string_equal(listed, "");
}

/* Somebody else's folder, or one that others may write to, would let them choose whom we signal. */
static void test_open_to_others(void **state)
{
    struct store_entry entry;
    struct error error = ERROR_INIT;
    char path[128];

    (void)state;
    snprintf(path, sizeof(path), "%s/mote", directory.path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(store_create(&entry, "a", command.items, command.count, &error), -EPERM);
    assert_non_null(strstr(error.message, "open to others"));
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_true(store_create(&entry, "a", command.items, command.count, &error) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_rivals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_signals_before_the_claim, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removed_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_verdicts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_open_to_others, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("run store", tests, NULL, NULL);
}
