/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/log.h"
#include "vmm/base/options.h"

int command_failed(const struct error *error)
{
    struct log log = LOG_INIT;

    log_error(&log, "%s", error->message);
    return STATUS_FAILED;
}

static const char *command_name(const void *context, size_t index)
{
    return ((const struct command *)context)[index].name;
}

static int print_help(const struct program *program)
{
    printf("%s\nCommands:\n", program->intro);
    for (size_t i = 0; i < program->count; i++)
        printf("  %-*s %s\n", program->width, program->commands[i].name,
               program->commands[i].help);
    printf("\n'%s COMMAND --help' tells more%s", program->name, program->examples);
    return STATUS_OK;
}

static int unknown_command(const struct program *program, const char *name)
{
    struct error error = ERROR_INIT;
    const char *nearest = options_nearest(name, command_name, program->commands, program->count);
    const char *instead = foreign_word_instead(program->foreign, name);

    if (instead)
        error_set(&error, EINVAL, "%s: is no command here; %s", name, instead);
    else if (nearest)
        error_set(&error, EINVAL, "%s: is no command; did you mean '%s'?", name, nearest);
    else
        error_set(&error, EINVAL, "%s: is no command; '%s --help' lists them", name,
                  program->name);
    return command_failed(&error);
}

static const struct command *find_command(const struct program *program, const char *name)
{
    for (size_t i = 0; i < program->count; i++)
        if (strcmp(name, program->commands[i].name) == 0)
            return &program->commands[i];
    return NULL;
}

/* "help COMMAND" is "COMMAND --help". */
static int help(const struct program *program, int argc, char **argv)
{
    const struct command *command;
    char word[] = "--help";
    char *words[] = { argv[0], word, NULL };

    if (argc < 2)
        return print_help(program);
    command = find_command(program, argv[1]);
    if (!command)
        return unknown_command(program, argv[1]);
    words[0] = argv[1];
    return command->run(2, words);
}

int program_main(const struct program *program, int argc, char **argv)
{
    const struct command *command;

    if (argc < 2) {
        struct error error = ERROR_INIT;

        error_set(&error, EINVAL, "the command is missing; '%s --help' lists them", program->name);
        return command_failed(&error);
    }
    command = find_command(program, argv[1]);
    if (command)
        return command->run(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
        return help(program, argc - 1, argv + 1);
    if (strcmp(argv[1], "--version") == 0) {
        printf("%s %s\n", program->name, MOTE_VERSION);
        return STATUS_OK;
    }
    return unknown_command(program, argv[1]);
}
