/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mote-image: from container images, folders and disk images to what a microVM
 * mounts, and back from the guest's archive to a folder.  A program of its own:
 * archives are hostile and are unpacked in a process that does nothing else, and
 * `mote boot` need not load libarchive and what that brings along.
 */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "vmm/cleanup.h"
#include "vmm/command.h"
#include "vmm/images/command.h"
#include "vmm/options.h"

static const struct command commands[] = {
    { "resolve", "make the disk images of a container image or folder, print where they are",
      image_cmd_resolve },
    { "build", "make an erofs image; a step of resolve", image_cmd_build },
    { "unpack-output", "unpack a guest's archive into a folder", image_cmd_unpack_output },
};

static const char *command_name(const void *context, size_t index)
{
    return ((const struct command *)context)[index].name;
}

static int print_help(void)
{
    printf("Usage: mote-image COMMAND [OPTION]... ARGUMENT\n\n"
           "Prepares images for 'mote run', which starts this program itself.\n\nCommands:\n");
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        printf("  %-14s %s\n", commands[i].name, commands[i].help);
    printf("\n'mote-image COMMAND --help' tells more.\n\nExamples:\n"
           "  mote-image resolve dir:rootfs\n"
           "  mote-image resolve oci:images/python:3.12\n");
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
        error_set(&error, EINVAL, "%s: is no command; 'mote-image --help' lists them", name);
    return command_failed(&error);
}

int main(int argc, char **argv)
{
    /* Names in archives are bytes, or UTF-8 by pax' rules: neither is to be converted. */
    setlocale(LC_CTYPE, "C.UTF-8");
    if (argc < 2) {
        struct error error = ERROR_INIT;

        error_set(&error, EINVAL, "the command is missing; 'mote-image --help' lists them");
        return command_failed(&error);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return print_help();
    if (strcmp(argv[1], "--version") == 0) {
        printf("mote-image %s\n", MOTE_VERSION);
        return STATUS_OK;
    }
    return unknown_command(argv[1]);
}
