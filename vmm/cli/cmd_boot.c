/* SPDX-License-Identifier: Apache-2.0 */
/* `mote boot`: its options; boot/ does the rest. */

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "devices/registry.h"
#include "vmm/supervisor/boot.h"
#include "vmm/base/cleanup.h"
#include "vmm/cli/commands.h"
#include "vmm/config/config_file.h"
#include "vmm/base/options.h"
#include "vmm/jail/sandbox_options.h"
#include "vmm/machine/arch_facts.h"
#include "vmm/supervisor/store.h"
#include "vmm/base/timeline.h"

struct boot_options {
    struct boot_config boot;
    struct boot_naming naming;
    unsigned int log_level;
    bool timeline;
    const char *config_file;
    struct config_file file; /* what was read from it */
};

static const char *const console_names[] = {
    [CONSOLE_SERIAL] = "serial",
    [CONSOLE_VIRTIO] = "virtio",
    [CONSOLE_NONE] = "none",
    [CONSOLE_KIND_COUNT] = NULL,
};
static const char *const on_reboot_names[] = { "exit", "restart", NULL };

static int set_cpus(void *target, const struct option_row *row, const char *value,
                    struct error *error)
{
    uint64_t number;
    int result = options_number(row->name, value, 1, MACHINE_CPUS_MAX, &number, error);

    if (result == 0)
        ((struct boot_options *)target)->boot.vm.cpus = (unsigned int)number;
    return result;
}

static int add_device(void *target, const struct option_row *row, const char *value,
                      struct error *error)
{
    return vm_config_add_device(&((struct boot_options *)target)->boot.vm, row->context, value, error);
}

static int set_config_file(void *target, const struct option_row *row, const char *value,
                           struct error *error)
{
    struct boot_options *options = target;

    if (options->config_file)
        return error_set(error, EINVAL, "--%s: is given twice; give it once", row->name);
    options->config_file = value;
    return 0;
}

#define FIELD(name) .offset = offsetof(struct boot_options, name)

/* The devices' own rows, from the registry, come between these two. */
static const struct option_row machine_rows[] = {
    { "Configuration", "config-file", "FILE",
      "read the VM's configuration from a JSON file;\noptions replace its values, devices add to "
      "its own", set_config_file },
    { "Kernel", "kernel", "FILE", arch_kernel_help, option_set_text,
      FIELD(boot.vm.kernel) },
    { NULL, "initrd", "FILE", "initial RAM disk", option_set_text, FIELD(boot.vm.initrd) },
    { NULL, "cmdline", "TEXT", "the kernel's command line (default: panic=-1\nand console= for the console that it has)",
      option_set_text, FIELD(boot.vm.command_line) },
    { NULL, "boot-protocol", "P", arch_boot_protocol_help, option_set_text,
      FIELD(boot.vm.boot_protocol) },
    { "Machine", "cpus", "N", "virtual CPUs, 1 to 64 (default: 1)", set_cpus },
    { NULL, "memory", "SIZE", "guest memory: MiB, or with K, M, G, T (default: 256M)",
      option_set_size, FIELD(boot.vm.memory), .letter = 'm' },
    { NULL, "huge-pages", "HOW", "on, off or host (default: as the host has it)", option_set_choice,
      FIELD(boot.vm.pages), .choices = guest_pages_names },
    { NULL, "describe", "HOW", "how the kernel learns of the machine:\n"
      "auto (default: as it can), acpi, fdt or cmdline", option_set_choice, FIELD(boot.vm.describe),
      .choices = describe_names },
    { NULL, "on-reboot", "ACT", "exit (default) or restart the VM", option_set_choice,
      FIELD(boot.on_reboot), .choices = on_reboot_names },
    { NULL, "kvm", "FILE", "the KVM device (default: /dev/kvm)", option_set_text,
      FIELD(boot.vm.kvm_path) },
};
static const struct option_row session_rows[] = {
    { "Control", "name", "NAME", "let 'mote pause', 'snapshot' and others find the VM",
      option_set_text, FIELD(naming.name) },
    { NULL, "detach", NULL, "continue in the background once the VM runs; prints its name",
      option_set_flag, FIELD(naming.detach), .letter = 'd' },
    SANDBOX_OPTION_ROWS(struct boot_options, boot.sandbox),
    { "Console and messages", "console", "KIND", "serial (default), virtio or none", option_set_choice,
      FIELD(boot.vm.console), .choices = console_names },
    { NULL, "timeline", NULL, "print where the time went, at the end", option_set_flag,
      FIELD(timeline) },
    { NULL, "log-level", "LEVEL", "error, warn, info (default) or debug", option_set_choice,
      FIELD(log_level), .choices = log_level_names },
};

