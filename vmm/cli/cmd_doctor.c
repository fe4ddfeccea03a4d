/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `mote doctor`: what the host offers, what is missing with the command that
 * mends it, and what Mote will use.  It changes nothing.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/io_uring.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vmm/config/config.h"
#include "vmm/monitor/arch/arch.h"
#include "vmm/base/cleanup.h"
#include "vmm/cli/commands.h"
#include "vmm/machine/huge_pages.h"
#include "vmm/monitor/kvm.h"
#include "vmm/base/options.h"
#include "vmm/base/page_size.h"
#include "vmm/jail/sandbox.h"
#include "vmm/base/small_file.h"

/* Above this, supervisor code is not run by the processor. */
#define NATIVE_NS_MAX 100.0
/* Emulated processors that have the flags are slow but right. */
#define FLAGGED_NS_MAX 5000.0

#define LANDLOCK_VERSION_QUERY 1u /* LANDLOCK_CREATE_RULESET_VERSION */

enum verdict { VERDICT_OK, VERDICT_NOTE, VERDICT_BAD };

struct doctor {
    const char *kvm_path;
    bool brief;
    bool native;
};

static void say(const struct doctor *doctor, enum verdict verdict, const char *what,
                const char *format, ...) __attribute__((format(printf, 4, 5)));

static void say(const struct doctor *doctor, enum verdict verdict, const char *what,
                const char *format, ...)
{
    static const char *const marks[] = {
        [VERDICT_OK] = "ok  ", [VERDICT_NOTE] = "note", [VERDICT_BAD] = "BAD ",
    };
    va_list arguments;

    if (doctor->brief)
        return;
    printf("  %s  %-16s ", marks[verdict], what);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

/* The first line of a small file under /proc or /sys; false when unreadable. */
static bool read_line(const char *path, char *line, size_t size)
{
    if (!small_file_read(path, line, size))
        return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

/* From the file alone: devices' groups are there, and other sources would need code loaded at run time. */
static bool find_group(gid_t id, char *name, size_t size)
{
    FILE *groups = fopen("/etc/group", "re");
    struct group *group = NULL;

    while (groups && (group = fgetgrent(groups)) && group->gr_gid != id)
        ;
    if (group)
        snprintf(name, size, "%s", group->gr_name);
    if (groups)
        fclose(groups);
    return group != NULL;
}

static void check_permissions(const struct doctor *doctor)
{
    struct stat status;
    char group[64];

    if (stat(doctor->kvm_path, &status) < 0) {
        say(doctor, VERDICT_BAD, "permissions", "%s: %s; run: %s", doctor->kvm_path, strerror(errno),
            arch_kvm_load_command);
        return;
    }
    if (access(doctor->kvm_path, R_OK | W_OK) == 0) {
        say(doctor, VERDICT_OK, "permissions", "%s can be used by this user", doctor->kvm_path);
        return;
    }
    if ((status.st_mode & 0060) == 0060 && status.st_gid != 0 &&
        find_group(status.st_gid, group, sizeof(group)))
        say(doctor, VERDICT_BAD, "permissions",
            "not allowed; run: sudo usermod -aG %s $USER, then log in again", group);
    else
        say(doctor, VERDICT_BAD, "permissions", "not allowed; run: sudo chgrp kvm %s && "
            "sudo chmod 660 %s && sudo usermod -aG kvm $USER, then log in again",
            doctor->kvm_path, doctor->kvm_path);
}

static void check_kvm(struct doctor *doctor)
{
    struct error error = ERROR_INIT;
    bool flags = arch_has_virtualization();
    double nanoseconds = 0;

    if (arch_probe(doctor->kvm_path, &nanoseconds, &error) < 0) {
        say(doctor, VERDICT_BAD, "KVM", "%s", error.message);
        return;
    }
    say(doctor, VERDICT_OK, "KVM", "%s runs a guest", doctor->kvm_path);
    doctor->native = nanoseconds <= NATIVE_NS_MAX || (flags && nanoseconds <= FLAGGED_NS_MAX);
    if (doctor->native)
        say(doctor, VERDICT_OK, "back end", "hardware virtualization (%.0f ns a supervisor "
            "instruction)", nanoseconds);
    else
        say(doctor, VERDICT_BAD, "back end", "emulates supervisor code (%.0f ns an instruction%s): "
            "tiny guests run, stock Linux does not; use scripts/lab", nanoseconds,
            flags ? "" : ", and the processor does not say that it can virtualize");
}

static void check_huge_pages(const struct doctor *doctor)
{
    char transparent[128] = "absent", reserved[32] = "0", path[80];

    read_line(HUGE_PAGES_FOLDER "/enabled", transparent, sizeof(transparent));
    snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%zukB/nr_hugepages", huge_page_size() >> 10);
    read_line(path, reserved, sizeof(reserved));
    say(doctor, VERDICT_NOTE, "huge pages", "transparent: %s; %zu MiB pages set aside: %s",
        transparent, huge_page_size() >> 20, reserved);
}

static void check_cgroup(const struct doctor *doctor)
{
    char group[256] = "", path[320];
    struct statfs status;

    if (statfs("/sys/fs/cgroup", &status) < 0 || status.f_type != CGROUP2_SUPER_MAGIC) {
        say(doctor, VERDICT_NOTE, "cgroup", "version 2 is not mounted at /sys/fs/cgroup; "
            "limits by rlimits, by version 1 with --require-sandbox");
        return;
    }
    read_line("/proc/self/cgroup", group, sizeof(group));
    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cgroup.procs",
             strncmp(group, "0::", 3) == 0 ? group + 3 : "");
    if (access(path, W_OK) == 0)
        say(doctor, VERDICT_OK, "cgroup", "version 2, delegated to this user");
    else
        say(doctor, VERDICT_NOTE, "cgroup", "version 2, not delegated; "
            "start by: systemd-run --user --scope -p Delegate=yes mote ...");
}

/*
 * Linux before 6.13 makes a thread for each VM, and has it change its control
 * groups at the start and at the end.  From 6.0 on such a change waits for a grace
 * period of RCU, unless control groups are mounted with `favordynmods`, which costs
 * each fork and exit some nanoseconds.
 */
static void check_cgroup_changes(const struct doctor *doctor, const char *release)
{
    FILE *mounts = fopen("/proc/self/mounts", "re");
    bool waits = false;
    char line[512];
    char *end;
    unsigned long major = strtoul(release, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;

    while (mounts && fgets(line, sizeof(line), mounts))
        if (strstr(line, " /sys/fs/cgroup cgroup2 "))
            waits = major == 6 && minor < 13 && !strstr(line, "favordynmods");
    if (mounts)
        fclose(mounts);
    if (waits)
        say(doctor, VERDICT_NOTE, "cgroup changes", "this kernel has each VM wait for two, some 10 ms each; "
            "run: sudo mount -o remount,favordynmods /sys/fs/cgroup");
}

static void check_user_namespaces(const struct doctor *doctor)
{
    char maximum[32] = "0", clone[32] = "1";

    read_line("/proc/sys/user/max_user_namespaces", maximum, sizeof(maximum));
    read_line("/proc/sys/kernel/unprivileged_userns_clone", clone, sizeof(clone));
    if (strcmp(maximum, "0") == 0)
        say(doctor, VERDICT_NOTE, "user namespaces", "off; run: sudo sysctl "
            "user.max_user_namespaces=10000");
    else if (strcmp(clone, "0") == 0)
        say(doctor, VERDICT_NOTE, "user namespaces", "for root alone; run: sudo sysctl "
            "kernel.unprivileged_userns_clone=1");
    else
        say(doctor, VERDICT_OK, "user namespaces", "available");
}

static void check_landlock(const struct doctor *doctor)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_QUERY);

    if (version > 0)
        say(doctor, VERDICT_OK, "Landlock", "ABI %ld", version);
    else
        say(doctor, VERDICT_NOTE, "Landlock", "%s; add landlock to the host kernel's lsm= list",
            errno == ENOSYS ? "not in this kernel" : "off");
}

