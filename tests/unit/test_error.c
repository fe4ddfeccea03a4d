/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <errno.h>
#include <string.h>

static void test_set(void **state)
{
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(error_set(&error, EINVAL, "--cpus %d: too many; at most %d", 99, 64),
                     -EINVAL);
    assert_int_equal(error.number, EINVAL);
    assert_string_equal(error.message, "--cpus 99: too many; at most 64");
    assert_int_equal(error_system(&error, ENOENT, "%s", "kernel"), -ENOENT);
    assert_int_equal(error.number, ENOENT);
    assert_string_equal(error.message,
                        "kernel: No such file or directory; check the path");
}

/* A file name with a newline or an escape sequence does not reach the terminal. */
static void test_one_line(void **state)
{
    struct error error = ERROR_INIT;

    (void)state;
    error_set(&error, EINVAL, "%s: bad", "a\nb\033[2Jc\x7f\r\tl\xc3\xa4");
    assert_string_equal(error.message, "a?b?[2Jc???l\xc3\xa4: bad");
    /* Also those of 8 bits, which UTF-8 has in two, and what is none. */
    error_set(&error, EINVAL, "%s", "a\x9b" "2J\xc2\x9b" "31m\xc2\xa0\xe0\x82\x9b\xf0\x80\x82\x9b\xff\xe2\x82\xac\xc3");
    assert_string_equal(error.message, "a?2J??31m\xc2\xa0????????\xe2\x82\xac?");
    error_system(&error, EINVAL, "%s", "x\ny");
    assert_string_equal(error.message, "x?y: Invalid argument; 'mote doctor' may tell more");
}

/* What stands at the end is the remedy: a long file name must not push it out. */
static void test_ends_of_long_messages_stay(void **state)
{
    struct error error = ERROR_INIT;
    char path[4096];
    size_t length;

    (void)state;
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    error_set(&error, ENOENT, "kernel %s: is missing; check the path", path);
    length = strlen(error.message);
    assert_int_equal(strncmp(error.message, "kernel xxx", 10), 0);
    assert_true(length > sizeof(": is missing; check the path"));
    assert_string_equal(error.message + length - strlen(": is missing; check the path"),
                        ": is missing; check the path");
}

static void test_remedies_by_errno(void **state)
{
    static const struct {
        int number;
        const char *remedy;
    } cases[] = {
        { EMFILE, "; allow more open files (ulimit -n)" },
        { ENOMEM, "; free some memory" },
        { EAGAIN, "; allow more processes (ulimit -u)" },
        { ENOSPC, "; free some space there" },
        { EPIPE, "; keep its reader running" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error = ERROR_INIT;

        error_system(&error, cases[i].number, "thing");
        assert_non_null(strstr(error.message, cases[i].remedy));
    }
}

static void test_long_messages(void **state)
{
    struct error error = ERROR_INIT;
    char text[2000];

    (void)state;
    memset(text, 'x', sizeof(text));
    for (size_t length = sizeof(error.message) - 40; length < sizeof(text); length++) {
        text[length] = '\0';
        assert_int_equal(error_system(&error, EIO, "%s", text), -EIO);
        assert_true(strlen(error.message) < sizeof(error.message));
        assert_int_equal(error_set(&error, EIO, "%s", text), -EIO);
        assert_true(strlen(error.message) < sizeof(error.message));
        text[length] = 'x';
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_one_line),
        cmocka_unit_test(test_ends_of_long_messages_stay),
        cmocka_unit_test(test_remedies_by_errno),
        cmocka_unit_test(test_long_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
