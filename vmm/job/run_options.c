/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/run_options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/supervisor/kept_output.h"
#include "vmm/base/options.h"
#include "vmm/base/signals.h"
#include "vmm/jail/sandbox_options.h"
#include "vmm/job/env_file.h"
#include "vmm/supervisor/store.h"

#define PIDS_MAX 4194304 /* the kernel's own */

static int set_cpus(void *target, const struct option_row *row, const char *value,
                    struct error *error)
{
    uint64_t number;
    int result = options_number(row->name, value, 1, MACHINE_CPUS_MAX, &number, error);

    if (result == 0)
        ((struct run_options *)target)->vm.cpus = (unsigned int)number;
    return result;
}

static int set_pids(void *target, const struct option_row *row, const char *value,
                    struct error *error)
{
    return options_number(row->name, value, 1, PIDS_MAX, &((struct run_options *)target)->pids,
                          error);
}

static int set_timeout(void *target, const struct option_row *row, const char *value,
                       struct error *error)
{
    return run_duration(row->name, value, &((struct run_options *)target)->timeout_ms, error);
}

static int set_positive_size(void *target, const struct option_row *row, const char *value,
                             struct error *error)
{
    uint64_t *bytes = (uint64_t *)(void *)((char *)target + row->offset);
    int result = options_size(row->name, value, bytes, error);

    if (result == 0 && *bytes == 0)
        return error_set(error, EINVAL, "--%s %s: is nothing; give more, or leave it out",
                         row->name, value);
    return result;
}

static int add_variable(void *target, const struct option_row *row, const char *value,
                        struct error *error)
{
    return env_add(&((struct run_options *)target)->environment, row->name, value, error);
}

static int add_variables(void *target, const struct option_row *row, const char *value,
                         struct error *error)
{
    (void)row;
    return env_add_file(&((struct run_options *)target)->environment, value, error);
}

static int add_volume(void *target, const struct option_row *row, const char *value,
                      struct error *error)
{
    struct run_options *options = target;
    int result;

    if (options->volume_count == RUN_VOLUMES_MAX)
        return error_set(error, E2BIG, "--%s: over %u of them; give fewer", row->name,
                         RUN_VOLUMES_MAX);
    result = run_volume_parse(value, &options->volumes[options->volume_count], error);
    if (result == 0)
        options->volume_count++;
    return result;
}

static int set_output(void *target, const struct option_row *row, const char *value,
                      struct error *error)
{
    struct run_options *options = target;

    (void)row;
    free(options->output);
    options->output = NULL;
    return run_output_parse(value, &options->output, &options->output_merge, error);
}

static int set_entrypoint(void *target, const struct option_row *row, const char *value,
                          struct error *error)
{
    struct run_options *options = target;

    (void)row;
    options->entrypoint_given = true;
    text_list_release(&options->entrypoint);
    return run_entrypoint_parse(value, &options->entrypoint, error);
}

static int set_stop_signal(void *target, const struct option_row *row, const char *value,
                           struct error *error)
{
    int number = signal_number(value);

    if (number == 0)
        return error_set(error, EINVAL, "--%s %s: is no signal; give a name such as QUIT or "
                         "RTMIN+3, or a number", row->name, value);
    ((struct run_options *)target)->stop_signal = number;
    return 0;
}

static int set_net(void *target, const struct option_row *row, const char *value,
                   struct error *error)
{
    struct run_options *options = target;

    (void)row;
    return run_net_parse(value, &options->net, &options->network, error);
}

#define PUBLISH_MAX 16
_Static_assert(PUBLISH_MAX <= PASST_FORWARDS_MAX, "the network takes them all");

static int add_publish(void *target, const struct option_row *row, const char *value,
                       struct error *error)
{
    struct passt_options *network = &((struct run_options *)target)->network;
    int result;

    if (network->forward_count == PUBLISH_MAX)
        return error_set(error, E2BIG, "--%s: over %d of them; give fewer", row->name, PUBLISH_MAX);
    result = run_publish_parse(value, &network->forwards[network->forward_count], error);
    if (result == 0)
        network->forward_count++;
    return result;
}

