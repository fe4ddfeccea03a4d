/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of container images: any bytes give a manifest or configuration, or one line of why not. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/images/document.h"
#include "vmm/images/image_config.h"
#include "vmm/images/manifest.h"

static void config(const uint8_t *data, size_t size, struct error *error)
{
    static struct image_config config;

    if (image_config_read(&config, "config", data, size, error) < 0) {
        fuzz_require(!config.run);
        return;
    }
    fuzz_require(config.layers >= 1 && config.layers <= IMAGE_LAYERS_MAX);
    fuzz_require(json_object_object_length(config.run) == 8);
    json_object_put(config.run);
}

static void manifest(struct json_object *root, struct error *error)
{
    static struct manifest manifest;

    manifest_media(root);
    if (manifest_read(&manifest, "manifest", root, error) == 0)
        fuzz_require(manifest.count >= 1 && manifest.count <= IMAGE_LAYERS_MAX);
}

static void index_of(struct json_object *root, const char *tag, struct error *error)
{
    char path[] = "layout";
    const struct reference reference = { .path = path, .tag = tag };
    struct descriptor chosen;

    if (index_choose("index", root, tag ? &reference : NULL, &chosen, error) == 0)
        fuzz_require(chosen.media == MEDIA_INDEX || chosen.media == MEDIA_MANIFEST);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = ERROR_INIT;
    struct json_object *root;
    uint8_t what;

    if (size == 0)
        return 0;
    what = data[0];
    data++, size--;
    if (what % 4 == 0) {
        config(data, size, &error);
    } else {
        root = document_parse("document", data, size, json_type_object, &error);
        if (root && what % 4 == 1)
            manifest(root, &error);
        else if (root)
            index_of(root, what % 4 == 2 ? NULL : "latest", &error);
        json_object_put(root);
    }
    fuzz_require(!strchr(error.message, '\n') && strlen(error.message) < sizeof(error.message));
    return 0;
}
