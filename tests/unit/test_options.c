/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/loading.h"
#include "vmm/base/options.h"

struct target {
    const char *kernel, *cmdline;
    uint64_t cpus;
    unsigned int verbose;
};

static int set_kernel(void *target, const struct option_row *row, const char *value,
                struct error *error)
{
    (void)row;
    (void)error;
    ((struct target *)target)->kernel = value;
    return 0;
}

static int set_cmdline(void *target, const struct option_row *row, const char *value,
                struct error *error)
{
    (void)row;
    (void)error;
    ((struct target *)target)->cmdline = value;
    return 0;
}

static int set_cpus(void *target, const struct option_row *row, const char *value,
                struct error *error)
{
    (void)row;
    return options_number("cpus", value, 1, 64, &((struct target *)target)->cpus, error);
}

static int set_verbose(void *target, const struct option_row *row, const char *value,
                struct error *error)
{
    (void)row;
    (void)error;
    assert_null(value);
    ((struct target *)target)->verbose++;
    return 0;
}

static const struct option_row rows[] = {
    { "Kernel", "kernel", "FILE", "what to boot", set_kernel },
    { NULL, "cmdline", "TEXT", "its command line\n(default: none)", set_cmdline },
    { "Machine", "cpus", "N", "how many", set_cpus },
    { NULL, "verbose", NULL, "say more", set_verbose },
    { NULL, "a-name-as-long-as-can-be", "AND-A-VALUE", "on a line of its own", set_kernel },
};
static const struct option_table table = {
    .usage = "mote test --kernel FILE [OPTION]...",
    .summary = "Tests.",
    .examples = "  mote test --kernel a\n",
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

#define WORDS_MAX 6
static const struct parse_case {
    const char *name;
    const char *words[WORDS_MAX]; /* behind the command's own name */
    int number;
    const char *text; /* of the error */
    struct target target;
} parse_cases[] = {
    { "no_options", { NULL }, 0, NULL, { NULL, NULL, 0, 0 } },
    { "value_in_the_next_word", { "--kernel", "a" }, 0, NULL, { "a", NULL, 0, 0 } },
    { "value_behind_an_equals_sign", { "--kernel=a" }, 0, NULL, { "a", NULL, 0, 0 } },
    { "value_with_an_equals_sign", { "--cmdline=a=b" }, 0, NULL, { NULL, "a=b", 0, 0 } },
    { "empty_value", { "--kernel=" }, 0, NULL, { "", NULL, 0, 0 } },
    { "empty_word_as_value", { "--kernel", "" }, 0, NULL, { "", NULL, 0, 0 } },
    { "last_one_wins", { "--kernel", "a", "--kernel=b" }, 0, NULL, { "b", NULL, 0, 0 } },
    { "flag_twice", { "--verbose", "--verbose" }, 0, NULL, { NULL, NULL, 0, 2 } },
    { "several", { "--cpus", "4", "--verbose", "--kernel", "k" }, 0, NULL, { "k", NULL, 4, 1 } },
    { "value_with_one_dash", { "--cmdline", "-x" }, 0, NULL, { NULL, "-x", 0, 0 } },
    { "value_with_two_dashes", { "--cmdline", "--x" }, 0, NULL, { NULL, "--x", 0, 0 } },
    { "option_instead_of_a_value", { "--kernel", "--verbose" }, EINVAL,
      "--kernel: the value is missing; give --kernel FILE", { 0 } },
    { "option_with_value_instead_of_a_value", { "--kernel", "--cpus=3" }, EINVAL,
      "--kernel: the value is missing", { 0 } },
    { "help_instead_of_a_value", { "--kernel", "--help" }, EINVAL,
      "--kernel: the value is missing", { 0 } },
    { "value_missing_at_the_end", { "--kernel" }, EINVAL, "--kernel: the value is missing", { 0 } },
    { "flag_with_value", { "--verbose=1" }, EINVAL,
      "--verbose: takes no value; leave out '=1'", { 0 } },
    { "flag_with_empty_value", { "--verbose=" }, EINVAL, "--verbose: takes no value", { 0 } },
    { "word_without_dashes", { "kernel" }, EINVAL,
      "'kernel': is not expected here; options begin with two dashes ('mote test --help'", { 0 } },
    { "word_with_one_dash", { "-k" }, EINVAL, "-k: is no option; 'mote", { 0 } },
    { "empty_word", { "" }, EINVAL, "'': is not expected here", { 0 } },
    { "only_dashes", { "--" }, EINVAL, "'--': is not expected here", { 0 } },
    { "typing_error", { "--kernal", "x" }, EINVAL,
      "--kernal: is no option; did you mean --kernel?", { 0 } },
    { "typing_error_with_value", { "--kernal=x" }, EINVAL,
      "--kernal: is no option; did you mean --kernel?", { 0 } },
    { "two_typing_errors", { "--kerlen" }, EINVAL, "did you mean --kernel?", { 0 } },
    { "abbreviation", { "--cmd" }, EINVAL, "did you mean --cmdline?", { 0 } },
    { "nothing_near", { "--frobnicate" }, EINVAL,
      "--frobnicate: is no option; 'mote test --help' lists them", { 0 } },
    { "nothing_before_the_equals_sign", { "--=x" }, EINVAL, "--: is no option", { 0 } },
    { "name_of_control_characters", { "--a\n\tb" }, EINVAL, "--a??b: is no option", { 0 } },
    { "name_of_percent_signs", { "--%s%n" }, EINVAL, "--%s%n: is no option", { 0 } },
    { "value_out_of_range", { "--cpus", "65" }, EINVAL,
      "--cpus 65: is out of range; give a whole number from 1 to 64", { 0 } },
    { "error_stops_the_rest", { "--cpus", "0", "--verbose" }, EINVAL, "--cpus 0", { 0 } },
};

static int parse(const char *const *words, struct target *target, bool *helped,
                 struct error *error)
{
    char copies[WORDS_MAX + 1][64], *argv[WORDS_MAX + 2] = { copies[0] };
    int argc = 1;

    strcpy(copies[0], "test");
    for (; argc <= WORDS_MAX && words[argc - 1]; argc++) {
        snprintf(copies[argc], sizeof(copies[argc]), "%s", words[argc - 1]);
        argv[argc] = copies[argc];
    }
    int result = options_parse(&table, target, argc, argv, helped, error);

    /* Values point into the words, which end here. */
    for (int i = 1; i < argc; i++) {
        size_t length = strlen(copies[i]);

        if (target->kernel >= copies[i] && target->kernel <= copies[i] + length)
            target->kernel = words[i - 1] + (target->kernel - copies[i]);
        if (target->cmdline >= copies[i] && target->cmdline <= copies[i] + length)
            target->cmdline = words[i - 1] + (target->cmdline - copies[i]);
    }
    return result;
}

static void assert_same(const char *a, const char *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a)
        assert_string_equal(a, b);
}

