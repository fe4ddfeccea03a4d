/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>

#include "vmm/base/timeline.h"

static const char *print(const struct timeline *timeline)
{
    static char text[16384];
    int fd = memfd_create("timeline", MFD_CLOEXEC);
    ssize_t length;

    assert_true(fd >= 0);
    timeline_print(timeline, fd);
    length = pread(fd, text, sizeof(text) - 1, 0);
    assert_true(length >= 0);
    text[length] = '\0';
    close(fd);
    return text;
}

static unsigned int lines_of(const char *text)
{
    unsigned int lines = 0;

    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void empty_timeline_prints_nothing(void **state)
{
    struct timeline timeline = { .count = 0 };

    (void)state;
    assert_string_equal(print(&timeline), "");
}

static void one_mark_has_a_bar(void **state)
{
    struct timeline timeline = { .count = 0 };

    (void)state;
    timeline_mark(&timeline, "main");
    assert_int_equal(lines_of(print(&timeline)), 2);
    assert_non_null(strstr(print(&timeline), "  main                       0.000      0.000  |#"));
}

static void marks_are_shown_in_milliseconds(void **state)
{
    struct timeline timeline = {
        .count = 3,
        .marks = { { "main", 0, 5000000000 }, { "mark", 7, 5001500000 }, { "end", 0, 5004000000 } },
    };
    const char *text = print(&timeline);

    (void)state;
    assert_non_null(strstr(text, "at ms    took ms\n"));
    assert_non_null(strstr(text, "  mark 7                     1.500      1.500  |####"));
    assert_non_null(strstr(text, "  end                        4.000      2.500  |    "));
}

static void numbers_of_zero_are_not_shown(void **state)
{
    struct timeline timeline = { .count = 0 };

    (void)state;
    timeline_mark_number(&timeline, "mark", 0);
    timeline_mark_number(&timeline, "mark", UINT32_MAX);
    assert_null(strstr(print(&timeline), "mark 0"));
    assert_non_null(strstr(print(&timeline), "mark 4294967295"));
}

static void full_table_drops_marks(void **state)
{
    struct timeline timeline = { .count = 0 };

    (void)state;
    for (unsigned int i = 0; i < 100000; i++)
        timeline_mark_number(&timeline, "mark", i + 1);
    assert_int_equal(timeline.marks[TIMELINE_MARKS_MAX - 1].number, TIMELINE_MARKS_MAX);
    assert_true(timeline.count <= TIMELINE_MARKS_MAX + 1);
    assert_int_equal(lines_of(print(&timeline)), TIMELINE_MARKS_MAX + 1);
}

/* Two threads may take their places in one order and the time in the other. */
static void marks_out_of_order_stay_in_the_table(void **state)
{
    static const struct timeline_mark orders[][4] = {
        { { "a", 0, 1000000 }, { "b", 0, 901000000 }, { "c", 0, 2000000 }, { "d", 0, 2000001 } },
        { { "a", 0, 9000000 }, { "b", 0, 1000000 }, { "c", 0, 8000000 }, { "d", 0, 2000000 } },
        { { "a", 0, 5000000 }, { "b", 0, 4000000 }, { "c", 0, 3000000 }, { "d", 0, 0 } },
        { { "a", 0, 1 }, { "b", 0, UINT64_MAX }, { "c", 0, 0 }, { "d", 0, 1 } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        struct timeline timeline = { .count = 4 };
        const char *line;

        memcpy(timeline.marks, orders[i], sizeof(orders[i]));
        line = strchr(print(&timeline), '\n') + 1;
        for (int j = 0; j < 4; j++) {
            const char *bar = strchr(line, '|');

            assert_non_null(bar);
            assert_int_equal(strcspn(bar + 1, "|"), 40);
            assert_true(strspn(bar + 1, " ") < 40);
            line = strchr(bar, '\n') + 1;
        }
    }
    {
        struct timeline timeline = { .count = 4 };

        memcpy(timeline.marks, orders[1], sizeof(orders[1]));
        assert_null(strstr(print(&timeline), "18446744"));
        assert_non_null(strstr(print(&timeline), "-8.000"));
    }
}

static void long_names_are_cut(void **state)
{
    struct timeline timeline = { .count = 0 };

    (void)state;
    timeline_mark_number(&timeline, "a name that is much longer than its column has room", 3);
    assert_int_equal(lines_of(print(&timeline)), 2);
}

static void *mark_often(void *context)
{
    for (int i = 0; i < 1000; i++)
        timeline_mark(context, "thread");
    return NULL;
}

static void marks_come_from_any_thread(void **state)
{
    struct timeline timeline = { .count = 0 };
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, mark_often, &timeline), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < TIMELINE_MARKS_MAX; i++)
        assert_string_equal(timeline.marks[i].name, "thread");
    assert_int_equal(lines_of(print(&timeline)), TIMELINE_MARKS_MAX + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_timeline_prints_nothing),
        cmocka_unit_test(one_mark_has_a_bar),
        cmocka_unit_test(marks_are_shown_in_milliseconds),
        cmocka_unit_test(numbers_of_zero_are_not_shown),
        cmocka_unit_test(full_table_drops_marks),
        cmocka_unit_test(marks_out_of_order_stay_in_the_table),
        cmocka_unit_test(long_names_are_cut),
        cmocka_unit_test(marks_come_from_any_thread),
    };

    return cmocka_run_group_tests_name("timeline", tests, NULL, NULL);
}
