/* SPDX-License-Identifier: Apache-2.0 */
/* `mote boot`: its options; boot/ does the rest. */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "vmm/supervisor/boot.h"
#include "vmm/base/cleanup.h"
#include "vmm/cli/commands.h"
#include "vmm/config/config_file.h"
#include "vmm/config/config_json.h"
#include "vmm/config/vm_options.h"
#include "vmm/base/options.h"
#include "vmm/jail/sandbox_options.h"
#include "vmm/supervisor/store.h"
#include "vmm/base/timeline.h"

struct boot_options {
    struct boot_config boot; /* first, and first in that is the VM's configuration: vm_options.h */
    struct boot_naming naming;
    unsigned int log_level;
    bool timeline, print_config;
    const char *config_file;
    const char *log_path; /* as the file has it; NULL: standard error */
};
static_assert(offsetof(struct boot_options, boot.vm) == 0, "vm_option_rows() sets it");

/* It comes before all options, wherever it stands. */
static int load_config_file(void *target, const struct option_row *row, const char *value,
                            struct error *error)
{
    struct boot_options *options = target;
    struct config_file_log log;
    int result;

    if (options->config_file)
        return error_set(error, EINVAL, "--%s: is given twice; give it once", row->name);
    options->config_file = value;
    result = config_file_load(value, &options->boot.vm, &log, error);
    if (log.level >= 0)
        options->log_level = (unsigned int)log.level;
    options->log_path = log.path;
    return result;
}

#define FIELD(name) .offset = offsetof(struct boot_options, name)

static const struct option_row file_rows[] = {
    { "Configuration", "config-file", "FILE",
      "read the VM's configuration from a JSON file;\noptions replace its values, devices add to "
      "its own", load_config_file, .early = true },
    { NULL, "print-config", NULL, "print the VM's configuration as JSON, for --config-file,\nand start none",
      option_set_flag, FIELD(print_config) },
};
static const struct option_row session_rows[] = {
    { "Control", "name", "NAME", "let 'mote pause', 'snapshot' and others find the VM",
      option_set_text, FIELD(naming.name) },
    { NULL, "detach", NULL, "continue in the background once the VM runs; prints its name",
      option_set_flag, FIELD(naming.detach), .letter = 'd' },
    SANDBOX_OPTION_ROWS(struct boot_options, boot.sandbox),
    { "Messages", "timeline", NULL, "print where the time went, at the end", option_set_flag,
      FIELD(timeline) },
    { NULL, "log-level", "LEVEL", "error, warn, info (default) or debug", option_set_choice,
      FIELD(log_level), .choices = log_level_names },
};

#define ROWS (ARRAY_LENGTH(file_rows) + VM_OPTION_ROWS + ARRAY_LENGTH(session_rows))

static void collect_rows(struct option_row rows[ROWS])
{
    for (size_t i = 0; i < ARRAY_LENGTH(file_rows); i++)
        *rows++ = file_rows[i];
    vm_option_rows(rows);
    rows += VM_OPTION_ROWS;
    for (size_t i = 0; i < ARRAY_LENGTH(session_rows); i++)
        *rows++ = session_rows[i];
}

static const struct foreign_word foreign[] = {
    { "append", "give the kernel's command line by --cmdline" },
    { "boot-args", "give the kernel's command line by --cmdline" },
    { "drive", "give --disk FILE" },
    { "initramfs", "give --initrd FILE" },
    { "netdev", "give --net KIND" },
    { "network", "give --net KIND" },
    { "params", "give the kernel's command line by --cmdline" },
    { "smp", "give --cpus N" },
    { "tty", "the console is on this terminal anyway" },
    { "vcpus", "give --cpus N" },
    { NULL, NULL },
};

static const struct option_table boot_table = {
    .usage = "mote boot --kernel FILE [OPTION]...",
    .summary = "Boots a kernel in a KVM microVM, with its console on this terminal.\n"
               "On the terminal, Ctrl-A x ends the VM and Ctrl-A h helps.",
    .examples = "  mote boot --kernel vmlinuz --initrd initrd.img\n"
                "  mote boot --kernel vmlinux --cpus 4 --memory 2G --timeline\n"
                "  mote boot --kernel vmlinuz --initrd initrd.img --disk root.ext4 --console virtio \\\n"
                "      --cmdline 'console=hvc0 panic=-1 root=/dev/vda' | tee log\n",
    .foreign = foreign,
};

static int open_log(struct log *log, const struct boot_options *options, struct error *error)
{
    const char *path = options->log_path;

    log->level = (enum log_level)options->log_level;
    if (!path)
        return 0;
    log->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
    if (log->fd < 0)
        return error_system(error, errno, "logger.log_path %s", path);
    return 0;
}

/* What follows from several options. */
static int complete(struct boot_options *options, struct error *error)
{
    int result = store_check_name(options->naming.name, error);

    if (result == 0)
        result = vm_config_complete(&options->boot.vm, error);
    if (result == 0)
        result = vm_config_validate(&options->boot.vm, error);
    options->boot.vm.console_matters = true;
    options->boot.vm.may_be_saved = options->naming.name || options->naming.detach;
    options->boot.sandbox.memory = options->boot.vm.memory;
    options->boot.sandbox.cpus = options->boot.vm.cpus;
    return result;
}

static int boot(struct boot_options *options, struct log *log, struct timeline *timeline, int *status,
                struct error *error)
{
    int result = complete(options, error);

    if (result == 0 && options->print_config) {
        *status = STATUS_OK;
        return config_json_write(stdout, &options->boot.vm, error);
    }
    if (result == 0)
        result = open_log(log, options, error);
    return result == 0 ? boot_named(&options->boot, &options->naming, log, timeline, status, error) : result;
}

int cmd_boot(int argc, char **argv)
{
    struct boot_options options = {
        .boot = {
            .vm = vm_config_default(),
            .sandbox = SANDBOX_CONFIG_DEFAULT,
            .started_fd = -1,
        },
        .naming = { .words = argv, .word_count = (size_t)argc },
        .log_level = LOG_INFO,
    };
    struct log log = LOG_INIT;
    struct timeline timeline = { .count = 0 };
    struct option_table table = boot_table;
    struct option_row rows[ROWS];
    struct error error = ERROR_INIT;
    int status = STATUS_OK, result;
    bool helped = false;

    timeline_mark(&timeline, "main");
    collect_rows(rows);
    table.rows = rows;
    table.count = ROWS;
    result = options_parse(&table, &options, argc, argv, &helped, &error);
    if (result == 0 && !helped)
        result = boot(&options, &log, &timeline, &status, &error);
    vm_config_release(&options.boot.vm);
    if (options.timeline && result == 0 && timeline.count > 0)
        timeline_print(&timeline, STDERR_FILENO);
    return result < 0 ? command_failed(&error) : status;
}
