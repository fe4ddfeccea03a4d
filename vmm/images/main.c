/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mote-image: from container images, folders and disk images to what a microVM
 * mounts, and back from the guest's archive to a folder.  A program of its own:
 * archives are hostile and are unpacked in a process that does nothing else, and
 * `mote boot` need not load libarchive and what that brings along.
 */
#include <locale.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/program.h"
#include "vmm/images/command.h"

static const struct command commands[] = {
    { "resolve", "make the disk images of a container image or folder, print where they are",
      image_cmd_resolve },
    { "build", "make an erofs image; a step of resolve", image_cmd_build },
    { "unpack-output", "unpack a guest's archive into a folder", image_cmd_unpack_output },
    { "unpack-kernel", "unpack a kernel that unpacks itself at each boot", image_cmd_unpack_kernel },
};

static const struct program mote_image = {
    .name = "mote-image",
    .intro = "Usage: mote-image COMMAND [OPTION]... ARGUMENT\n\n"
             "Prepares images for 'mote run', which starts this program itself.\n",
    .examples = ".\n\nExamples:\n"
                "  mote-image resolve dir:rootfs\n"
                "  mote-image resolve oci:images/python:3.12\n",
    .width = 14,
    .commands = commands,
    .count = ARRAY_LENGTH(commands),
};

int main(int argc, char **argv)
{
    /* Names in archives are bytes, or UTF-8 by pax' rules: neither is to be converted. */
    setlocale(LC_CTYPE, "C.UTF-8");
    return program_main(&mote_image, argc, argv);
}