#define FIELD(name) .offset = offsetof(struct run_options, name)

static const struct option_row rows[] = {
    { "Root file system", "rootfs", "PATH", "a directory, or a raw image (ext4, erofs, squashfs)",
      option_set_text, FIELD(rootfs) },
    { NULL, "image", "IMAGE", "a container image: oci:PATH[:TAG] or\ndocker-archive:FILE[:TAG]",
      option_set_text, FIELD(image) },
    { NULL, "volume", "HOST:GUEST:ro", "show a directory or file of the host's, read-only",
      add_volume, .letter = 'v' },
    { NULL, "output", "DIR[,merge]", "bring back what the job wrote in /output; DIR is\n"
      "empty or made, unless ',merge' lets files be replaced", set_output, .letter = 'o' },
    { "Command", "env", "NAME[=VALUE]", "set a variable, or hand on your own", add_variable,
      .letter = 'e' },
    { NULL, "env-file", "FILE", "variables from a file, one to a line", add_variables },
    { NULL, "entrypoint", "COMMAND", "in place of the image's, and of its arguments: a word,\nor a "
      "JSON array of words", set_entrypoint },
    { NULL, "workdir", "DIR", "the directory that it starts in", option_set_text,
      FIELD(work_directory), .letter = 'w' },
    { NULL, "user", "USER[:GROUP]", "who runs it, by the image's /etc/passwd (default: root)",
      option_set_text, FIELD(user), .letter = 'u' },
    { NULL, "stop-signal", "SIGNAL", "what mote stop and --timeout send first (default: the\nimage's, "
      "or TERM)", set_stop_signal },
    { NULL, "hostname", "NAME", "the guest's name (default: mote)", option_set_text,
      FIELD(host_name) },
    { NULL, "interactive", NULL, "standard input is the job's even from a terminal",
      option_set_flag, FIELD(interactive), .letter = 'i' },
    { NULL, "tty", NULL, "give it a terminal", option_set_flag, FIELD(tty), .letter = 't' },
    { "Limits", "cpus", "N", "virtual CPUs, 1 to 64 (default: 1)", set_cpus },
    { NULL, "memory", "SIZE", "guest memory: MiB, or with K, M, G, T (default: 256M)",
      option_set_size, FIELD(vm.memory), .letter = 'm' },
    { NULL, "huge-pages", "HOW", "on, off or host (default: as the host has it)", option_set_choice,
      FIELD(vm.pages), .choices = guest_pages_names },
    { NULL, "pids", "N", "processes and threads at a time", set_pids },
    { NULL, "timeout", "TIME", "wall time: seconds, or with ms, s, m, h, d;\nthen SIGTERM, SIGKILL, "
      "and the VM's end", set_timeout },
    { NULL, "output-limit", "SIZE", "bytes of standard output, and of standard error",
      set_positive_size, FIELD(output_limit) },
    { NULL, "disk-limit", "SIZE", "what it may write, in memory (default: half of that)",
      set_positive_size, FIELD(disk_limit) },
    { NULL, "scratch", "SIZE", "what it may write, on a disk of the host's ($TMPDIR)",
      set_positive_size, FIELD(scratch) },
    { "Network", "net", "KIND", "none (default) or user: the outside; with ,local\n,link-local or "
      ",host-loopback more of it", set_net },
    { NULL, "publish", "[ADDRESS:]HOST:GUEST", "forward a port of the host's, with /tcp or /udp\n"
      "behind it; needs --net user", add_publish, .letter = 'p' },
    { "Kernel", "kernel", "FILE", "the kernel (default: $MOTE_KERNEL, Mote's own, or one\nof "
      "/boot)", option_set_text, FIELD(kernel) },
    { NULL, "no-kernel-cache", NULL, "boot a packed kernel as it is, not what was unpacked of it\nonce and "
      "kept", option_set_flag, FIELD(no_kernel_cache) },
    { NULL, "warm", NULL, "restore a guest that waits for its job; the first run with\nthis kernel, root "
      "and size saves it (see mote template)", option_set_flag, FIELD(warm) },
    { NULL, "describe", "HOW", "how the VM is described to it: auto (default: as it can),\nacpi, fdt or "
      "cmdline", option_set_choice, FIELD(vm.describe), .choices = describe_names },
    { NULL, "kvm", "FILE", "the KVM device (default: /dev/kvm)", option_set_text,
      FIELD(vm.kvm_path) },
    SANDBOX_OPTION_ROWS(struct run_options, sandbox),
    { "Jobs with a name", "name", "NAME", "for mote ps, logs, wait, stop, kill and rm", option_set_text,
      FIELD(name) },
    { NULL, "detach", NULL, "print the name and return once the job has begun", option_set_flag,
      FIELD(detach), .letter = 'd' },
    { NULL, "log-limit", "SIZE", "with --detach: how much of the last standard output, and\nerror, is kept for mote logs "
      "(default: 16M)", set_positive_size, FIELD(log_limit) },
    { NULL, "rm", NULL, "forget it at its end, as is done with every job that is\nnot detached",
      option_set_flag, FIELD(remove) },
    { "Account", "verdict", "FILE", "write how it ended as one JSON record", option_set_text,
      FIELD(verdict) },
    { NULL, "quiet", NULL, "errors alone", option_set_flag, FIELD(quiet), .letter = 'q' },
    { NULL, "verbose", NULL, "the guest kernel's messages, too", option_set_flag, FIELD(verbose) },
    { NULL, "timeline", NULL, "print where the time went, at the end", option_set_flag,
      FIELD(timeline) },
};

