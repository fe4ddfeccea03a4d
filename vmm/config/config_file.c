/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/command_line.h"
#include "vmm/config/config_file_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the machine -------------------------------------------------------- */

static int read_machine(const struct loading *loading, struct json_object *object)
{
    struct machine_config {
        uint64_t cpus, mib;
    } machine = { .cpus = 1 };
    static const char *const none[] = { "None", NULL };
    static const struct json_key keys[] = {
        { "vcpu_count", JSON_NUMBER, true, offsetof(struct machine_config, cpus), 1,
          MACHINE_CPUS_MAX },
        { "mem_size_mib", JSON_NUMBER, true, offsetof(struct machine_config, mib), 1,
          UINT64_MAX >> 20 },
        { "smt", JSON_REFUSED, .why = "CPUs with threads are not possible; set it to false" },
        { "ht_enabled", JSON_REFUSED,
          .why = "CPUs with threads are not possible; set it to false" },
        { "track_dirty_pages", JSON_REFUSED,
          .why = "dirty pages are not tracked; set it to false" },
        { "huge_pages", JSON_REFUSED, .choices = none,
          .why = "huge pages from a pool are not possible; set it to \"None\", transparent ones "
                 "are used anyway" },
        { "cpu_template", JSON_REFUSED, .choices = none,
          .why = "CPU templates are not possible; remove it" },
    };
    int result;

    if (!object)
        return 0;
    result = MEMBERS(loading, "machine-config", object, keys, &machine);
    if (result < 0)
        return result;
    loading->config->cpus = (unsigned int)machine.cpus;
    loading->config->memory = machine.mib << 20;
    return 0;
}

static int read_logger(const struct loading *loading, struct json_object *object)
{
    static const char *const names[] = { "Error", "Warn", "Warning", "Info", "Debug", "Trace",
                                         "Off", NULL };
    static const int levels[] = { LOG_ERROR, LOG_WARN, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_DEBUG,
                                  LOG_ERROR };
    struct logger {
        const char *path;
        unsigned int level;
    } logger = { .level = ARRAY_LENGTH(levels) };
    static const struct json_key keys[] = {
        { "log_path", JSON_TEXT, false, offsetof(struct logger, path) },
        { "level", JSON_CHOICE, false, offsetof(struct logger, level), .choices = names },
        { "show_level", JSON_IGNORED, false, 0 },
        { "show_log_origin", JSON_IGNORED, false, 0 },
        { "module", JSON_REFUSED, .why = "messages cannot be chosen by module; remove it" },
    };
    int result;

    if (!object)
        return 0;
    result = MEMBERS(loading, "logger", object, keys, &logger);
    if (result < 0)
        return result;
    loading->file->log_path = logger.path;
    if (logger.level < ARRAY_LENGTH(levels))
        loading->file->log_level = levels[logger.level];
    return 0;
}

struct boot_source_keys {
    const char *kernel, *arguments, *initrd;
};

static int read_boot_source(const struct loading *loading, struct json_object *object,
                            struct boot_source_keys *boot)
{
    static const struct json_key keys[] = {
        { "kernel_image_path", JSON_TEXT, true, offsetof(struct boot_source_keys, kernel) },
        { "boot_args", JSON_TEXT, false, offsetof(struct boot_source_keys, arguments) },
        { "initrd_path", JSON_TEXT, false, offsetof(struct boot_source_keys, initrd) },
    };
    int result;

    *boot = (struct boot_source_keys){ .arguments = NULL };
    if (!object)
        return 0;
    result = MEMBERS(loading, "boot-source", object, keys, boot);
    loading->config->kernel = boot->kernel;
    loading->config->initrd = boot->initrd;
    return result;
}

/* The arguments, and which device is the root if a drive says so.  Without
 * arguments the config chooses them, once it knows the console. */
