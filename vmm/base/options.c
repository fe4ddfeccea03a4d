/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/options.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define WORD_MAX 32
/* Two edits away is a typing error; further is another word. */
#define EDITS_MAX 2

/* Levenshtein's distance, both words cut at WORD_MAX. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1];
    size_t a_length = strnlen(a, WORD_MAX), b_length = strnlen(b, WORD_MAX);

    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_length];
}

const char *options_nearest(const char *word, const char *(*candidate)(const void *, size_t),
                            const void *context, size_t count)
{
    const char *nearest = NULL;
    size_t least = EDITS_MAX + 1;

    for (size_t i = 0; i < count; i++) {
        const char *name = candidate(context, i);
        size_t edits = edit_distance(word, name);
        /* What was typed short ("--mem") is near as well. */
        bool prefix = strlen(word) >= 3 && strncmp(word, name, strlen(word)) == 0;

        if (prefix)
            edits = 1;
        if (edits < least && edits < strlen(name)) {
            least = edits;
            nearest = name;
        }
    }
    return nearest;
}

static const char *row_name(const void *context, size_t index)
{
    return ((const struct option_row *)context)[index].name;
}

/* How many characters of the usage line are the command's own name. */
static int command_length(const struct option_table *table)
{
    size_t length = strcspn(table->usage, "[-ABCDEFGHIJKLMNOPQRSTUVWXYZ");

    while (length > 0 && table->usage[length - 1] == ' ')
        length--;
    return (int)length;
}

const char *foreign_word_instead(const struct foreign_word *list, const char *word)
{
    for (; list && list->word; list++)
        if (strcmp(list->word, word) == 0)
            return list->instead;
    return NULL;
}

static int unknown_option(const struct option_table *table, const char *word, size_t length,
                          struct error *error)
{
    char name[64];
    const char *nearest, *instead;

    snprintf(name, sizeof(name), "%.*s", (int)(length < 63 ? length : 63), word);
    instead = foreign_word_instead(table->foreign, name);
    if (instead)
        return error_set(error, EINVAL, "--%s: is no option here; %s", name, instead);
    nearest = options_nearest(name, row_name, table->rows, table->count);
    if (nearest)
        return error_set(error, EINVAL, "--%s: is no option; did you mean --%s?", name, nearest);
    return error_set(error, EINVAL, "--%s: is no option; '%.*s --help' lists them", name,
                     command_length(table), table->usage);
}

static const struct option_row *find_row(const struct option_table *table, const char *name,
                                         size_t length)
{
    for (size_t i = 0; i < table->count; i++)
        if (strlen(table->rows[i].name) == length &&
            strncmp(table->rows[i].name, name, length) == 0)
            return &table->rows[i];
    return NULL;
}

static const struct option_row *find_letter(const struct option_table *table, char letter)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].letter == letter)
            return &table->rows[i];
    return NULL;
}

static bool has_letters(const struct option_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].letter)
            return true;
    return false;
}

static bool has_early(const struct option_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].early)
            return true;
    return false;
}

static bool names_option(const struct option_table *table, const char *word)
{
    return strncmp(word, "--", 2) == 0 && (strcmp(word, "--help") == 0 ||
                                           find_row(table, word + 2, strcspn(word + 2, "=")));
}

/* Those that are EARLY and the others have their turn one after the other. */
static int set_row(void *target, const struct option_row *row, const char *value, bool early,
                   struct error *error)
{
    return row->early == early ? row->set(target, row, value, error) : 0;
}

/* Handles ARGV[*AT] and moves *AT to the last word used. */
static int parse_one(const struct option_table *table, void *target, int argc, char **argv, int *at,
                     bool early, struct error *error)
{
    const char *name = argv[*at] + 2;
    size_t length = strcspn(name, "=");
    const struct option_row *row = find_row(table, name, length);
    const char *value = NULL;

    if (!row)
        return unknown_option(table, name, length, error);
    if (!row->argument) {
        if (name[length] == '=')
            return error_set(error, EINVAL, "--%s: takes no value; leave out '%s'", row->name,
                             name + length);
        return set_row(target, row, NULL, early, error);
    }
    if (name[length] == '=')
        value = name + length + 1;
    else if (*at + 1 < argc && !names_option(table, argv[*at + 1]))
        value = argv[++*at];
    if (!value)
        return error_set(error, EINVAL, "--%s: the value is missing; give --%s %s", row->name,
                         row->name, row->argument);
    return set_row(target, row, value, early, error);
}

