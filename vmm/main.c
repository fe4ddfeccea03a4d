/* SPDX-License-Identifier: Apache-2.0 */
/* Picks the subcommand; nothing else. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cleanup.h"
#include "vmm/command.h"
#include "vmm/options.h"

static const struct command commands[] = {
    { "boot", "boot a kernel in a microVM", cmd_boot },
    { "run", "run a command in a microVM of its own", cmd_run },
    { "ps", "list the jobs that have a name", cmd_ps },
    { "logs", "print what a detached job has written", cmd_logs },
    { "wait", "wait for a job's end", cmd_wait },
    { "stop", "end a job, by SIGTERM first", cmd_stop },
    { "kill", "send a job a signal", cmd_kill },
    { "rm", "forget a job that has ended", cmd_rm },
    { "doctor", "tell what this host offers and what Mote will use", cmd_doctor },
};

static const char *command_name(const void *context, size_t index)
{
    return ((const struct command *)context)[index].name;
}

static int print_help(void)
{
    printf("Usage: mote COMMAND [OPTION]...\n\n"
           "Mote runs a Linux kernel in a KVM microVM.\n\nCommands:\n");
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].help);
    printf("\n'mote COMMAND --help' tells more; 'man mote' tells all.\n\nExamples:\n"
           "  mote doctor\n"
           "  mote boot --kernel bzImage --initrd initrd.img\n"
           "  mote run --rootfs ./debian -- sh -c 'echo hello'\n");
    return STATUS_OK;
}

static int unknown_command(const char *name)
{
    struct error error = ERROR_INIT;
    const char *nearest =
        options_nearest(name, command_name, commands, ARRAY_LENGTH(commands));

    if (nearest)
        error_set(&error, EINVAL, "%s: is no command; did you mean '%s'?", name, nearest);
    else
        error_set(&error, EINVAL, "%s: is no command; 'mote --help' lists them", name);
    return command_failed(&error);
}

/*
 * A standard descriptor that the user closed would be given to the next file
 * opened: messages would then go into KVM's.  Input that is not there is at its
 * end; output that is not there stays an error when somebody writes to it.
 */
static void fill_standard_descriptors(void)
{
    static const int access[] = { O_RDONLY, O_RDONLY, O_WRONLY };

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", access[fd]) != fd)
            _exit(STATUS_FAILED);
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    if (argc < 2) {
        struct error error = ERROR_INIT;

        error_set(&error, EINVAL, "the command is missing; 'mote --help' lists them");
        return command_failed(&error);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0)
        return print_help();
    if (strcmp(argv[1], "--version") == 0) {
        printf("mote %s\n", MOTE_VERSION);
        return STATUS_OK;
    }
    return unknown_command(argv[1]);
}
