/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/bench/process_tree.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

struct process {
    pid_t pid, parent;
    bool is_ours;
};

struct process_list {
    struct process *items;
    size_t count, capacity;
};

/* The field after the name in parentheses, which may hold any character. */
static pid_t parent_of(pid_t pid)
{
    char path[48], line[512];
    const char *name_end;
    FILE *stream;
    int parent = -1;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    stream = fopen(path, "re");
    if (!stream)
        return -1;
    if (fgets(line, sizeof(line), stream) && (name_end = strrchr(line, ')')) &&
        sscanf(name_end, ") %*c %d", &parent) != 1)
        parent = -1;
    fclose(stream);
    return parent;
}

static bool list_processes(struct process_list *list)
{
    DIR *folder = opendir("/proc");
    struct dirent *entry;

    while (folder && (entry = readdir(folder))) {
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;

        if (pid <= 0)
            continue;
        if (list->count == list->capacity) {
            size_t capacity = list->capacity ? list->capacity * 2 : 256;
            struct process *items = reallocarray(list->items, capacity, sizeof(*items));

            if (!items)
                break;
            list->items = items;
            list->capacity = capacity;
        }
        list->items[list->count++] = (struct process){ .pid = pid, .parent = parent_of(pid) };
    }
    if (folder)
        closedir(folder);
    return list->count > 0;
}

static bool is_ours(const struct process_list *list, pid_t pid)
{
    if (pid == getpid())
        return true;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].pid == pid)
            return list->items[i].is_ours;
    return false;
}

/* Numbers wrap around, so that a child's may be below its parent's: until nothing changes. */
static void find_ours(struct process_list *list)
{
    bool changed = true;

    while (changed) {
        changed = false;
        for (size_t i = 0; i < list->count; i++) {
            struct process *process = &list->items[i];

            if (!process->is_ours && process->parent > 0 && is_ours(list, process->parent))
                process->is_ours = changed = true;
        }
    }
}

/* The value of "NAME: N kB" in PATH, in bytes. */
static uint64_t kilobytes_of(const char *path, const char *name)
{
    FILE *stream = fopen(path, "re");
    unsigned long long value = 0;
    char line[256];

    if (!stream)
        return 0;
    while (fgets(line, sizeof(line), stream))
        if (strncmp(line, name, strlen(name)) == 0) {
            value = strtoull(line + strlen(name), NULL, 10);
            break;
        }
    fclose(stream);
    return value * 1024;
}

uint64_t tree_pss(void)
{
    struct process_list list = { .items = NULL };
    uint64_t sum = 0;

    list_processes(&list);
    find_ours(&list);
    for (size_t i = 0; i < list.count; i++) {
        char path[48];

        if (!list.items[i].is_ours)
            continue;
        snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)list.items[i].pid);
        sum += kilobytes_of(path, "Pss:");
    }
    free(list.items);
    return sum;
}

unsigned int tree_kill(void)
{
    struct process_list list = { .items = NULL };
    unsigned int count = 0;

    list_processes(&list);
    find_ours(&list);
    for (size_t i = 0; i < list.count; i++)
        if (list.items[i].is_ours && kill(list.items[i].pid, SIGKILL) == 0)
            count++;
    free(list.items);
    return count;
}

uint64_t memory_available(void)
{
    return kilobytes_of("/proc/meminfo", "MemAvailable:");
}
