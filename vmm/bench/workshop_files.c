/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/bench/workshop_files.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/machine/arch_facts.h"
#include "vmm/machine/image.h"
#include "vmm/job/initramfs.h"
#include "vmm/base/whole_io.h"

#define DATA_SIZE (64u << 20) /* half of what a VM has */

static const char *const mode_names[] = {
    [JOB_ONCE] = "once", [JOB_IDLE] = "idle", [JOB_BLOCK] = "block", [JOB_NETWORK] = "network",
};

void workshop_mode_word(const struct workshop *workshop, enum job_mode mode, char word[PATH_MAX])
{
    bool peer = mode == JOB_NETWORK;

    snprintf(word, PATH_MAX, "%s%s%s", mode_names[mode], peer ? "-" : "",
             peer ? workshop->peer : "");
}

void workshop_bundle(const struct workshop *workshop, enum job_mode mode, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/bundle-%s", workshop->folder, mode_names[mode]);
}

void workshop_command_line(const struct workshop *workshop, enum job_mode mode,
                           char line[PATH_MAX])
{
    char word[PATH_MAX];

    workshop_mode_word(workshop, mode, word);
    snprintf(line, PATH_MAX, "console=%s %s panic=-1 quiet loglevel=1 %.64s",
             arch_serial_console, arch_reset_kernel_option, mode == JOB_IDLE ? "rest" : word);
    if (mode != JOB_IDLE)
        strcat(line, " reset");
}

static int write_file(const char *path, const void *bytes, size_t length, struct error *error)
{
    cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int result = fd < 0 ? -errno : whole_write(fd, bytes, length);

    return result < 0 ? error_system(error, -result, "%s", path) : 0;
}

/* Of which no two pages are alike, and none can be left out or compressed. */
int workshop_make_data(const struct workshop *workshop, struct error *error)
{
    cleanup_free uint64_t *words = malloc(DATA_SIZE);
    uint64_t number = 1;
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/" WORKSHOP_DATA, workshop->folder);
    if (!words)
        return error_system(error, ENOMEM, "%s", path);
    for (size_t i = 0; i < DATA_SIZE / sizeof(*words); i++)
        words[i] = random_next(&number);
    return write_file(path, words, DATA_SIZE, error);
}

int workshop_make_initramfs(const struct workshop *workshop, struct error *error)
{
    struct image image = { .fd = -1 };
    struct cpio cpio = { .bytes = NULL };
    cleanup_free uint8_t *bytes = NULL;
    char path[PATH_MAX];
    int result = image_open(&image, "job", workshop->probe, error);

    if (result < 0)
        return result;
    bytes = malloc(image.size);
    result = bytes ? image_read(&image, 0, bytes, image.size, error)
                   : error_system(error, ENOMEM, "initramfs");
    if (result == 0)
        result = cpio_add(&cpio, "init", S_IFREG | 0755, bytes, image.size, error);
    if (result == 0)
        result = cpio_finish(&cpio, error);
    snprintf(path, sizeof(path), "%s/initramfs", workshop->folder);
    if (result == 0)
        result = write_file(path, cpio.bytes, cpio.used, error);
    cpio_release(&cpio);
    image_close(&image);
    return result;
}

static int write_json(const char *path, struct json_object *document, struct error *error)
{
    const char *text = json_object_to_json_string_ext(document, JSON_C_TO_STRING_NOSLASHESCAPE);

    return text ? write_file(path, text, strlen(text), error)
                : error_system(error, ENOMEM, "%s", path);
}

/* ---- OCI ------------------------------------------------------------------ */

/* What is the same in all bundles; the root, the words and the ordinary user's maps are added. */
static const char bundle_text[] =
    "{\"ociVersion\":\"1.0.2\",\"hostname\":\"mote\","
    "\"process\":{\"terminal\":false,\"user\":{\"uid\":0,\"gid\":0},\"cwd\":\"/\","
    "\"env\":[\"PATH=/usr/bin:/bin\"],\"noNewPrivileges\":true,"
    "\"capabilities\":{\"bounding\":[],\"effective\":[],\"permitted\":[]}},"
    "\"mounts\":["
    "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
    "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
    "\"options\":[\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"]},"
    "{\"destination\":\"/tmp\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
    "\"options\":[\"nosuid\",\"nodev\"]}],"
    "\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},"
    "{\"type\":\"uts\"},{\"type\":\"mount\"},{\"type\":\"cgroup\"}],"
    "\"maskedPaths\":[\"/proc/kcore\",\"/proc/keys\",\"/proc/sysrq-trigger\"],"
    "\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\"]}}";

static struct json_object *map_of(unsigned int host_id)
{
    struct json_object *list = json_object_new_array(), *map = json_object_new_object();

    json_object_object_add(map, "containerID", json_object_new_int(0));
    json_object_object_add(map, "hostID", json_object_new_int64(host_id));
    json_object_object_add(map, "size", json_object_new_int(1));
    json_object_array_add(list, map);
    return list;
}

