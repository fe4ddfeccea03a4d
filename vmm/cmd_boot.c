/* SPDX-License-Identifier: Apache-2.0 */
/* `mote boot`: options, the terminal, signals, and a VM between them. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include "devices/backend/console.h"
#include "devices/registry.h"
#include "vmm/cleanup.h"
#include "vmm/command.h"
#include "vmm/config.h"
#include "vmm/config_file.h"
#include "vmm/event_loop.h"
#include "vmm/options.h"
#include "vmm/terminal.h"
#include "vmm/timeline.h"
#include "vmm/vm.h"

/* How long output may take to leave at the end: a reader that stopped reading
 * must not keep the monitor. */
#define DRAIN_TIMEOUT_MS 2000

struct boot_options {
    struct vm_config vm;
    unsigned int log_level;
    bool timeline;
    unsigned int on_reboot; /* an index: exit, restart */
    const char *config_file;
    struct config_file file; /* what was read from it */
};

static const char *const console_names[] = {
    [CONSOLE_SERIAL] = "serial",
    [CONSOLE_VIRTIO] = "virtio",
    [CONSOLE_NONE] = "none",
    [CONSOLE_KIND_COUNT] = NULL,
};
static const char *const describe_names[] = {
    [DESCRIBE_ACPI] = "acpi",
    [DESCRIBE_FDT] = "fdt",
    [DESCRIBE_CMDLINE] = "cmdline",
    [DESCRIBE_COUNT] = NULL,
};
static const char *const log_level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug", [LOG_LEVEL_COUNT] = NULL,
};
static const char *const on_reboot_names[] = { "exit", "restart", NULL };

static int set_cpus(void *target, const struct option_row *row, const char *value,
                    struct error *error)
{
    uint64_t number;
    int result = options_number(row->name, value, 1, MACHINE_CPUS_MAX, &number, error);

    if (result == 0)
        ((struct boot_options *)target)->vm.cpus = (unsigned int)number;
    return result;
}

