/* SPDX-License-Identifier: Apache-2.0 */
/* `mote-image build`: the step of resolve that runs under fakeroot. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/program.h"
#include "vmm/images/command.h"
#include "vmm/images/erofs_image.h"

int image_cmd_build(int argc, char **argv)
{
    struct error error = ERROR_INIT;

    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        printf("Usage: mote-image build COMMAND…\n\n"
               "Gives files their extended attributes and runs COMMAND, mkfs.erofs.\n"
               "'mote-image resolve' runs this under fakeroot.\n");
        return argc < 2 ? STATUS_FAILED : STATUS_OK;
    }
    if (erofs_image_build((const char *const *)(argv + 1), &error) == 0)
        return STATUS_OK;
    return error.number ? command_failed(&error) : STATUS_FAILED;
}
