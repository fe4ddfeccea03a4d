/* SPDX-License-Identifier: Apache-2.0 */
/* `mote bench`: goes on as the program mote-bench, which comes with Mote. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/cli/commands.h"
#include "vmm/base/helper_program.h"

int cmd_bench(int argc, char **argv)
{
    struct error error = ERROR_INIT;
    cleanup_free char *program = NULL;

    (void)argc;
    if (helper_program_find("mote-bench", &program, &error) < 0)
        return command_failed(&error);
    execv(program, argv);
    error_set(&error, errno, "%s: %s; install Mote anew", program, strerror(errno));
    return command_failed(&error);
}