static void tell_layer(void *context, const char *layer, const char *why)
{
    char name[32];

    snprintf(name, sizeof(name), "jail: %s", layer);
    if (why)
        say(context, VERDICT_NOTE, name, "%s", why);
    else
        say(context, VERDICT_OK, name, "active");
}

/* Not what the kernel says that it has, but what a process gets. */
static void check_sandbox(struct doctor *doctor)
{
    struct error error = ERROR_INIT;

    if (sandbox_probe(tell_layer, doctor, &error) < 0)
        say(doctor, VERDICT_BAD, "jail", "%s", error.message);
}

static void check_io_uring(const struct doctor *doctor)
{
    struct io_uring_params parameters = { .flags = 0 };
    long fd = syscall(SYS_io_uring_setup, 1, &parameters);
    int number = errno;

    if (fd >= 0) {
        close((int)fd);
        say(doctor, VERDICT_OK, "io_uring", "available");
    } else {
        say(doctor, VERDICT_NOTE, "io_uring", "%s%s", strerror(number),
            number == EPERM ? "; run: sudo sysctl kernel.io_uring_disabled=0" : "");
    }
}

static const struct option_row rows[] = {
    { "Options", "kvm", "FILE", "the KVM device (default: /dev/kvm)", option_set_text,
      .offset = offsetof(struct doctor, kvm_path) },
    { NULL, "brief", NULL, "one word: native, or lab where stock kernels need one", option_set_flag,
      .offset = offsetof(struct doctor, brief) },
};

static const struct option_table table = {
    .usage = "mote doctor [OPTION]...",
    .summary = "Tells what this host offers, what is missing and what Mote will use.\n"
               "Ends with 0 when stock kernels can run here, else with 1.",
    .examples = "  mote doctor\n  mote doctor --brief\n",
    .rows = rows,
    .count = ARRAY_LENGTH(rows),
};

int cmd_doctor(int argc, char **argv)
{
    struct doctor doctor = { .kvm_path = KVM_DEFAULT_PATH };
    struct error error = ERROR_INIT;
    struct utsname host;
    bool helped;

    if (options_parse(&table, &doctor, argc, argv, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    uname(&host);
    if (!doctor.brief)
        printf("mote %s on %s %s, %s\n", MOTE_VERSION, host.sysname, host.release, host.machine);
    check_permissions(&doctor);
    check_kvm(&doctor);
    check_huge_pages(&doctor);
    check_cgroup(&doctor);
    check_cgroup_changes(&doctor, host.release);
    check_user_namespaces(&doctor);
    check_landlock(&doctor);
    check_sandbox(&doctor);
    check_io_uring(&doctor);
    if (doctor.brief)
        puts(doctor.native ? "native" : "lab");
    else
        puts(doctor.native ? "Mote will use: KVM on this host, plain pages, a serial console"
                           : "Stock kernels cannot run on this host's KVM; scripts/lab gives a machine with KVM under emulation");
    return doctor.native ? STATUS_OK : 1;
}
