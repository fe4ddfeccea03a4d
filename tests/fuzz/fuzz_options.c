/* SPDX-License-Identifier: Apache-2.0 */
/* A command line of options: words that end at NUL bytes. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/base/options.h"

#define WORDS_MAX 16
#define TEXT_MAX 1024

struct target {
    uint64_t cpus, memory;
    unsigned int describe;
    const char *kernel;
};

static int set_kernel(void *target, const struct option_row *row, const char *value,
                      struct error *error)
{
    (void)row;
    (void)error;
    ((struct target *)target)->kernel = value;
    return 0;
}

static int set_cpus(void *target, const struct option_row *row, const char *value,
                    struct error *error)
{
    int result = options_number(row->name, value, 1, 64, &((struct target *)target)->cpus, error);
    uint64_t cpus = ((struct target *)target)->cpus;

    fuzz_require(result < 0 || (cpus >= 1 && cpus <= 64));
    return result;
}

static int set_memory(void *target, const struct option_row *row, const char *value,
                      struct error *error)
{
    return options_size(row->name, value, &((struct target *)target)->memory, error);
}

static int set_describe(void *target, const struct option_row *row, const char *value,
                        struct error *error)
{
    static const char *const names[] = { "acpi", "fdt", "cmdline", NULL };
    unsigned int *choice = &((struct target *)target)->describe;
    int result = options_choice(row->name, value, names, choice, error);

    fuzz_require(result < 0 || *choice < 3);
    return result;
}

static int set_timeline(void *target, const struct option_row *row, const char *value,
                        struct error *error)
{
    (void)target;
    (void)row;
    (void)error;
    fuzz_require(!value);
    return 0;
}

static const struct option_row rows[] = {
    { "Kernel", "kernel", "FILE", "a file", set_kernel },
    { NULL, "cpus", "N", "processors", set_cpus, .letter = 'c' },
    { NULL, "memory", "SIZE", "memory", set_memory },
    { NULL, "describe", "HOW", "a choice", set_describe },
    { NULL, "timeline", NULL, "a flag", set_timeline, .letter = 't' },
};
static const struct option_table table = {
    .usage = "mote fuzz [OPTION]...", .summary = "Tests.", .rows = rows, .count = 5,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX + 1], command[] = "fuzz", *argv[WORDS_MAX + 2] = { command };
    struct target target = { .cpus = 1 };
    struct error error = ERROR_INIT;
    bool helped;
    int argc = 1, words;

    if (size > TEXT_MAX)
        size = TEXT_MAX;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    for (size_t at = 0; at < size && argc <= WORDS_MAX; at += strlen(text + at) + 1) {
        /* The help is a constant text; printing it would only cost time. */
        if (strcmp(text + at, "--help") == 0 || strcmp(text + at, "-h") == 0)
            return 0;
        argv[argc++] = text + at;
    }
    argv[argc] = NULL;
    if (options_parse_words(&table, &target, argc, argv, &words, &helped, &error) < 0)
        fuzz_require(error.number > 0 && error.message[0] && !strchr(error.message, '\n'));
    else
        fuzz_require(words >= 1 && words <= argc);
    if (options_parse(&table, &target, argc, argv, &helped, &error) < 0)
        fuzz_require(error.number > 0 && error.message[0] && !strchr(error.message, '\n'));
    else
        fuzz_require(!helped);
    return 0;
}