static void check_parse(void **state)
{
    const struct parse_case *c = *state;
    struct target target = { .cpus = 0 };
    struct error error = ERROR_INIT;
    bool helped = true;
    int result = parse(c->words, &target, &helped, &error);

    if (c->number) {
        loading_assert_error(result, &error, c->number, c->text);
        assert_int_equal(target.verbose, 0);
        return;
    }
    assert_int_equal(result, 0);
    assert_false(helped);
    assert_same(target.kernel, c->target.kernel);
    assert_same(target.cmdline, c->target.cmdline);
    assert_int_equal(target.cpus, c->target.cpus);
    assert_int_equal(target.verbose, c->target.verbose);
}

static void long_names_are_cut_in_messages(void **state)
{
    char word[4096] = "--", command[] = "test", *argv[] = { command, word, NULL };
    struct error error = ERROR_INIT;
    struct target target;
    bool helped;

    (void)state;
    memset(word + 2, 'x', sizeof(word) - 3);
    loading_assert_error(options_parse(&table, &target, 2, argv, &helped, &error), &error, EINVAL,
                         "xxx: is no option; 'mote test --help'");
}

static const struct number_case {
    const char *name, *value;
    uint64_t minimum, maximum;
    bool good;
    uint64_t number;
} number_cases[] = {
    { "number_1", "1", 1, 64, true, 1 },
    { "number_at_its_most", "64", 1, 64, true, 64 },
    { "number_with_zeros", "0007", 1, 64, true, 7 },
    { "number_of_64_bits", "18446744073709551615", 0, UINT64_MAX, true, UINT64_MAX },
    { "number_of_65_bits", "18446744073709551616", 0, UINT64_MAX, false, 0 },
    { "number_of_67_bits", "99999999999999999999", 0, UINT64_MAX, false, 0 },
    { "number_too_small", "0", 1, 64, false, 0 },
    { "number_too_large", "65", 1, 64, false, 0 },
    { "number_empty", "", 0, 64, false, 0 },
    { "number_negative", "-1", 0, UINT64_MAX, false, 0 },
    { "number_with_plus", "+1", 0, 64, false, 0 },
    { "number_with_blank", " 1", 0, 64, false, 0 },
    { "number_with_blank_behind", "1 ", 0, 64, false, 0 },
    { "number_hexadecimal", "0x10", 0, 64, false, 0 },
    { "number_with_fraction", "1.5", 0, 64, false, 0 },
    { "number_with_letters", "4cpus", 0, 64, false, 0 },
    { "number_in_arabic_digits", "\xd9\xa3", 0, 64, false, 0 },
};

