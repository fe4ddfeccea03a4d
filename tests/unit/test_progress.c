/* SPDX-License-Identifier: Apache-2.0 */
/* What a terminal is told of work that takes long, and that nobody else is. */
#include "vmm/base/progress.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

static int terminal, errors;

static int set_up(void **state)
{
    int slave;

    (void)state;
    errors = dup(STDERR_FILENO);
    terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    slave = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0 && dup2(slave, STDERR_FILENO) >= 0);
    close(slave);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dup2(errors, STDERR_FILENO);
    close(errors);
    close(terminal);
    return 0;
}

static void check(const char *wanted)
{
    char text[256];
    ssize_t count = read(terminal, text, sizeof(text) - 1);

    text[count > 0 ? count : 0] = '\0';
    assert_string_equal(text, wanted);
}

static void test_lines(void **state)
{
    struct progress progress;

    (void)state;
    progress_init(&progress, true);
    progress_begin(&progress, 4 << 20, "reading a\033b");
    progress_add(&progress, 1 << 20);
    check(""); /* not at once */
    progress.next = 0;
    progress_add(&progress, 1 << 20);
    check("\r\033[Kmote: reading a?b: 2 of 4 MiB, 50 %");
    progress.next = 0;
    progress_begin_count(&progress, 8, "clones", "web");
    check("\r\033[Kmote: web: 0 of 8 clones, 0 %");
    progress.next = 0;
    progress_add(&progress, 3);
    check("\r\033[Kmote: web: 3 of 8 clones, 37 %");
    progress.next = 0;
    progress_begin(&progress, 0, "saving");
    check("\r\033[Kmote: saving: 0 MiB");
    progress_end(&progress);
    check("\r\033[K");
    progress_end(&progress);
    check("");
}

static void test_not_wanted(void **state)
{
    struct progress progress;

    (void)state;
    progress_init(&progress, false);
    progress_begin_count(&progress, 8, "clones", "web");
    progress.next = 0;
    progress_add(&progress, 3);
    progress_end(&progress);
    check("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_wanted, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
