/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict: its record, what it does to the file that is there, and the scratch disk beside it. */
#include "vmm/job/verdict.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/test_tool.h"
#include "vmm/base/cleanup.h"
#include "vmm/job/disk_format.h"
#include "vmm/job/console_tail.h"
#include "vmm/job/scratch.h"
#include "vmm/base/utf8.h"

static struct test_directory directory;
static char path[128];
static struct text_list command;
static struct timeline timeline;

static int set_up(void **state)
{
    struct error error = ERROR_INIT;

    (void)state;
    test_directory_create(&directory);
    snprintf(path, sizeof(path), "%s/verdict", directory.path);
    assert_int_equal(text_list_add(&command, "say \"hi\"\n\xff", &error), 0);
    timeline_mark(&timeline, "main");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    text_list_release(&command);
    test_directory_remove(&directory);
    timeline.count = 0;
    return 0;
}

static int write_it(enum cause cause, const char *where, struct error *error)
{
    struct outcome outcome = {
        .cause = cause, .status = 137, .signal = 9, .wall_ms = 1234,
        .restored = true,
        .usage = { .cpu_us = 55, .peak_memory = 1ull << 40, .oom_kills = 1 },
        .bytes_out = UINT64_MAX,
    };
    struct verdict verdict = { &outcome, "a \"message\"", &command, &timeline };

    return verdict_write(&verdict, where, error);
}

static const char *text_of(struct json_object *record, const char *name)
{
    struct json_object *value;

    assert_true(json_object_object_get_ex(record, name, &value));
    return json_object_get_string(value);
}

static void test_record(void **state)
{
    struct error error = ERROR_INIT;
    struct json_object *record;

    (void)state;
    assert_int_equal(verdict_check(path, &error), 0);
    assert_int_equal(write_it(CAUSE_OOM, path, &error), 0);
    record = json_object_from_file(path);
    assert_non_null(record);
    assert_string_equal(text_of(record, "cause"), "oom");
    assert_string_equal(text_of(record, "status"), "137");
    assert_string_equal(text_of(record, "signal"), "9");
    assert_string_equal(text_of(record, "restored"), "true");
    assert_string_equal(text_of(record, "peak_memory_bytes"), "1099511627776");
    assert_string_equal(text_of(record, "bytes_out"), "18446744073709551615");
    assert_string_equal(text_of(record, "message"), "a \"message\"");
    assert_non_null(strstr(text_of(record, "command"), "hi"));
    assert_non_null(strstr(text_of(record, "timeline"), "main"));
    json_object_put(record);
}

/* The VM's process shares the timeline, and may have been taken over. */
static void test_hostile_marks(void **state)
{
    struct error error = ERROR_INIT;
    struct json_object *record;
    const char *text;

    (void)state;
    memset(&timeline.marks[1], 0xff, sizeof(timeline.marks[1]));
    memcpy(&timeline.marks[1].number, "beyo", sizeof(timeline.marks[1].number));
    timeline.count = UINT32_MAX;
    assert_int_equal(write_it(CAUSE_EXITED, path, &error), 0);
    record = json_object_from_file(path);
    assert_non_null(record);
    text = text_of(record, "timeline");
    assert_non_null(strstr(text, "\xef\xbf\xbd"));
    assert_null(strstr(text, "beyo"));
    assert_null(strchr(text, '\xff'));
    json_object_put(record);
    memset(&timeline.marks[1], 0, sizeof(timeline.marks[1]));
}

/* The folder has the new record under the old name, and nothing else. */
static void test_replaces(void **state)
{
    struct error error = ERROR_INIT;
    struct stat before, after;
    unsigned int entries = 0;
    DIR *folder;

    (void)state;
    assert_int_equal(write_it(CAUSE_EXITED, path, &error), 0);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(write_it(CAUSE_TIMEOUT, path, &error), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino != after.st_ino);
    folder = opendir(directory.path);
    while (readdir(folder))
        entries++;
    closedir(folder);
    assert_int_equal(entries, 3); /* and "." and ".." */
}

static void test_refused(void **state)
{
    struct error error = ERROR_INIT;

    (void)state;
    assert_true(verdict_check("/nowhere/verdict", &error) < 0);
    assert_true(verdict_check("", &error) < 0);
    assert_int_equal(verdict_check(directory.path, &error), -EISDIR);
    assert_true(write_it(CAUSE_EXITED, "/nowhere/verdict", &error) < 0);
    assert_non_null(strstr(error.message, "--verdict /nowhere/verdict: cannot be written"));
    assert_int_equal(write_it(CAUSE_EXITED, "/dev/full", &error), -ENOSPC);
    assert_int_equal(write_it(CAUSE_EXITED, "/dev/null", &error), 0);
}

static void test_utf8(void **state)
{
    static const struct {
        const char *dirty, *clean;
    } texts[] = {
        { "", "" }, { "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
        { "\x80", "\xef\xbf\xbd" }, { "\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xc3", "\xef\xbf\xbd" }, { "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xed\xa0\x80x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx" },
        { "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xf0\x8f\xbf\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        cleanup_free char *clean = utf8_clean(texts[i].dirty);

        assert_string_equal(clean, texts[i].clean);
    }
}

/* The panic's line stays; before one, the last line counts, without control characters. */
static void test_console_tail(void **state)
{
    static const char text[] = "first\r\nsec\x1b[1mond\n\nKernel panic - not syncing: x\nend trace\n";
    struct console_tail tail = { .used = 0 };
    char longer[1000];

    (void)state;
    console_tail_add(&tail, text, 20);
    assert_string_equal(tail.line, "sec[1mond");
    console_tail_add(&tail, text + 20, sizeof(text) - 21);
    assert_string_equal(tail.line, "Kernel panic - not syncing: x");
    tail = (struct console_tail){ .used = 0 };
    memset(longer, 'x', sizeof(longer));
    console_tail_add(&tail, longer, sizeof(longer));
    console_tail_add(&tail, "\n", 1);
    assert_int_equal(strlen(tail.line), CONSOLE_TAIL_LINE - 1);
}

static void test_scratch(void **state)
{
    struct error error = ERROR_INIT;
    const char *format = NULL;
    struct stat status;
    int fd = -1;

    (void)state;
    setenv("TMPDIR", directory.path, 1);
    assert_int_equal(scratch_create(1ull << 30, &fd, &error), 0);
    assert_int_equal(disk_format_detect(fd, "scratch", &format, &error), 0);
    assert_string_equal(format, "ext4");
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_size, 1 << 30);
    assert_true(status.st_blocks * 512 < 64 << 20);
    assert_int_equal(status.st_nlink, 0);
    close(fd);
    assert_int_equal(scratch_create(4096, &fd, &error), -EINVAL);
    assert_int_equal(scratch_create((1ull << 30) + 1, &fd, &error), -EINVAL);
    assert_int_equal(scratch_create(UINT64_MAX - 4095, &fd, &error), -EINVAL);
    setenv("TMPDIR", "/nowhere", 1);
    assert_true(scratch_create(1ull << 30, &fd, &error) < 0);
    unsetenv("TMPDIR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hostile_marks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replaces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_console_tail),
        cmocka_unit_test_setup_teardown(test_scratch, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("run verdict", tests, NULL, NULL);
}