static void check_number(void **state)
{
    const struct number_case *c = *state;
    struct error error = ERROR_INIT;
    uint64_t number = 0;
    int result = options_number("n", c->value, c->minimum, c->maximum, &number, &error);

    if (c->good) {
        assert_int_equal(result, 0);
        assert_true(number == c->number);
    } else {
        bool digits = c->value[0] && c->value[strspn(c->value, "0123456789")] == '\0';

        loading_assert_error(result, &error, EINVAL, digits ? "is out of range; give a whole number from "
                                                            : "is no whole number; give a whole number from ");
    }
}

#define GIB (1024 * MIB)
static const struct size_case {
    const char *name, *value;
    int number;
    uint64_t bytes;
} size_cases[] = {
    { "size_in_mib", "512", 0, 512 * MIB },
    { "size_0", "0", 0, 0 },
    { "size_k", "4K", 0, 4096 },
    { "size_m", "1M", 0, MIB },
    { "size_g", "2G", 0, 2 * GIB },
    { "size_t", "1T", 0, 1024 * GIB },
    { "size_small_letter", "2g", 0, 2 * GIB },
    { "size_mb", "3MB", 0, 3 * MIB },
    { "size_mib", "3MiB", 0, 3 * MIB },
    { "size_kib_in_capitals", "3KIB", 0, 3 * 1024 },
    { "size_at_its_most", "16777215T", 0, 16777215ull << 40 },
    { "size_of_64_bits", "16777216T", ERANGE, 0 },
    { "size_in_mib_of_64_bits", "17592186044416", ERANGE, 0 },
    { "size_of_65_bits", "18446744073709551616", EINVAL, 0 },
    { "size_empty", "", EINVAL, 0 },
    { "size_without_number", "M", EINVAL, 0 },
    { "size_negative", "-1M", EINVAL, 0 },
    { "size_of_bytes", "4096B", EINVAL, 0 },
    { "size_with_unknown_unit", "1P", EINVAL, 0 },
    { "size_with_half_a_unit", "1Mi", EINVAL, 0 },
    { "size_with_blank", "1 M", EINVAL, 0 },
    { "size_with_two_units", "1MM", EINVAL, 0 },
    { "size_with_fraction", "1.5G", EINVAL, 0 },
    { "size_hexadecimal", "0x1000", EINVAL, 0 },
};

static void check_size(void **state)
{
    const struct size_case *c = *state;
    struct error error = ERROR_INIT;
    uint64_t bytes = 77;
    int result = options_size("memory", c->value, &bytes, &error);

    if (c->number) {
        loading_assert_error(result, &error, c->number, "--memory ");
        assert_int_equal(bytes, 77);
    } else {
        assert_int_equal(result, 0);
        assert_true(bytes == c->bytes);
    }
}

