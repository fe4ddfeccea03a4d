/* SPDX-License-Identifier: Apache-2.0 */
/* `mote template list` and `prune`: what `mote run --warm` saved. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "vmm/base/cleanup.h"
#include "vmm/cli/commands.h"
#include "vmm/base/options.h"
#include "vmm/job/run_options.h"
#include "vmm/job/template.h"

#define OLDER_DEFAULT_MS (7ull * 24 * 3600 * 1000)

struct template_options {
    bool all;
    bool older_given;
    uint64_t older_ms;
};

static int set_older(void *target, const struct option_row *row, const char *value,
                     struct error *error)
{
    struct template_options *options = target;

    options->older_given = true;
    return run_duration(row->name, value, &options->older_ms, error);
}

static const struct option_row prune_rows[] = {
    { "Options", "all", NULL, "all of them", option_set_flag,
      .offset = offsetof(struct template_options, all) },
    { NULL, "older", "TIME", "those not used for so long: seconds, or with ms, s, m, h, d\n"
      "(default: 7d)", set_older },
};

/* ---- list ------------------------------------------------------------------- */

/* "5m": how long ago; one unit is enough. */
static void print_age(time_t when)
{
    static const struct {
        time_t seconds;
        char unit;
    } units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
    time_t age = time(NULL) - when;
    size_t i = 0;

    if (age < 0)
        age = 0;
    while (i + 1 < ARRAY_LENGTH(units) && age < units[i].seconds)
        i++;
    printf(" %5lld%c", (long long)(age / units[i].seconds), units[i].unit);
}

/* What a file says: what is not printable is shown as '?'. */
static void print_words(const char *text)
{
    for (; *text; text++)
        putchar(*text < ' ' || *text > '~' ? '?' : *text);
}

static void print_one(void *context, const struct template_entry *entry)
{
    (void)context;
    printf("%-16s %6lluM %4u %6lluM", entry->name, (unsigned long long)(entry->about.memory >> 20),
           entry->about.cpus, (unsigned long long)((entry->disk + (1 << 20) - 1) >> 20));
    print_age(entry->made);
    print_age(entry->used);
    printf("  ");
    print_words(entry->about.kernel);
    printf("  ");
    print_words(entry->about.root);
    putchar('\n');
}

static int list(int argc, char **argv)
{
    static const struct option_table table = {
        "mote template list", "Lists the templates that 'mote run --warm' saved: of how much memory "
        "and how many CPUs,\nwhat they take on the disk, and how long ago they were made and used.",
        NULL, NULL, 0,
    };
    struct error error = ERROR_INIT;
    bool helped;

    if (options_parse(&table, NULL, argc, argv, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    printf("%-16s %7s %4s %7s %6s %6s  %s\n", "NAME", "MEMORY", "CPUS", "DISK", "MADE", "USED",
           "KERNEL, ROOT");
    return template_list(print_one, NULL, &error) < 0 ? command_failed(&error) : STATUS_OK;
}

/* ---- prune ------------------------------------------------------------------ */

static int prune(int argc, char **argv)
{
    static const struct option_table table = {
        "mote template prune [--all | --older TIME]",
        "Removes templates that were not used for a while. Jobs that started from one are not\n"
        "disturbed; the next one like it boots, and saves it anew.",
        "  mote template prune --older 1d\n", prune_rows, ARRAY_LENGTH(prune_rows),
    };
    struct template_options options = { .older_ms = OLDER_DEFAULT_MS };
    struct error error = ERROR_INIT;
    uint64_t disk = 0;
    time_t before;
    bool helped;
    int count;

    if (options_parse(&table, &options, argc, argv, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    if (options.all && options.older_given) {
        error_set(&error, EINVAL, "--all and --older exclude each other; give one");
        return command_failed(&error);
    }
    before = time(NULL) + 1 - (time_t)(options.all ? 0 : options.older_ms / 1000);
    count = template_prune(before, &disk, &error);
    if (count < 0)
        return command_failed(&error);
    printf("%d removed, %llu MiB\n", count, (unsigned long long)(disk >> 20));
    return STATUS_OK;
}

/* ---- the command ------------------------------------------------------------ */

static const struct command commands[] = {
    { "list", "list the templates", list },
    { "prune", "remove those not used for a while", prune },
};

static const struct program mote_template = {
    .name = "mote template",
    .intro = "Usage: mote template COMMAND [OPTION]...\n\n"
             "Looks after the guests that 'mote run --warm' saved, each waiting for its job.\n",
    .examples = ".\n\nExamples:\n"
                "  mote template list\n"
                "  mote template prune --all\n",
    .width = 6,
    .commands = commands,
    .count = ARRAY_LENGTH(commands),
};

int cmd_template(int argc, char **argv)
{
    return program_main(&mote_template, argc, argv);
}