static int make_command_line(const struct loading *loading, const struct boot_source_keys *boot,
                             const struct root_drive *root)
{
    struct config_file *file = loading->file;
    const char *mode = root->is_read_only ? "ro" : "rw";
    int length = 0;

    if (root->partuuid)
        length = asprintf(&file->root, "root=PARTUUID=%s %s", root->partuuid, mode);
    else if (root->path)
        length = asprintf(&file->root, "root=/dev/vda %s", mode);
    if (length < 0)
        file->root = NULL;
    if (length >= 0 && boot->arguments)
        file->command_line = file->root ? command_line_add(boot->arguments, file->root)
                                        : strdup(boot->arguments);
    if (length < 0 || (boot->arguments && !file->command_line))
        return error_system(loading->error, ENOMEM, "--config-file");
    loading->config->command_line = file->command_line;
    loading->config->root = file->root;
    return 0;
}

/* ---- the file ----------------------------------------------------------- */

struct sections {
    struct json_object *boot, *drives, *machine, *interfaces, *vsock, *entropy, *balloon, *logger;
};

static int load_sections(const struct loading *loading)
{
    static const struct json_key keys[] = {
        { "boot-source", JSON_MEMBERS, false, offsetof(struct sections, boot) },
        { "drives", JSON_LIST, false, offsetof(struct sections, drives) },
        { "machine-config", JSON_MEMBERS, false, offsetof(struct sections, machine) },
        { "network-interfaces", JSON_LIST, false, offsetof(struct sections, interfaces) },
        { "vsock", JSON_MEMBERS, false, offsetof(struct sections, vsock) },
        { "entropy", JSON_MEMBERS, false, offsetof(struct sections, entropy) },
        { "balloon", JSON_MEMBERS, false, offsetof(struct sections, balloon) },
        { "logger", JSON_MEMBERS, false, offsetof(struct sections, logger) },
        { "cpu-config", JSON_REFUSED, .why = "CPU templates are not possible; remove it" },
        { "metrics", JSON_REFUSED, .why = "Mote writes no metrics; remove it" },
        { "mmds-config", JSON_REFUSED, .why = "Mote has no metadata service; remove it" },
        { "mmds-version", JSON_IGNORED, false, 0 },
        { "pmem", JSON_REFUSED,
          .why = "persistent memory is not possible; give its file as a drive" },
        { "memory-hotplug", JSON_REFUSED,
          .why = "memory cannot be added later; give all of it in mem_size_mib, and a balloon" },
    };
    struct sections sections = { .boot = NULL };
    struct boot_source_keys boot;
    struct root_drive root = { .path = NULL };
    int result;

    if ((result = MEMBERS(loading, "", loading->reader->root, keys, &sections)) < 0 ||
        (result = read_boot_source(loading, sections.boot, &boot)) < 0 ||
        (result = read_machine(loading, sections.machine)) < 0 ||
        (result = read_logger(loading, sections.logger)) < 0 ||
        (result = config_add_drives(loading, sections.drives, &root)) < 0 ||
        (result = config_add_interfaces(loading, sections.interfaces)) < 0 ||
        (result = config_add_vsock(loading, sections.vsock)) < 0 ||
        (result = config_add_balloon(loading, sections.balloon)) < 0 ||
        (result = config_add_entropy(loading, sections.entropy)) < 0)
        return result;
    return make_command_line(loading, &boot, &root);
}

int config_file_load(struct config_file *file, const char *path, struct vm_config *config,
                     config_add_device add, void *context, struct error *error)
{
    struct loading loading = {
        .file = file,
        .reader = &file->reader,
        .config = config,
        .add = add,
        .context = context,
        .error = error,
    };
    int result;

    *file = (struct config_file){ .log_level = -1 };
    result = json_reader_open(&file->reader, path, error);
    return result < 0 ? result : load_sections(&loading);
}

void config_file_release(struct config_file *file)
{
    json_reader_close(&file->reader);
    free(file->command_line);
    free(file->root);
    file->command_line = file->root = NULL;
}
