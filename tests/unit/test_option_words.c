/* SPDX-License-Identifier: Apache-2.0 */
/* Letters, and the words behind the options. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* After those that it needs. */
#include <cmocka.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/options.h"

struct target {
    const char *name;
    uint64_t size;
    bool tty, interactive;
};

static const struct option_row rows[] = {
    { "Options", "name", "NAME", "a name", option_set_text, offsetof(struct target, name),
      .letter = 'n' },
    { NULL, "size", "SIZE", "a size", option_set_size, offsetof(struct target, size) },
    { NULL, "tty", NULL, "a flag", option_set_flag, offsetof(struct target, tty), .letter = 't' },
    { NULL, "interactive", NULL, "a flag", option_set_flag,
      offsetof(struct target, interactive), .letter = 'i' },
};
static const struct option_table table = {
    .usage = "mote test [OPTION]... COMMAND", .summary = "Tests.", .rows = rows,
    .count = ARRAY_LENGTH(rows),
};

#define WORDS_MAX 8
static const struct words_case {
    const char *words[WORDS_MAX];
    int result;
    int first; /* of the words behind the options */
    const char *text; /* of the error, or the name */
    bool tty, interactive;
} cases[] = {
    { { NULL }, 0, 1, NULL, false, false },
    { { "echo" }, 0, 1, NULL, false, false },
    { { "--" }, 0, 2, NULL, false, false },
    { { "--", "--tty" }, 0, 2, NULL, false, false },
    { { "-t", "echo", "-i" }, 0, 2, NULL, true, false },
    { { "-it", "--", "-x" }, 0, 3, NULL, true, true },
    { { "-ti", "--name", "a", "echo" }, 0, 4, "a", true, true },
    { { "-n", "a" }, 0, 3, "a", false, false },
    { { "-na" }, 0, 2, "a", false, false },
    { { "-tna", "x" }, 0, 2, "a", true, false },
    { { "-tn", "a", "x" }, 0, 3, "a", true, false },
    { { "-n", "--", "x" }, 0, 3, "--", false, false },
    { { "-n", "-t" }, 0, 3, "-t", false, false },
    { { "-n=a" }, 0, 2, "=a", false, false },
    { { "-n", "" }, 0, 3, "", false, false },
    { { "-" }, 0, 1, NULL, false, false },
    { { "" }, 0, 1, NULL, false, false },
    { { "-x" }, -EINVAL, 0, "-x: is no option; most begin with two dashes, and 'mote test --help' lists them", false, false },
    { { "-tx" }, -EINVAL, 0, "-x: is no option", true, false },
    { { "-n" }, -EINVAL, 0, "-n: the value is missing; give -n NAME", false, false },
    { { "-n", "--tty" }, -EINVAL, 0, "-n: the value is missing", false, false },
    { { "-t=1" }, -EINVAL, 0, "-=: is no option", true, false },
    { { "-\n" }, -EINVAL, 0, "-?: is no option", false, false },
};

static void test_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const struct words_case *one = &cases[i];
        char copies[WORDS_MAX][32], *argv[WORDS_MAX + 2] = { copies[0] };
        struct target target = { .name = NULL };
        struct error error = ERROR_INIT;
        bool helped;
        int argc = 1, words = 0, result;

        for (; argc < WORDS_MAX && one->words[argc - 1]; argc++) {
            snprintf(copies[argc], sizeof(copies[argc]), "%s", one->words[argc - 1]);
            argv[argc] = copies[argc];
        }
        result = options_parse_words(&table, &target, argc, argv, &words, &helped, &error);
        assert_int_equal(result, one->result);
        assert_int_equal(target.tty, one->tty);
        assert_int_equal(target.interactive, one->interactive);
        if (result < 0) {
            assert_non_null(strstr(error.message, one->text));
            continue;
        }
        assert_int_equal(words, one->first);
        if (one->text)
            assert_string_equal(target.name, one->text);
        else
            assert_null(target.name);
    }
}

/* Where no words are taken, one is an error even behind "--"; a value that looks so is none. */
static void test_no_words(void **state)
{
    char test[] = "test", dashes[] = "--", word[] = "x", option[] = "--name";
    char *with_word[] = { test, dashes, word, NULL }, *with_value[] = { test, option, dashes, NULL };
    struct target target = { .name = NULL };
    struct error error = ERROR_INIT;
    bool helped;

    (void)state;
    assert_int_equal(options_parse(&table, &target, 3, with_word, &helped, &error), -EINVAL);
    assert_non_null(strstr(error.message, "'--': is not expected here"));
    assert_int_equal(options_parse(&table, &target, 3, with_value, &helped, &error), 0);
    assert_string_equal(target.name, "--");
}

/* Two words that may stand anywhere. */
static void test_mixed(void **state)
{
    static const char *const names[] = { "first word", "second word" };
    static const struct {
        const char *words[WORDS_MAX];
        const char *text; /* of the error; NULL: they are "a" and "b" */
    } mixed[] = {
        { { "a", "b" }, NULL },
        { { "-t", "a", "-i", "b", "--name", "x" }, NULL },
        { { "a", "--name=x", "--", "b" }, NULL },
        { { "a" }, "the second word is missing" },
        { { NULL }, "the first word is missing" },
        { { "a", "b", "c" }, "'c': is one word too many" },
        { { "a", "-x", "b" }, "-x: is no option" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(mixed); i++) {
        char copies[WORDS_MAX + 1][16] = { "test" }, *arguments[WORDS_MAX + 2] = { copies[0] };
        const char *found[2] = { NULL };
        struct target target = { .name = NULL };
        struct error error = ERROR_INIT;
        int argc = 1, result;
        bool helped;

        for (; argc < WORDS_MAX && mixed[i].words[argc - 1]; argc++) {
            snprintf(copies[argc], sizeof(copies[argc]), "%s", mixed[i].words[argc - 1]);
            arguments[argc] = copies[argc];
        }
        result = options_parse_mixed(&table, &target, argc, arguments, found, names, 2, &helped,
                                     &error);
        assert_int_equal(result, mixed[i].text ? -EINVAL : 0);
        if (mixed[i].text)
            assert_non_null(strstr(error.message, mixed[i].text));
        else
            assert_true(strcmp(found[0], "a") == 0 && strcmp(found[1], "b") == 0);
    }
}

static void test_help_shows_letters(void **state)
{
    cleanup_free char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    (void)state;
    options_help(&table, stream);
    fclose(stream);
    assert_non_null(strstr(text, "\n  -n, --name NAME         a name\n"));
    assert_non_null(strstr(text, "\n  --size SIZE             a size\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_no_words),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_help_shows_letters),
    };

    return cmocka_run_group_tests_name("option words", tests, NULL, NULL);
}
