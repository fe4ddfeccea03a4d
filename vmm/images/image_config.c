/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/image_config.h"

#include <errno.h>
#include <json-c/linkhash.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>

#include "vmm/base/cleanup.h"
#include "vmm/images/document.h"

/* GOARCH's names, which images use, beside uname(2)'s and others that were seen in images. */
static const struct {
    const char *other, *name;
} names[] = {
    { "x86_64", "amd64" }, { "x86-64", "amd64" }, { "aarch64", "arm64" }, { "riscv64", "riscv64" },
    { "ppc64le", "ppc64le" }, { "s390x", "s390x" },
};

static const char *usual_name(const char *architecture)
{
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        if (strcasecmp(architecture, names[i].other) == 0 ||
            strcasecmp(architecture, names[i].name) == 0)
            return names[i].name;
    return "unknown";
}

const char *image_architecture(void)
{
    struct utsname host;

    return uname(&host) == 0 ? usual_name(host.machine) : "unknown";
}

bool image_is_for_host(const char *system, const char *architecture)
{
    return (!system || !system[0] || strcasecmp(system, "linux") == 0) &&
           (!architecture || !architecture[0] ||
            strcmp(usual_name(architecture), image_architecture()) == 0);
}

static int check_platform(const char *name, struct json_object *root, struct error *error)
{
    const char *system, *architecture;

    if (document_text(name, root, "os", &system, error) < 0 ||
        document_text(name, root, "architecture", &architecture, error) < 0)
        return -error->number;
    if (!image_is_for_host(system, architecture))
        return error_set(error, EINVAL, "%s: is for %.20s/%.20s; this host needs linux/%s: build or "
                         "fetch the image for that (skopeo copy --override-arch %s …)", name,
                         system && system[0] ? system : "linux",
                         architecture && architecture[0] ? architecture : "unknown",
                         image_architecture(), image_architecture());
    return 0;
}

static int read_layers(struct image_config *config, const char *name, struct json_object *root,
                       struct error *error)
{
    struct json_object *rootfs, *list = NULL;

    if (document_object(name, root, "rootfs", &rootfs, error) < 0 ||
        (rootfs && document_list(name, rootfs, "diff_ids", &list, error) < 0))
        return -error->number;
    config->layers = list ? json_object_array_length(list) : 0;
    if (config->layers == 0)
        return document_wrong(name, "rootfs.diff_ids", "names no layers", error);
    if (config->layers > IMAGE_LAYERS_MAX)
        return document_wrong(name, "rootfs.diff_ids", "names more than 500 layers", error);
    for (size_t i = 0; i < config->layers; i++) {
        const char *text;

        if (document_element(name, "rootfs.diff_ids", list, i, &text, error) < 0)
            return -error->number;
        if (!digest_parse(text, &config->diff_ids[i]))
            return document_wrong(name, "rootfs.diff_ids", "has an element that is no "
                                  "sha256:HEX", error);
    }
    return 0;
}

/* KEY of FROM, a list of texts or absent, as RESULT of TO. */
static int copy_list(const char *name, struct json_object *from, const char *key,
                     struct json_object *to, const char *result, struct error *error)
{
    struct json_object *list = NULL, *copy = json_object_new_array();

    json_object_object_add(to, result, copy);
    if (from && document_list(name, from, key, &list, error) < 0)
        return -error->number;
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        const char *text;

        if (document_element(name, key, list, i, &text, error) < 0)
            return -error->number;
        json_object_array_add(copy, json_object_new_string(text));
    }
    return 0;
}

static int copy_text(const char *name, struct json_object *from, const char *key,
                     struct json_object *to, const char *result, struct error *error)
{
    const char *text = NULL;

    if (from && document_text(name, from, key, &text, error) < 0)
        return -error->number;
    json_object_object_add(to, result, json_object_new_string(text ? text : ""));
    return 0;
}

/* {"/PATH": {}, …}: no more than a guest is told of. */
static int copy_volumes(const char *name, struct json_object *from, struct json_object *to,
                        struct error *error)
{
    struct json_object *volumes = NULL, *copy = json_object_new_array();

    json_object_object_add(to, "volumes", copy);
    if (from && document_object(name, from, "Volumes", &volumes, error) < 0)
        return -error->number;
    if (!volumes)
        return 0;
    if (json_object_object_length(volumes) > IMAGE_VOLUMES_MAX)
        return document_wrong(name, "Volumes", "names more than 64", error);
    json_object_object_foreach(volumes, path, unused) {
        (void)unused;
        if (path[0] != '/' || strlen(path) >= PATH_MAX)
            return document_wrong(name, "Volumes", "has one that is no path from the root", error);
        json_object_array_add(copy, json_object_new_string(path));
    }
    return 0;
}

/* Whether there is one: a test of ["NONE"] takes a base image's away. */
static int note_health_check(const char *name, struct json_object *from, struct json_object *to,
                             struct error *error)
{
    struct json_object *check = NULL, *test = NULL;
    const char *first = NULL;

    if ((from && document_object(name, from, "Healthcheck", &check, error) < 0) ||
        (check && document_list(name, check, "Test", &test, error) < 0) ||
        (test && json_object_array_length(test) > 0 &&
         document_element(name, "Test", test, 0, &first, error) < 0))
        return -error->number;
    json_object_object_add(to, "health_check",
                           json_object_new_boolean(first && strcmp(first, "NONE") != 0));
    return 0;
}

static int read_run(struct image_config *config, const char *name, struct json_object *root,
                    struct error *error)
{
    struct json_object *from, *run = config->run;

    if (document_object(name, root, "config", &from, error) < 0 ||
        copy_list(name, from, "Entrypoint", run, "entrypoint", error) < 0 ||
        copy_list(name, from, "Cmd", run, "cmd", error) < 0 ||
        copy_list(name, from, "Env", run, "env", error) < 0 ||
        copy_text(name, from, "User", run, "user", error) < 0 ||
        copy_text(name, from, "WorkingDir", run, "working_dir", error) < 0 ||
        copy_text(name, from, "StopSignal", run, "stop_signal", error) < 0 ||
        copy_volumes(name, from, run, error) < 0 || note_health_check(name, from, run, error) < 0)
        return -error->number;
    return 0;
}

int image_config_read(struct image_config *config, const char *name, const void *text,
                      size_t length, struct error *error)
{
    struct json_object *root = document_parse(name, text, length, json_type_object, error);
    int result;

    *config = (struct image_config){ .layers = 0 };
    if (!root)
        return -error->number;
    config->run = json_object_new_object();
    result = check_platform(name, root, error);
    if (result == 0)
        result = read_layers(config, name, root, error);
    if (result == 0)
        result = read_run(config, name, root, error);
    json_object_put(root);
    if (result < 0) {
        json_object_put(config->run);
        config->run = NULL;
    }
    return result;
}