/* Handles the letters of ARGV[*AT], "-it" or "-eNAME", and moves *AT to the last word used. */
static int parse_letters(const struct option_table *table, void *target, int argc, char **argv,
                         int *at, bool early, struct error *error)
{
    for (const char *letter = argv[*at] + 1; *letter; letter++) {
        const struct option_row *row = find_letter(table, *letter);
        const char *value = letter[1] ? letter + 1 : NULL;
        int result;

        if (!row)
            return error_set(error, EINVAL, "-%c: is no option; most begin with two dashes, and "
                             "'%.*s --help' lists them", *letter, command_length(table), table->usage);
        if (!row->argument) {
            result = set_row(target, row, NULL, early, error);
            if (result < 0)
                return result;
            continue;
        }
        if (!value && *at + 1 < argc && !names_option(table, argv[*at + 1]))
            value = argv[++*at];
        if (!value)
            return error_set(error, EINVAL, "-%c: the value is missing; give -%c %s", *letter,
                             *letter, row->argument);
        return set_row(target, row, value, early, error);
    }
    return 0;
}

/* One option at ARGV[*AT]; 1: the word there is none. */
static int parse_word(const struct option_table *table, void *target, int argc, char **argv,
                      int *at, bool early, struct error *error)
{
    const char *word = argv[*at];

    if (strncmp(word, "--", 2) == 0 && word[2])
        return parse_one(table, target, argc, argv, at, early, error);
    if (word[0] == '-' && word[1] && word[1] != '-' && has_letters(table))
        return parse_letters(table, target, argc, argv, at, early, error);
    return 1;
}

static int parse_pass(const struct option_table *table, void *target, int argc, char **argv,
                      int *stop, bool *helped, bool early, struct error *error)
{
    *helped = false;
    for (*stop = 1; *stop < argc; (*stop)++) {
        int result;

        if (strcmp(argv[*stop], "--help") == 0 || strcmp(argv[*stop], "-h") == 0) {
            options_help(table, stdout);
            *helped = true;
            return 0;
        }
        result = parse_word(table, target, argc, argv, stop, early, error);
        if (result != 0)
            return result < 0 ? result : 0;
    }
    return 0;
}

/* *STOP is the index of the first word that is no option. */
static int parse_options(const struct option_table *table, void *target, int argc, char **argv,
                         int *stop, bool *helped, struct error *error)
{
    int result = 0;

    *helped = false;
    if (has_early(table))
        result = parse_pass(table, target, argc, argv, stop, helped, true, error);
    if (result == 0 && !*helped)
        result = parse_pass(table, target, argc, argv, stop, helped, false, error);
    return result;
}

int options_parse_words(const struct option_table *table, void *target, int argc, char **argv,
                        int *words, bool *helped, struct error *error)
{
    int result = parse_options(table, target, argc, argv, words, helped, error);

    if (result == 0 && *words < argc && strcmp(argv[*words], "--") == 0)
        (*words)++;
    return result;
}

int options_parse(const struct option_table *table, void *target, int argc, char **argv,
                  bool *helped, struct error *error)
{
    int stop, result = parse_options(table, target, argc, argv, &stop, helped, error);
    const char *instead;

    if (result < 0 || *helped || stop == argc)
        return result;
    instead = argv[stop][0] == '-' ? foreign_word_instead(table->foreign, argv[stop]) : NULL;
    if (instead)
        return error_set(error, EINVAL, "%s: is no option here; %s", argv[stop], instead);
    if (argv[stop][0] == '-' && argv[stop][1] && strcmp(argv[stop], "--") != 0)
        return error_set(error, EINVAL, "%s: is no option; '%.*s --help' lists them", argv[stop],
                         command_length(table), table->usage);
    return error_set(error, EINVAL, "'%s': is not expected here; options begin with two dashes "
                     "('%.*s --help' lists them)", argv[stop], command_length(table),
                     table->usage);
}

int options_parse_mixed(const struct option_table *table, void *target, int argc, char **argv,
                        const char **words, const char *const *names, size_t count, bool *helped,
                        struct error *error)
{
    size_t found = 0;
    int at = 0;

    /* Each word stands where the command's own name would: what follows it is parsed anew. */
    for (;;) {
        int stop, result = options_parse_words(table, target, argc - at, argv + at, &stop, helped,
                                               error);

        if (result < 0 || *helped)
            return result;
        at += stop;
        if (at == argc)
            break;
        if (found == count)
            return error_set(error, EINVAL, "'%s': is one word too many ('%.*s --help' tells what is "
                             "expected)", argv[at], command_length(table), table->usage);
        words[found++] = argv[at];
    }
    if (found < count)
        return error_set(error, EINVAL, "the %s is missing ('%.*s --help' tells more)", names[found],
                         command_length(table), table->usage);
    return 0;
}

#define HELP_COLUMN 26

/* The columns of TEXT, UTF-8 of which each character takes one. */
static int columns(const char *text)
{
    int count = 0;

    for (; *text; text++)
        count += (*text & 0xc0) != 0x80;
    return count;
}