static int add_device(void *target, const struct option_row *row, const char *value,
                      struct error *error)
{
    return vm_config_add_device(&((struct boot_options *)target)->vm, row->context, value, error);
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
    { "Kernel", "kernel", "FILE", "bzImage or ELF vmlinux to boot (required)", option_set_text,
      FIELD(vm.kernel) },
    { NULL, "initrd", "FILE", "initial RAM disk", option_set_text, FIELD(vm.initrd) },
    { NULL, "cmdline", "TEXT", "the kernel's command line\n(default: console=ttyS0 panic=-1,\nor hvc0 with --console virtio)",
      option_set_text, FIELD(vm.command_line) },
    { NULL, "boot-protocol", "P", "linux64, elf64 or pvh (default: detected)", option_set_text,
      FIELD(vm.boot_protocol) },
    { "Machine", "cpus", "N", "virtual CPUs, 1 to 64 (default: 1)", set_cpus },
    { NULL, "memory", "SIZE", "guest memory: MiB, or with K, M, G, T (default: 256M)",
      option_set_size, FIELD(vm.memory) },
    { NULL, "describe", "HOW", "how the kernel learns of the machine:\n"
      "acpi (default), fdt or cmdline", option_set_choice, FIELD(vm.describe),
      .choices = describe_names },
    { NULL, "on-reboot", "ACT", "exit (default) or restart the VM", option_set_choice,
      FIELD(on_reboot), .choices = on_reboot_names },
    { NULL, "kvm", "FILE", "the KVM device (default: /dev/kvm)", option_set_text,
      FIELD(vm.kvm_path) },
};
static const struct option_row session_rows[] = {
    { "Console and messages", "console", "KIND", "serial (default), virtio or none", option_set_choice,
      FIELD(vm.console), .choices = console_names },
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

static const struct option_table boot_table = {
    .usage = "mote boot --kernel FILE [OPTION]...",
    .summary = "Boots a kernel in a KVM microVM, with its console on this terminal.\n"
               "On the terminal, Ctrl-A x ends the VM and Ctrl-A h helps.",
    .examples = "  mote boot --kernel bzImage --initrd initrd.img\n"
                "  mote boot --kernel vmlinux --cpus 4 --memory 2G --timeline\n"
                "  mote boot --kernel bzImage --cmdline 'console=ttyS0 root=/dev/vda' | tee log\n",
};

/* The host side of one `mote boot`: it lives across restarts of the VM. */
struct session {
    const struct boot_options *options;
    struct log log;
    struct timeline timeline;
    struct event_loop *loop;
    struct console *console;
    struct terminal *terminal;
    int signal_fd;
    int signal; /* that ended the VM, 0 for none */
    struct vm *vm;
};

/* Whether a device wants to hear of changes on the host: SIGHUP is for it then. */
static bool can_refresh(const struct vm_config *config)
{
    for (size_t i = 0; i < config->device_count; i++)
        if (config->devices[i].row->class->refresh_by_hangup)
            return true;
    return false;
}

static void signal_arrived(void *context, uint32_t events)
{
    struct session *session = context;
    struct signalfd_siginfo info;

    (void)events;
    if (read(session->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    if (info.ssi_signo == SIGWINCH ||
        (info.ssi_signo == SIGHUP && can_refresh(&session->options->vm))) {
        vm_refresh(session->vm);
        return;
    }
    session->signal = (int)info.ssi_signo;
    vm_stop(session->vm, "signal");
}

static void escape_pressed(void *context)
{
    struct session *session = context;

    vm_stop(session->vm, "Ctrl-A x");
}

/* Signals become events of the loop: no code runs inside a handler. */
static int watch_signals(struct session *session, struct error *error)
{
    struct event_source source = {
        .events = EPOLLIN, .handler = signal_arrived, .context = session,
    };
    struct sigaction hangup;
    sigset_t set;
    int result;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGWINCH); /* the terminal's new size is the guest's business */
    /* Whoever runs us under nohup wants to be left alone by this one, unless it
     * is how devices are told of changes. */
    if (can_refresh(&session->options->vm) ||
        (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN))
        sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    session->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (session->signal_fd < 0)
        return error_system(error, errno, "signals");
    source.fd = session->signal_fd;
    result = event_loop_add(session->loop, &source);
    if (result < 0)
        return error_system(error, -result, "signals");
    return 0;
}

static int open_console(struct session *session, struct error *error)
{
    struct console_options options = {
        .input_fd = STDIN_FILENO, .output_fd = STDOUT_FILENO, .log = &session->log,
    };
    int result;

    if (session->options->vm.console == CONSOLE_NONE)
        return 0;
    result = terminal_create(&session->terminal, STDIN_FILENO, &session->log, escape_pressed,
                             session, error);
    if (result < 0)
        return result;
    if (terminal_is_ours(session->terminal)) {
        options.filter = terminal_filter;
        options.filter_context = session->terminal;
    }
    return console_create(&session->console, &options, error);
}

/*
 * The soft limit is often 1024, for programs that use select(2): a thousand
 * connections of a guest need more.  Where this fails, they have to do with it.
 */
static void allow_many_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_session(struct session *session, struct error *error)
{
    int result;

    allow_many_files();
    result = event_loop_create(&session->loop, error);
    if (result == 0)
        result = watch_signals(session, error);
    if (result == 0)
        result = open_console(session, error);
    return result;
}

static void close_session(struct session *session)
{
    terminal_destroy(session->terminal);
    console_destroy(session->console);
    event_loop_destroy(session->loop);
    if (session->signal_fd >= 0)
        close(session->signal_fd);
}

/* One VM from its creation to its end. */
static int run_once(struct session *session, struct vm_end *end, struct error *error)
{
    struct vm_host host = {
        .loop = session->loop,
        .console = session->console,
        .log = &session->log,
        .timeline = &session->timeline,
    };
    int result = vm_create(&session->vm, &session->options->vm, &host, error);

    if (result < 0)
        return result;
    if (session->terminal)
        terminal_raw(session->terminal);
    result = vm_run(session->vm, end, error);
    vm_destroy(session->vm);
    session->vm = NULL;
    timeline_mark(&session->timeline, "VM destroyed");
    return result;
}

static int status_of(const struct session *session, const struct vm_end *end)
{
    switch (end->kind) {
    case VM_POWERED_OFF:
    case VM_RESET:
        return STATUS_OK;
    case VM_STOPPED:
        return session->signal ? STATUS_SIGNAL + session->signal : STATUS_OK;
    case VM_PANICKED:
        return STATUS_PANIC;
    case VM_RUNNING:
    case VM_FAILED:
        break;
    }
    return STATUS_FAILED;
}

static void log_end(struct session *session, const struct vm_end *end)
{
    switch (end->kind) {
    case VM_POWERED_OFF:
        log_info(&session->log, "the guest powered off (%s)", end->how);
        break;
    case VM_RESET:
        log_info(&session->log, "the guest reset (%s)", end->how);
        break;
    case VM_STOPPED:
        if (session->signal)
            log_info(&session->log, "the VM was stopped (SIG%s)", sigabbrev_np(session->signal));
        else
            log_info(&session->log, "the VM was stopped (%s)", end->how);
        break;
    case VM_PANICKED:
        log_error(&session->log, "the guest's kernel panicked (%s)", end->how);
        break;
    case VM_RUNNING:
    case VM_FAILED:
        log_error(&session->log, "the VM failed (%s)", end->how ? end->how : "no reason given");
        break;
    }
}

/* Runs VMs until one ends for good; a lost tail of output is an error too. */
static int run_session(struct session *session, int *status, struct error *error)
{
    struct vm_end end = { .kind = VM_RUNNING };
    int result;

    for (;;) {
        result = run_once(session, &end, error);
        if (result < 0 || end.kind != VM_RESET || session->options->on_reboot == 0)
            break;
        log_info(&session->log, "the guest reset (%s): restarting it", end.how);
    }
    if (session->console && result == 0)
        result = console_drain(session->console, DRAIN_TIMEOUT_MS, error);
    if (session->terminal)
        terminal_restore(session->terminal);
    if (end.kind != VM_RUNNING) {
        log_end(session, &end);
        *status = status_of(session, &end);
    }
    return result;
}

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
    result = config_file_load(&options->file, path, &options->vm, add_file_device, &options->vm,
                              error);
    if (options->file.log_level >= 0)
        options->log_level = (unsigned int)options->file.log_level;
    return result;
}

static int open_log(struct session *session, struct error *error)
{
    const char *path = session->options->file.log_path;

    session->log.level = (enum log_level)session->options->log_level;
    if (!path)
        return 0;
    session->log.fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
    if (session->log.fd < 0)
        return error_system(error, errno, "logger.log_path %s", path);
    return 0;
}

int cmd_boot(int argc, char **argv)
{
    struct boot_options options = { .vm = vm_config_default(), .log_level = LOG_INFO };
    struct session session = { .options = &options, .log = LOG_INIT, .signal_fd = -1 };
    struct option_table table = boot_table;
    struct option_row rows[ROWS_MAX];
    struct error error = ERROR_INIT;
    int status = STATUS_FAILED, result;
    bool helped = false;

    timeline_mark(&session.timeline, "main");
    table.rows = rows;
    table.count = collect_rows(rows);
    result = load_config_file(&options, argc, argv, &error);
    if (result == 0)
        result = options_parse(&table, &options, argc, argv, &helped, &error);
    if (result == 0 && helped)
        return STATUS_OK;
    if (result == 0)
        result = vm_config_complete(&options.vm, &error);
    if (result == 0)
        result = vm_config_check(&options.vm, &error);
    if (result == 0)
        result = open_log(&session, &error);
    if (result == 0)
        result = open_session(&session, &error);
    if (result == 0)
        result = run_session(&session, &status, &error);
    close_session(&session);
    vm_config_release(&options.vm);
    config_file_release(&options.file);
    if (options.timeline && result == 0)
        timeline_print(&session.timeline, STDERR_FILENO);
    if (result < 0)
        return command_failed(&error);
    return status;
}