/* Of docker, podman and other monitors. */
static const struct foreign_word foreign[] = {
    { "add-host", "put /etc/hosts into the root file system" },
    { "append", "the job's kernel has a command line of Mote's; 'mote boot --cmdline' takes one" },
    { "cap-add", "the job is root of a VM of its own, with all capabilities" },
    { "cap-drop", "the job is in a VM of its own; --user says who runs it there" },
    { "cmdline", "the job's kernel has a command line of Mote's; 'mote boot --cmdline' takes one" },
    { "device", "no device of the host can be handed on" },
    { "disk", "give --volume HOST:GUEST:ro, or 'mote boot --disk'" },
    { "dns", "put /etc/resolv.conf into the root file system, or have the host's by --net user" },
    { "gpus", "no device of the host can be handed on" },
    { "init", "a job has an init anyway" },
    { "label", "jobs have a name alone: --name" },
    { "memory-swap", "a VM has no swap; give --memory" },
    { "mount", "give --volume HOST:GUEST:ro" },
    { "network", "give --net none or --net user" },
    { "pids-limit", "give --pids N" },
    { "platform", "the processor is the host's" },
    { "privileged", "the job is root of a VM of its own, with all capabilities" },
    { "pull", "Mote pulls nothing; give: skopeo copy docker://IMAGE oci:FOLDER:TAG" },
    { "read-only", "what the job writes is gone with its VM anyway" },
    { "restart", "have systemd start the job again; docs/production.md has a unit" },
    { "runtime", "Mote is the runtime" },
    { "security-opt", "the job is in a VM of its own; --sandbox is about the monitor" },
    { "shm-size", "/dev/shm grows up to half of --memory" },
    { "smp", "give --cpus N" },
    { "storage-opt", "give --disk-limit SIZE or --scratch SIZE" },
    { "tmpfs", "all of the root is writable and gone with the VM; --disk-limit bounds it" },
    { "ulimit", "give --pids, --memory, --disk-limit or --output-limit, or ulimit in the job" },
    { "vcpus", "give --cpus N" },
    { NULL, NULL },
};