static void help_row(const struct option_row *row, FILE *stream)
{
    const char *line = row->help;
    int width;

    if (row->group)
        fprintf(stream, "\n%s:\n", row->group);
    width = fprintf(stream, "  ");
    if (row->letter)
        width += fprintf(stream, "-%c, ", row->letter);
    fprintf(stream, "--%s%s%s", row->name, row->argument ? " " : "", row->argument ? row->argument : "");
    width += columns("--") + columns(row->name) + (row->argument ? columns(" ") + columns(row->argument) : 0);
    if (width >= HELP_COLUMN)
        fprintf(stream, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(stream, "%*s", HELP_COLUMN - width, "");
    while (*line) {
        int length = (int)strcspn(line, "\n");

        fprintf(stream, "%.*s\n", length, line);
        line += length;
        if (*line == '\n') {
            line++;
            fprintf(stream, "%*s", HELP_COLUMN, "");
        }
    }
}

void options_help(const struct option_table *table, FILE *stream)
{
    fprintf(stream, "Usage: %s\n\n%s\n", table->usage, table->summary);
    for (size_t i = 0; i < table->count; i++)
        help_row(&table->rows[i], stream);
    if (table->examples)
        fprintf(stream, "\nExamples:\n%s", table->examples);
}

/* Digits only: strtoull() alone would take signs, blanks and hexadecimal. */
static bool read_digits(const char *text, const char **end, uint64_t *number)
{
    uint64_t value = 0;

    if (!isdigit((unsigned char)*text))
        return false;
    for (; isdigit((unsigned char)*text); text++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    }
    *end = text;
    *number = value;
    return true;
}

int options_number(const char *name, const char *value, uint64_t minimum, uint64_t maximum,
                   uint64_t *number, struct error *error)
{
    bool whole = value[0] && value[strspn(value, "0123456789")] == '\0';
    const char *end;

    if (!read_digits(value, &end, number) || *end != '\0' || *number < minimum || *number > maximum)
        return error_set(error, EINVAL, "--%s %s: %s; give a whole number from %llu to %llu", name, value,
                         whole ? "is out of range" : "is no whole number", (unsigned long long)minimum,
                         (unsigned long long)maximum);
    return 0;
}

int options_size(const char *name, const char *value, uint64_t *bytes, struct error *error)
{
    static const char units[] = "KMGT";
    const char *end, *unit;
    uint64_t number;
    unsigned int shift = 20;

    if (!read_digits(value, &end, &number))
        return error_set(error, EINVAL, "--%s %s: is no size; give a number with K, M, G or T, "
                         "such as 512M", name, value);
    if (*end != '\0') {
        unit = strchr(units, toupper((unsigned char)*end));
        /* "512M", "512MB" and "512MiB" all mean the same. */
        if (!unit || (end[1] && strcasecmp(end + 1, "b") != 0 && strcasecmp(end + 1, "ib") != 0))
            return error_set(error, EINVAL, "--%s %s: has an unknown unit; give a number with K, "
                             "M, G or T, such as 512M", name, value);
        shift = 10 * (unsigned int)(unit - units + 1);
    }
    if (number > UINT64_MAX >> shift)
        return error_set(error, ERANGE, "--%s %s: is too large; give a smaller size", name, value);
    *bytes = number << shift;
    return 0;
}

int options_choice(const char *name, const char *value, const char *const *choices,
                   unsigned int *index, struct error *error)
{
    char list[128] = "";

    for (unsigned int i = 0; choices[i]; i++) {
        if (strcmp(value, choices[i]) == 0) {
            *index = i;
            return 0;
        }
        strncat(list, i ? ", " : "", sizeof(list) - strlen(list) - 1);
        strncat(list, choices[i], sizeof(list) - strlen(list) - 1);
    }
    return error_set(error, EINVAL, "--%s %s: is unknown; use one of %s", name, value, list);
}

static void *field(void *target, const struct option_row *row)
{
    return (char *)target + row->offset;
}

int option_set_text(void *target, const struct option_row *row, const char *value,
                    struct error *error)
{
    (void)error;
    *(const char **)field(target, row) = value;
    return 0;
}

int option_set_flag(void *target, const struct option_row *row, const char *value,
                    struct error *error)
{
    (void)value;
    (void)error;
    *(bool *)field(target, row) = true;
    return 0;
}

int option_set_size(void *target, const struct option_row *row, const char *value,
                    struct error *error)
{
    return options_size(row->name, value, field(target, row), error);
}

int option_set_choice(void *target, const struct option_row *row, const char *value,
                      struct error *error)
{
    return options_choice(row->name, value, row->choices, field(target, row), error);
}
