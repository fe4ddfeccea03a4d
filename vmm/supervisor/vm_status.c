/* SPDX-License-Identifier: Apache-2.0 */
/* What `mote status` shows of a VM: what its supervisor knows, and what its monitor has counted, in JSON. */

#include <inttypes.h>
#include <json-c/json_object.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/small_file.h"
#include "vmm/supervisor/vm_control_internal.h"

/* The tags of virtio 1.2, 5.5.6.4, in their order. */
static const char *const guest_names[VM_GUEST_FIGURES] = {
    "swap_in", "swap_out", "major_faults", "minor_faults", "free", "total", "available", "disk_caches", "hugetlb_allocations",
    "hugetlb_failures",
};

static void add_text(struct json_object *object, const char *key, const char *text)
{
    json_object_object_add(object, key, json_object_new_string(text));
}

static void add_number(struct json_object *object, const char *key, uint64_t number)
{
    json_object_object_add(object, key, json_object_new_uint64(number));
}

uint64_t vm_status_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Fields 14 and 15 of /proc/PID/stat (proc(5)), behind the name, which may hold anything: user and system time, ticks. */
static bool read_cpu_time(pid_t pid, uint64_t *ms)
{
    uint64_t user, system;
    char path[40], text[1024];
    const char *at;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (!small_file_read(path, text, sizeof(text)) || !(at = strrchr(text, ')')) ||
        sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, &user, &system) != 2)
        return false;
    *ms = (user + system) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
    return true;
}

/* Of the monitor, the guest's memory included. */
static bool read_resident(pid_t pid, uint64_t *bytes)
{
    char path[40], text[4096];
    const char *at;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    if (!small_file_read(path, text, sizeof(text)) || !(at = strstr(text, "\nVmRSS:")))
        return false;
    *bytes = strtoull(at + strlen("\nVmRSS:"), NULL, 10) * 1024;
    return true;
}

struct json_object *vm_status_of(const struct vm_control *control)
{
    const struct vm_config *vm = control->owner.vm;
    struct json_object *status = json_object_new_object();
    pid_t monitor = vm_process_pid(control->process);
    uint64_t number;

    add_text(status, "name", control->owner.entry->name);
    add_text(status, "state", control->paused ? "paused" : "running");
    add_number(status, "pid", (uint64_t)getpid());
    add_number(status, "cpus", vm->cpus);
    add_number(status, "memory", vm->memory);
    add_number(status, "uptime_ms", vm_status_now_ms() - control->began_ms);
    if (!monitor)
        return status;
    add_number(status, "monitor_pid", (uint64_t)monitor);
    if (read_cpu_time(monitor, &number))
        add_number(status, "cpu_ms", number);
    if (read_resident(monitor, &number))
        add_number(status, "resident", number);
    return status;
}

/* Whatever the monitor says: numbers that are shown, and no more. */
struct json_object *vm_status_statistics(const struct vm_statistics *statistics)
{
    struct json_object *reply = json_object_new_object(), *console = json_object_new_object();

    json_object_object_add(reply, "console", console);
    add_number(console, "written", statistics->console_written);
    add_number(console, "discarded", statistics->console_discarded);
    if (statistics->balloon_target != UINT64_MAX) {
        struct json_object *balloon = json_object_new_object(), *guest = json_object_new_object();

        json_object_object_add(reply, "balloon", balloon);
        add_number(balloon, "target", statistics->balloon_target);
        add_number(balloon, "actual", statistics->balloon_actual);
        json_object_object_add(reply, "guest", guest);
        for (size_t i = 0; i < VM_GUEST_FIGURES; i++)
            if (statistics->guest[i] != UINT64_MAX)
                add_number(guest, guest_names[i], statistics->guest[i]);
    }
    return reply;
}
