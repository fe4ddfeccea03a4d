/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/firecracker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/command_line.h"

int firecracker_text(const struct loading *loading, const char *text, const char **copy)
{
    *copy = text ? config_pool_text(&loading->config->pool, text) : NULL;
    return *copy || !text ? 0 : error_system(loading->reader->error, ENOMEM, "--config-file");
}

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
    if (logger.level < ARRAY_LENGTH(levels))
        loading->log->level = levels[logger.level];
    return firecracker_text(loading, logger.path, &loading->log->path);
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
    if (result == 0)
        result = firecracker_text(loading, boot->kernel, &loading->config->kernel);
    return result == 0 ? firecracker_text(loading, boot->initrd, &loading->config->initrd) : result;
}

/* The arguments, and which device is the root if a drive says so.  Without
 * arguments the config chooses them, once it knows the console. */
static int make_command_line(const struct loading *loading, const struct boot_source_keys *boot,
                             const struct root_drive *root)
{
    const char *mode = root->is_read_only ? "ro" : "rw";
    cleanup_free char *words = NULL, *line = NULL;
    int length = 0, result;

    if (root->partuuid)
        length = asprintf(&words, "root=PARTUUID=%s %s", root->partuuid, mode);
    else if (root->path)
        length = asprintf(&words, "root=/dev/vda %s", mode);
    if (length < 0)
        words = NULL;
    if (length >= 0 && boot->arguments)
        line = words ? command_line_add(boot->arguments, words) : strdup(boot->arguments);
    if (length < 0 || (boot->arguments && !line))
        return error_system(loading->reader->error, ENOMEM, "--config-file");
    result = firecracker_text(loading, line, &loading->config->command_line);
    return result == 0 ? firecracker_text(loading, line ? NULL : words, &loading->config->root) : result;
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
        (result = firecracker_drives(loading, sections.drives, &root)) < 0 ||
        (result = firecracker_interfaces(loading, sections.interfaces)) < 0 ||
        (result = firecracker_vsock(loading, sections.vsock)) < 0 ||
        (result = firecracker_balloon(loading, sections.balloon)) < 0 ||
        (result = firecracker_entropy(loading, sections.entropy)) < 0)
        return result;
    return make_command_line(loading, &boot, &root);
}

int firecracker_read(const struct json_reader *reader, struct vm_config *config,
                     struct config_file_log *log)
{
    struct loading loading = { .reader = reader, .config = config, .log = log };

    return load_sections(&loading);
}
