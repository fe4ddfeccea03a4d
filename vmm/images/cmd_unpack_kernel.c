/* SPDX-License-Identifier: Apache-2.0 */
/* `mote-image unpack-kernel`: from a packed kernel on standard input to what it unpacks on standard output. */
#include <stddef.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/program.h"
#include "vmm/images/command.h"
#include "vmm/images/jail.h"
#include "vmm/images/kernel_payload.h"

struct options {
    bool quiet;
    struct jail_options jail;
};

static const struct option_row rows[] = {
    { "Options", "quiet", NULL, "the exit status says it all", option_set_flag,
      .offset = offsetof(struct options, quiet) },
    JAIL_OPTION_ROWS(struct options, jail),
};

static const struct option_table table = {
    .usage = "mote-image unpack-kernel [OPTION]...",
    .summary = "Unpacks the kernel on standard input, which must be a file, to\n"
               "standard output. What a kernel unpacks once is not unpacked at every boot.",
    .examples = "  mote-image unpack-kernel <vmlinuz >vmlinux\n",
    .rows = rows,
    .count = ARRAY_LENGTH(rows),
};

static int unpack(void *context, struct sandbox *sandbox)
{
    const struct options *options = context;
    struct error error = ERROR_INIT;

    sandbox_thread(sandbox, SANDBOX_UNPACK);
    if (kernel_payload_unpack(STDIN_FILENO, STDOUT_FILENO, &error) < 0)
        return options->quiet ? STATUS_FAILED : command_failed(&error);
    return STATUS_OK;
}

int image_cmd_unpack_kernel(int argc, char **argv)
{
    struct options options = { .quiet = false };
    struct jail jail = { .options = &options.jail, .file_size = KERNEL_PAYLOAD_MAX };
    struct error error = ERROR_INIT;
    bool helped = false;

    if (options_parse(&table, &options, argc, argv, &helped, &error) < 0)
        return command_failed(&error);
    return helped ? STATUS_OK : jail_run(&jail, unpack, &options);
}
