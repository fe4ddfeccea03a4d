/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/template_key.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/config/config.h"
#include "vmm/job/cache_folder.h"
#include "vmm/job/kernel_choice.h"
#include "vmm/job/rootfs.h"

#define HOST_NAME_MAX_LENGTH 64

static int put_status(FILE *text, const char *what, const char *path, const struct stat *status,
                      struct error *error)
{
    char identity[FILE_IDENTITY_SIZE];

    /* A device changes without its times. */
    if (!S_ISREG(status->st_mode))
        return error_set(error, EINVAL, "--warm: %s %s is no file; give one, or leave out --warm",
                         what, path);
    file_identity(status, identity);
    fprintf(text, "%s %s\n", what, identity);
    return 0;
}

static int put_file(FILE *text, const char *what, const char *path, struct error *error)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return error_system(error, errno, "%s %s", what, path);
    return put_status(text, what, path, &status, error);
}

static int put_disks(FILE *text, const char *what, const struct rootfs_disk *disks, size_t count,
                     struct error *error)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < count; i++) {
        struct stat status;

        if (fstat(disks[i].fd, &status) < 0)
            return error_system(error, errno, "%s %s", what, disks[i].path);
        result = put_status(text, what, disks[i].path, &status, error);
    }
    return result;
}

static int put_scratch(FILE *text, int scratch, struct error *error)
{
    struct stat status;

    if (scratch < 0)
        return 0;
    if (fstat(scratch, &status) < 0)
        return error_system(error, errno, "--scratch");
    fprintf(text, "scratch %llu\n", (unsigned long long)status.st_size);
    return 0;
}

/* The list of modules stands for them: whoever installs some writes it anew. */
static int put_modules(FILE *text, const struct template_parts *parts, struct error *error)
{
    cleanup_free char *list = NULL;

    if (!parts->kernel->modules)
        return 0;
    if (asprintf(&list, "%s/modules.dep", parts->kernel->modules) < 0)
        return error_system(error, ENOMEM, "modules");
    for (size_t i = 0; i < parts->wanted->count; i++)
        fprintf(text, "module %s\n", parts->wanted->items[i]);
    return put_file(text, "modules", list, error);
}

static void put_prepare(FILE *text, const struct template_parts *parts)
{
    fprintf(text, "prepare ");
    for (size_t i = 0; i < parts->prepare_length; i++)
        fprintf(text, "%02x", parts->prepare[i]);
    fprintf(text, "\n");
}

/* A home that several hosts share has templates of each: what one saves another may refuse. */
static void put_host(FILE *text)
{
    char name[HOST_NAME_MAX_LENGTH + 1] = "";

    gethostname(name, sizeof(name) - 1);
    fprintf(text, "host %s\n", name);
}

static int put_all(FILE *text, const struct template_parts *parts, struct error *error)
{
    const struct vm_config *vm = parts->vm;
    const struct rootfs *rootfs = parts->rootfs;
    int result;

    put_host(text);
    fprintf(text, "protocol %u\n", RUN_VERSION);
    fprintf(text, "machine %llu %u %u %u\ncommand line %s\n", (unsigned long long)vm->memory,
            vm->cpus, vm->console, vm->describe, vm->command_line);
    if ((result = put_file(text, "mote", "/proc/self/exe", error)) < 0 ||
        (result = put_file(text, "init", parts->init, error)) < 0 ||
        (result = put_file(text, parts->packed ? "packed kernel" : "kernel", parts->kernel->path,
                           error)) < 0 ||
        (result = put_modules(text, parts, error)) < 0 ||
        (result = put_disks(text, "root", rootfs->layers, rootfs->layer_count, error)) < 0 ||
        (result = put_disks(text, "volume", rootfs->volumes, rootfs->volume_count, error)) < 0)
        return result;
    put_prepare(text, parts);
    if (parts->network)
        fprintf(text, "network\n");
    return put_scratch(text, parts->scratch, error);
}

int template_key(const struct template_parts *parts, char **text, struct error *error)
{
    cleanup_free char *made = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&made, &length);
    int result;

    if (!stream)
        return error_system(error, ENOMEM, "--warm");
    result = put_all(stream, parts, error);
    if (fclose(stream) != 0)
        return error_system(error, ENOMEM, "--warm");
    if (result == 0)
        *text = steal_pointer(&made);
    return result;
}

void template_name(const char *text, char name[TEMPLATE_NAME_SIZE])
{
    uint64_t hash = 0xcbf29ce484222325;

    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3;
    snprintf(name, TEMPLATE_NAME_SIZE, "%016llx", (unsigned long long)hash);
}

bool template_name_is_good(const char *name)
{
    return strlen(name) == TEMPLATE_NAME_SIZE - 1 &&
           strspn(name, "0123456789abcdef") == TEMPLATE_NAME_SIZE - 1;
}
