/* SPDX-License-Identifier: Apache-2.0 */
/* `mote restore`: the machine from a snapshot's state, and then as `mote boot`. */

#include <stddef.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/cli/commands.h"
#include "vmm/supervisor/restore.h"
#include "vmm/supervisor/snapshot/folder.h"
#include "vmm/snapshot/working_set.h"

struct own_options {
    struct restore_options restore; /* first, for restore_option_rows() */
    struct boot_naming naming;
    bool timeline;
};

#define FIELD(name) .offset = offsetof(struct own_options, name)

static const struct option_row own_rows[] = {
    { "Options", "name", "NAME", "let 'mote pause', 'snapshot' and others find the VM",
      option_set_text, FIELD(naming.name) },
    { NULL, "detach", NULL, "continue in the background once the VM runs; prints its name",
      option_set_flag, FIELD(naming.detach), .letter = 'd' },
    { NULL, "timeline", NULL, "print where the time went, at the end", option_set_flag,
      FIELD(timeline) },
};

static int configure(struct restore_options *options, const struct vm_snapshot_source *source,
                     struct error *error)
{
    struct machine_state machine = MACHINE_STATE_INIT;
    int result = restore_read(source, &machine, error);

    if (result == 0)
        result = restore_check(options, source, &machine, error);
    if (result == 0)
        result = restore_configure(options, &machine, source, NULL, error);
    machine_state_release(&machine);
    return result;
}

static int restore(struct own_options *options, const char *folder, struct timeline *timeline,
                   int *status, struct error *error)
{
    struct boot_config *boot = &options->restore.boot;
    struct vm_snapshot_source source;
    struct log log = LOG_INIT;
    struct error why = ERROR_INIT;
    int result = store_check_name(options->naming.name, error);

    if (result == 0)
        result = snapshot_folder_open(&source, folder, error);
    if (result < 0)
        return result;
    log.level = (enum log_level)options->restore.log_level;
    boot->vm.may_be_saved = options->naming.name || options->naming.detach;
    if (!options->naming.detach)
        working_set_prepare(&source, folder);
    result = configure(&options->restore, &source, &why);
    if (result < 0)
        error_set(error, why.number, "%s: %s", folder, why.message);
    else
        result = boot_named(boot, &options->naming, &log, timeline, status, error);
    if (result == 0)
        working_set_keep(&source, folder);
    vm_config_release(&boot->vm);
    snapshot_source_close(&source);
    return result;
}

int cmd_restore(int argc, char **argv)
{
    static const char *const names[] = { "snapshot's folder" };
    struct own_options options = {
        .restore = RESTORE_OPTIONS_DEFAULT,
        .naming = { .words = argv, .word_count = (size_t)argc },
    };
    struct option_table table = {
        .usage = "mote restore FOLDER [OPTION]...",
        .summary = "Starts the VM that 'mote snapshot' saved, any number of times.",
        .examples = "  mote restore ./web.snapshot\n"
                    "  mote restore ./web.snapshot --name web2 --disk copy.img\n",
    };
    struct timeline timeline = { .count = 0 };
    struct option_row rows[ARRAY_LENGTH(own_rows) + RESTORE_ROWS];
    struct error error = ERROR_INIT;
    int status = STATUS_FAILED, result;
    const char *folder;
    bool helped;

    timeline_mark(&timeline, "main");
    restore_option_rows(&table, rows, own_rows, ARRAY_LENGTH(own_rows));
    result = options_parse_mixed(&table, &options, argc, argv, &folder, names, 1, &helped, &error);
    if (result == 0 && helped)
        return STATUS_OK;
    if (result == 0)
        result = restore(&options, folder, &timeline, &status, &error);
    if (options.timeline && result == 0 && timeline.count > 0)
        timeline_print(&timeline, STDERR_FILENO);
    return result < 0 ? command_failed(&error) : status;
}