#define ROWS_MAX 40

/* All rows of `mote boot` into ROWS; returns their number. */
static size_t collect_rows(struct option_row *rows)
{
    size_t device_count, count = 0;
    const struct virtio_row *devices = virtio_registry(&device_count);

    for (size_t i = 0; i < ARRAY_LENGTH(machine_rows); i++)
        rows[count++] = machine_rows[i];
    for (size_t i = 0; i < device_count && count < ROWS_MAX; i++)
        rows[count++] = (struct option_row){
            .group = i == 0 ? "Devices (each any number of times)" : NULL,
            .name = devices[i].option,
            .argument = devices[i].argument,
            .help = devices[i].help,
            .set = add_device,
            .context = &devices[i],
        };
    for (size_t i = 0; i < ARRAY_LENGTH(session_rows) && count < ROWS_MAX; i++)
        rows[count++] = session_rows[i];
    return count;
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

static int add_file_device(void *context, const char *option, const char *text,
                           struct error *error)
{
    size_t count;
    const struct virtio_row *rows = virtio_registry(&count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].option, option) == 0)
            return vm_config_add_device(context, &rows[i], text, error);
    return error_set(error, ENODEV, "--config-file: this Mote has no --%s; leave it out", option);
}

/* The file comes before all options, wherever they stand. */
static int load_config_file(struct boot_options *options, int argc, char **argv,
                            struct error *error)
{
    static const char name[] = "--config-file";
    const char *path = NULL;
    int result;

    for (int i = 1; i < argc && !path; i++) {
        if (strncmp(argv[i], "--config-file=", sizeof(name)) == 0)
            path = argv[i] + sizeof(name);
        else if (strcmp(argv[i], name) == 0 && i + 1 < argc)
            path = argv[i + 1];
    }
    /* What is wrong with the option itself, options_parse() says. */
    if (!path || strncmp(path, "--", 2) == 0)
        return 0;
    result = config_file_load(&options->file, path, &options->boot.vm, add_file_device, &options->boot.vm,
                              error);
    if (options->file.log_level >= 0)
        options->log_level = (unsigned int)options->file.log_level;
    return result;
}

static int open_log(struct log *log, const struct boot_options *options, struct error *error)
{
    const char *path = options->file.log_path;

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
        result = vm_config_check(&options->boot.vm, error);
    options->boot.vm.console_matters = true;
    options->boot.vm.may_be_saved = options->naming.name || options->naming.detach;
    options->boot.sandbox.memory = options->boot.vm.memory;
    options->boot.sandbox.cpus = options->boot.vm.cpus;
    return result;
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
    struct option_row rows[ROWS_MAX];
    struct error error = ERROR_INIT;
    int status = STATUS_FAILED, result;
    bool helped = false;

    timeline_mark(&timeline, "main");
    table.rows = rows;
    table.count = collect_rows(rows);
    result = load_config_file(&options, argc, argv, &error);
    if (result == 0)
        result = options_parse(&table, &options, argc, argv, &helped, &error);
    if (result == 0 && helped)
        return STATUS_OK;
    if (result == 0)
        result = complete(&options, &error);
    if (result == 0)
        result = open_log(&log, &options, &error);
    if (result == 0)
        result = boot_named(&options.boot, &options.naming, &log, &timeline, &status, &error);
    vm_config_release(&options.boot.vm);
    config_file_release(&options.file);
    if (options.timeline && result == 0 && timeline.count > 0)
        timeline_print(&timeline, STDERR_FILENO);
    if (result < 0)
        return command_failed(&error);
    return status;
}