static const struct option_table table = {
    .usage = "mote run [OPTION]... [--] COMMAND [ARGUMENT]...",
    .summary = "Runs a command in a fresh microVM. Its standard streams and its exit status are the\n"
               "command's own; 124: --timeout ended it, 125: Mote failed, 126: not executable,\n"
               "127: not found, 128+N: ended by signal N. Nothing that it writes is kept but /output.",
    .examples = "  mote run --rootfs busybox.erofs -- sh -c 'echo hello | tr a-z A-Z'\n"
                "  mote run --rootfs ./debian --memory 1G --timeout 5m --volume ./src:/src:ro \\\n"
                "      --output out -- make -C /src O=/output\n"
                "  mote run --image oci:./python:3 --volume ./src:/src:ro -w /src -- python3 main.py\n"
                "  mote run --rootfs root.ext4 -it -- bash\n",
    .rows = rows,
    .count = ARRAY_LENGTH(rows),
    .foreign = foreign,
};

static int check(const struct run_options *options, struct error *error)
{
    if (options->rootfs && options->image)
        return error_set(error, EINVAL, "--rootfs and --image exclude each other; give one");
    if (!options->rootfs && !options->image && options->words[0] && options->words[0][0] != '/')
        return error_set(error, EINVAL, "--rootfs: is missing, and '%s' would be the command; give --rootfs PATH, or "
                         "--image oci:PATH[:TAG] before it", options->words[0]);
    if (!options->rootfs && !options->image)
        return error_set(error, EINVAL, "--rootfs: is missing; give a directory or a disk image, or "
                         "--image for a container image");
    if (options->rootfs && !options->words[0] && options->entrypoint.count == 0)
        return error_set(error, EINVAL, "the command is missing; give it after the options, such "
                         "as -- sh -c 'echo hello'");
    if (options->scratch && options->disk_limit)
        return error_set(error, EINVAL, "--scratch and --disk-limit exclude each other; give one");
    if (options->network.forward_count > 0 && options->net != RUN_NET_USER)
        return error_set(error, EINVAL, "--publish: needs a network; add --net user");
    if (options->host_name && (!options->host_name[0] || strlen(options->host_name) > 64))
        return error_set(error, EINVAL, "--hostname '%s': is empty or longer than 64 bytes; give "
                         "another", options->host_name);
    if (options->work_directory && options->work_directory[0] != '/')
        return error_set(error, EINVAL, "--workdir %s: does not begin with '/'; give the whole "
                         "path", options->work_directory);
    if (store_check_name(options->name, error) < 0)
        return -EINVAL;
    if (options->detach && (options->tty || options->interactive))
        return error_set(error, EINVAL, "--detach: leaves no terminal and no input; leave out "
                         "--tty and --interactive");
    if (options->log_limit && !options->detach)
        return error_set(error, EINVAL, "--log-limit: is for what is kept of a job in the background; add --detach, or use "
                         "--output-limit");
    if (options->log_limit && options->log_limit < KEPT_OUTPUT_MIN)
        return error_set(error, EINVAL, "--log-limit %llu: is too little to keep; give 64K or more",
                         (unsigned long long)options->log_limit);
    if (options->quiet && options->verbose)
        return error_set(error, EINVAL, "--quiet and --verbose exclude each other; give one");
    return 0;
}

int run_options_parse(struct run_options *options, int argc, char **argv, bool *helped,
                      struct error *error)
{
    int words, result;

    *options = (struct run_options){
        .vm = vm_config_default(), .sandbox = SANDBOX_CONFIG_DEFAULT,
    };
    result = options_parse_words(&table, options, argc, argv, &words, helped, error);
    if (result < 0 || *helped)
        return result;
    options->words = argv + words;
    options->sandbox.memory = options->vm.memory;
    options->sandbox.cpus = options->vm.cpus;
    return check(options, error);
}

void run_options_release(struct run_options *options)
{
    vm_config_release(&options->vm);
    text_list_release(&options->environment);
    free(options->output);
    text_list_release(&options->entrypoint);
    for (size_t i = 0; i < options->volume_count; i++) {
        free(options->volumes[i].source);
        free(options->volumes[i].target);
    }
}