/* An ordinary user is root in a namespace of his own. */
static void add_user(struct json_object *linux_part)
{
    struct json_object *namespaces, *user = json_object_new_object();

    json_object_object_get_ex(linux_part, "namespaces", &namespaces);
    json_object_object_add(user, "type", json_object_new_string("user"));
    json_object_array_add(namespaces, user);
    json_object_object_add(linux_part, "uidMappings", map_of(geteuid()));
    json_object_object_add(linux_part, "gidMappings", map_of(getegid()));
}

int workshop_make_bundle(const struct workshop *workshop, enum job_mode mode, struct error *error)
{
    struct json_object *document = json_tokener_parse(bundle_text);
    struct json_object *root = json_object_new_object(), *words = json_object_new_array(), *part;
    char path[PATH_MAX], folder[PATH_MAX];
    int result;

    snprintf(path, sizeof(path), "%s/root", workshop->folder);
    json_object_object_add(root, "path", json_object_new_string(path));
    json_object_object_add(root, "readonly", json_object_new_boolean(true));
    json_object_object_add(document, "root", root);
    json_object_array_add(words, json_object_new_string("/mote-probe"));
    json_object_array_add(words, json_object_new_string(mode_names[mode]));
    json_object_object_get_ex(document, "process", &part);
    json_object_object_add(part, "args", words);
    json_object_object_get_ex(document, "linux", &part);
    if (geteuid() != 0)
        add_user(part);
    workshop_bundle(workshop, mode, folder);
    if (mkdir(folder, 0755) < 0) {
        json_object_put(document);
        return error_system(error, errno, "%s", folder);
    }
    snprintf(path, sizeof(path), "%s/bundle-%s/config.json", workshop->folder, mode_names[mode]);
    result = write_json(path, document, error);
    json_object_put(document);
    return result;
}

/* ---- Firecracker ---------------------------------------------------------- */

/* It insists on the list, be it empty. */
static struct json_object *firecracker_drives(const struct workshop *workshop, enum job_mode mode)
{
    struct json_object *drives = json_object_new_array(), *drive;
    char path[PATH_MAX];

    if (mode != JOB_BLOCK)
        return drives;
    drive = json_object_new_object();
    snprintf(path, sizeof(path), "%s/" WORKSHOP_DATA, workshop->folder);
    json_object_object_add(drive, "drive_id", json_object_new_string("data"));
    json_object_object_add(drive, "path_on_host", json_object_new_string(path));
    json_object_object_add(drive, "is_root_device", json_object_new_boolean(false));
    json_object_object_add(drive, "is_read_only", json_object_new_boolean(true));
    json_object_array_add(drives, drive);
    return drives;
}

/* Firecracker refuses a KVM without KVM_CAP_XCRS (56) unless a CPU template leaves that out. */
static int add_cpu_template(const struct workshop *workshop, struct json_object *document,
                            struct error *error)
{
    static const char text[] = "{\"kvm_capabilities\":[\"!56\"]}";
    char path[PATH_MAX];

    if (!workshop->kvm_lacks_xcrs)
        return 0;
    snprintf(path, sizeof(path), "%s/firecracker-cpu.json", workshop->folder);
    json_object_object_add(document, "cpu-config", json_object_new_string(path));
    return write_file(path, text, strlen(text), error);
}

static struct json_object *firecracker_source(const struct workshop *workshop, const char *kernel,
                                              enum job_mode mode)
{
    struct json_object *source = json_object_new_object();
    char initramfs[PATH_MAX], line[PATH_MAX];

    snprintf(initramfs, sizeof(initramfs), "%s/initramfs", workshop->folder);
    json_object_object_add(source, "kernel_image_path", json_object_new_string(kernel));
    json_object_object_add(source, "initrd_path", json_object_new_string(initramfs));
    workshop_command_line(workshop, mode, line);
    json_object_object_add(source, "boot_args", json_object_new_string(line));
    return source;
}

int workshop_make_firecracker(const struct workshop *workshop, const char *name,
                              const char *kernel, enum job_mode mode, char path[PATH_MAX],
                              struct error *error)
{
    struct json_object *document, *machine;
    int result;

    snprintf(path, PATH_MAX, "%s/%.60s-%s.json", workshop->folder, name, mode_names[mode]);
    if (access(path, R_OK) == 0)
        return 0;
    document = json_object_new_object();
    machine = json_object_new_object();
    json_object_object_add(machine, "vcpu_count", json_object_new_int(1));
    json_object_object_add(machine, "mem_size_mib", json_object_new_int(128));
    json_object_object_add(document, "boot-source", firecracker_source(workshop, kernel, mode));
    json_object_object_add(document, "machine-config", machine);
    json_object_object_add(document, "drives", firecracker_drives(workshop, mode));
    result = add_cpu_template(workshop, document, error);
    if (result == 0)
        result = write_json(path, document, error);
    json_object_put(document);
    return result;
}