static void choices(void **state)
{
    static const char *const names[] = { "acpi", "fdt", "cmdline", NULL };
    static const char *const bad[] = { "", "ACPI", "acp", "acpii", " fdt", "fdt,cmdline" };
    struct error error = ERROR_INIT;
    unsigned int index;

    (void)state;
    for (unsigned int i = 0; i < 3; i++) {
        assert_int_equal(options_choice("describe", names[i], names, &index, &error), 0);
        assert_int_equal(index, i);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        loading_assert_error(options_choice("describe", bad[i], names, &index, &error), &error,
                             EINVAL, "is unknown; use one of acpi, fdt, cmdline");
}

static const char *name_at(const void *context, size_t index)
{
    return ((const char *const *)context)[index];
}

static void nearest(void **state)
{
    static const char *const names[] = { "boot", "doctor", "console", "cmdline", "on" };
    static const struct {
        const char *word, *nearest;
    } words[] = {
        { "boot", "boot" },      { "bot", "boot" },     { "bboot", "boot" }, { "obot", "boot" },
        { "doktor", "doctor" },  { "doc", "doctor" },   { "do", NULL },      { "cons", "console" },
        { "comsol", "console" }, { "cmdlien", "cmdline" }, { "", NULL },     { "xy", NULL },
        { "reboot", "boot" },    { "rebooot", NULL },
        { "a-word-that-is-longer-than-the-table-of-edits-has-room-for", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        assert_same(options_nearest(words[i].word, name_at, names, 5), words[i].nearest);
    assert_null(options_nearest("boot", name_at, names, 0));
}

static const char expected_help[] =
    "Usage: mote test --kernel FILE [OPTION]...\n"
    "\n"
    "Tests.\n"
    "\n"
    "Kernel:\n"
    "  --kernel FILE           what to boot\n"
    "  --cmdline TEXT          its command line\n"
    "                          (default: none)\n"
    "\n"
    "Machine:\n"
    "  --cpus N                how many\n"
    "  --verbose               say more\n"
    "  --a-name-as-long-as-can-be AND-A-VALUE\n"
    "                          on a line of its own\n"
    "\n"
    "Examples:\n"
    "  mote test --kernel a\n";

static void help_is_aligned(void **state)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    (void)state;
    assert_non_null(stream);
    options_help(&table, stream);
    fclose(stream);
    assert_string_equal(text, expected_help);
    free(text);
}

/* --help wins over what follows it, and prints to standard output. */
static void help_goes_to_standard_output(void **state)
{
    static const char *const words[][3] = { { "--verbose", "--help", "--bad" }, { "-h" } };
    char text[sizeof(expected_help) + 1] = "";

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct target target = { .cpus = 0 };
        struct error error = ERROR_INIT;
        int saved, pipes[2], result;
        const char *list[WORDS_MAX] = { words[i][0], words[i][1], words[i][2] };
        bool helped = false;

        fflush(stdout);
        saved = dup(STDOUT_FILENO);
        assert_int_equal(pipe(pipes), 0);
        dup2(pipes[1], STDOUT_FILENO);
        result = parse(list, &target, &helped, &error);
        fflush(stdout);
        dup2(saved, STDOUT_FILENO);
        close(saved);
        close(pipes[1]);
        assert_int_equal(read(pipes[0], text, sizeof(text)), (ssize_t)sizeof(expected_help) - 1);
        close(pipes[0]);
        assert_int_equal(result, 0);
        assert_true(helped);
        assert_string_equal(text, expected_help);
    }
}

/* Such as a file of values that the other options replace: set first, once, and only where it is the option. */
static void early_options_come_first(void **state)
{
    static const struct option_row early_rows[] = {
        { "Kernel", "kernel", "FILE", "a file", option_set_text, .offset = offsetof(struct target, kernel) },
        { NULL, "all", "FILE", "sets the kernel, too", option_set_text, .offset = offsetof(struct target, kernel),
          .early = true },
        { NULL, "cmdline", "TEXT", "a text", option_set_text, .offset = offsetof(struct target, cmdline) },
    };
    static const struct option_table early_table = { .usage = "mote test", .summary = "", .rows = early_rows, .count = 3 };
    char command[] = "test", kernel[] = "--kernel=k", all[] = "--all=a", text[] = "--cmdline=--all=b";
    char *before[] = { command, all, kernel, NULL }, *after[] = { command, kernel, all, NULL };
    char *alone[] = { command, text, all, NULL };
    struct target target;
    struct error error = ERROR_INIT;
    bool helped;

    (void)state;
    assert_int_equal(options_parse(&early_table, &target, 3, before, &helped, &error), 0);
    assert_string_equal(target.kernel, "k");
    assert_int_equal(options_parse(&early_table, &target, 3, after, &helped, &error), 0);
    assert_string_equal(target.kernel, "k");
    assert_int_equal(options_parse(&early_table, &target, 3, alone, &helped, &error), 0);
    assert_string_equal(target.kernel, "a");
    assert_string_equal(target.cmdline, "--all=b");
}

int main(void)
{
    struct CMUnitTest tests[96] = {
        cmocka_unit_test(long_names_are_cut_in_messages),
        cmocka_unit_test(choices),
        cmocka_unit_test(nearest),
        cmocka_unit_test(help_is_aligned),
        cmocka_unit_test(help_goes_to_standard_output),
        cmocka_unit_test(early_options_come_first),
    };
    size_t count = 6;

    count += LOADING_ADD(tests + count, parse_cases, check_parse);
    count += LOADING_ADD(tests + count, number_cases, check_number);
    count += LOADING_ADD(tests + count, size_cases, check_size);
    return _cmocka_run_group_tests("options", tests, count, NULL, NULL);
}
