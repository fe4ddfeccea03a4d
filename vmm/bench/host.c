/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/bench/host.h"

#include <glob.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vmm/monitor/arch/arch.h"
#include "vmm/base/cleanup.h"

/* The rest of the first line of PATH that begins with PREFIX; false without one. */
static bool find_line(const char *path, const char *prefix, char *text, size_t size)
{
    FILE *stream = fopen(path, "re");
    char line[512];
    bool found = false;

    while (stream && !found && fgets(line, sizeof(line), stream))
        found = strncmp(line, prefix, strlen(prefix)) == 0;
    if (stream)
        fclose(stream);
    if (!found)
        return false;
    line[strcspn(line, "\n")] = '\0';
    snprintf(text, size, "%s", line + strlen(prefix));
    return true;
}

static void describe_kernel(struct host *host)
{
    struct utsname name;

    if (uname(&name) == 0)
        snprintf(host->kernel, sizeof(host->kernel), "%.40s %.70s", name.sysname, name.release);
}

static void describe_processor(struct host *host)
{
    char text[sizeof(host->processor)];
    cpu_set_t set;

    if (find_line("/proc/cpuinfo", "model name", text, sizeof(text)))
        snprintf(host->processor, sizeof(host->processor), "%s", text + strspn(text, "\t: "));
    host->cpus = 1;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        host->cpus = (unsigned int)CPU_COUNT(&set);
}

static void describe_memory(struct host *host)
{
    struct sysinfo info;

    if (sysinfo(&info) == 0)
        host->memory = (uint64_t)info.totalram * info.mem_unit;
}

/* Which of the processor's faults the kernel does nothing about: that is fast, and weak. */
static void describe_mitigations(struct host *host)
{
    char *list = host->mitigations;
    size_t used = 0, size = sizeof(host->mitigations), open = 0;
    glob_t found;

    if (glob("/sys/devices/system/cpu/vulnerabilities/*", 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *name = strrchr(found.gl_pathv[i], '/') + 1;
        char rest[8];

        if (!find_line(found.gl_pathv[i], "Vulnerable", rest, sizeof(rest)))
            continue;
        if (used < size)
            used += (size_t)snprintf(list + used, size - used, "%s%s",
                                     open++ ? ", " : "off for ", name);
    }
    if (open == 0)
        snprintf(list, size, "on, or not needed");
    globfree(&found);
}

static void describe_cgroup(struct host *host)
{
    struct statfs status;

    if (statfs("/sys/fs/cgroup", &status) < 0)
        snprintf(host->cgroup, sizeof(host->cgroup), "none");
    else
        snprintf(host->cgroup, sizeof(host->cgroup), "version %d",
                 status.f_type == CGROUP2_SUPER_MAGIC ? 2 : 1);
}

static void describe_machine(struct host *host)
{
    char name[ARCH_HYPERVISOR_SIZE], what[64] = "bare metal", kvm[64] = "no KVM";
    struct error ignored = { .number = 0 };
    double nanoseconds = 0;

    if (arch_hypervisor(name))
        snprintf(what, sizeof(what), strncmp(name, "TCG", 3) == 0 ?
                 "emulated (%s): times are emulated, too" : "a virtual machine (%s)", name);
    if (arch_probe("/dev/kvm", &nanoseconds, &ignored) == 0)
        snprintf(kvm, sizeof(kvm), "%sKVM: %.0f ns a supervisor instruction",
                 strcmp(what, "bare metal") == 0 ? "" : "nested ", nanoseconds);
    snprintf(host->machine, sizeof(host->machine), "%s; %s", what, kvm);
}

static void keep_printable(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

void host_describe(struct host *host)
{
    *host = (struct host){ .kernel = "unknown", .processor = "unknown",
                           .mitigations = "unknown" };
    describe_kernel(host);
    describe_processor(host);
    describe_memory(host);
    describe_mitigations(host);
    describe_cgroup(host);
    describe_machine(host);
    snprintf(host->user, sizeof(host->user), "%s", geteuid() == 0 ? "root" : "an ordinary user");
    keep_printable(host->processor);
}
