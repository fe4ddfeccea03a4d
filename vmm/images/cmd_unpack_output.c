/* SPDX-License-Identifier: Apache-2.0 */
/* `mote-image unpack-output`: a guest's archive on standard input, into a folder. */
#include <stddef.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/program.h"
#include "vmm/images/command.h"
#include "vmm/images/jail.h"
#include "vmm/images/output.h"
#include "vmm/base/log.h"

/* What is kept of folders (output_folders.h), and what libarchive has of one entry. */
#define MEMORY (256ull << 20)

struct options {
    uint64_t limit;
    bool merge;
    const char *path;
    struct jail_options jail;
};

static const struct option_row rows[] = {
    { "Options", "limit", "SIZE", "stop at this sum of sizes, each entry being 4 KiB more "
      "(default: 16G)", option_set_size, .offset = offsetof(struct options, limit) },
    { NULL, "merge", NULL, "DIR may hold files: those of the same name are replaced", option_set_flag,
      .offset = offsetof(struct options, merge) },
    JAIL_OPTION_ROWS(struct options, jail),
};

static const struct option_table table = {
    .usage = "mote-image unpack-output [OPTION]... DIR",
    .summary = "Unpacks the tar archive on standard input into DIR, which exists and is empty. The archive is a\n"
               "guest's: what leads out of DIR and what is no file, folder or link is left out;\n"
               "files are the caller's and lose setuid.\n\n"
               "Ends with 0 when all is there, 1 when something was left out, 2 when the archive\n"
               "broke off or is damaged, 3 at the limit; what came until then is kept. 125 is a\n"
               "failure of this host, as a full disk.",
    .examples = "  mote-image unpack-output --limit 100M results <output.tar\n",
    .rows = rows,
    .count = ARRAY_LENGTH(rows),
};

static int unpack(void *context, struct sandbox *sandbox)
{
    const struct options *options = context;
    struct error error = ERROR_INIT;
    struct output_report report;
    struct log log = LOG_INIT;

    if (!options->merge && output_check_empty(options->path, &error) < 0)
        return command_failed(&error);
    sandbox_thread(sandbox, SANDBOX_UNPACK);
    if (output_unpack(STDIN_FILENO, options->path, options->limit, &report, &error) < 0)
        return command_failed(&error);
    if (report.end == OUTPUT_LEFT_OUT && report.left_out > 1)
        log_warn(&log, "%s; left out, like %llu more", report.reason.message,
                 (unsigned long long)report.left_out - 1);
    else if (report.end == OUTPUT_LEFT_OUT)
        log_warn(&log, "%s; left out", report.reason.message);
    else if (report.end != OUTPUT_WHOLE)
        log_warn(&log, "%s", report.reason.message);
    return (int)report.end;
}

int image_cmd_unpack_output(int argc, char **argv)
{
    struct options options = { .limit = 16ull << 30 };
    struct error error = ERROR_INIT;
    struct jail jail = { .options = &options.jail };
    bool helped;

    if (parse_with_word(&table, &options, argc, argv, "DIR", &options.path, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    jail.writes = options.path;
    jail.file_size = options.limit;
    jail.memory = MEMORY;
    return jail_run(&jail, unpack, &options);
}
