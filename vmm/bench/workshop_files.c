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

#include "vmm/cleanup.h"
#include "vmm/image.h"
#include "vmm/run/initramfs.h"

static const char *const mode_names[] = { [JOB_ONCE] = "once", [JOB_IDLE] = "idle" };

/* A triple fault ends a VM under every monitor, whatever hardware it has. */
#define KERNEL_WORDS "console=ttyS0 reboot=t panic=-1 quiet loglevel=1 "

const char *workshop_command_line(enum job_mode mode)
{
    return mode == JOB_IDLE ? KERNEL_WORDS "rest" : KERNEL_WORDS "reset";
}

static int write_file(const char *path, const void *bytes, size_t length, struct error *error)
{
    cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    size_t written = 0;

    while (fd >= 0 && written < length) {
        ssize_t count = write(fd, (const char *)bytes + written, length - written);

        if (count < 0 && errno != EINTR)
            break;
        written += count > 0 ? (size_t)count : 0;
    }
    return fd >= 0 && written == length ? 0 : error_system(error, errno, "%s", path);
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
    char path[PATH_MAX];
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
    snprintf(path, sizeof(path), "%s/bundle-%s", workshop->folder, mode_names[mode]);
    if (mkdir(path, 0755) < 0) {
        json_object_put(document);
        return error_system(error, errno, "%s", path);
    }
    snprintf(path, sizeof(path), "%s/bundle-%s/config.json", workshop->folder, mode_names[mode]);
    result = write_json(path, document, error);
    json_object_put(document);
    return result;
}

/* ---- Firecracker ---------------------------------------------------------- */

int workshop_make_firecracker(const struct workshop *workshop, enum kernel_kind kind,
                              enum job_mode mode, char path[PATH_MAX], struct error *error)
{
    struct json_object *document = json_object_new_object(), *source = json_object_new_object();
    struct json_object *machine = json_object_new_object();
    char initramfs[PATH_MAX];
    int result;

    snprintf(initramfs, sizeof(initramfs), "%s/initramfs", workshop->folder);
    json_object_object_add(source, "kernel_image_path",
                           json_object_new_string(workshop->elfs[kind]));
    json_object_object_add(source, "initrd_path", json_object_new_string(initramfs));
    json_object_object_add(source, "boot_args",
                           json_object_new_string(workshop_command_line(mode)));
    json_object_object_add(machine, "vcpu_count", json_object_new_int(1));
    json_object_object_add(machine, "mem_size_mib", json_object_new_int(128));
    json_object_object_add(document, "boot-source", source);
    json_object_object_add(document, "machine-config", machine);
    snprintf(path, PATH_MAX, "%s/firecracker-%d-%s.json", workshop->folder, (int)kind,
             mode_names[mode]);
    result = access(path, R_OK) == 0 ? 0 : write_json(path, document, error);
    json_object_put(document);
    return result;
}
