/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests, indexes and configurations of container images. */
#include "tests/support/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/images/document.h"
#include "vmm/images/image_config.h"
#include "vmm/images/manifest.h"

#define D0 "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define D1 "sha256:" "1111111111111111111111111111111111111111111111111111111111111111"
#define D2 "sha256:" "2222222222222222222222222222222222222222222222222222222222222222"
#define D3 "sha256:" "3333333333333333333333333333333333333333333333333333333333333333"
#define MANIFEST "\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
#define PLATFORM(os, arch) ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"}"
#define TAG(tag) ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"" tag "\"}"

static struct json_object *parsed(const char *text)
{
    struct error error = ERROR_INIT;
    struct json_object *root =
        document_parse("doc", text, strlen(text), json_type_object, &error);

    if (!root)
        fail_msg("%s", error.message);
    return root;
}

static void test_documents(void **state)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        { "{", "ends too early" },     { "[]", "is no object" }, { "{} {}", "more follows" },
        { "", "ends too early" }, { "{\"a\" 1}", "is no JSON" },
    };
    char deep[200];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error error = ERROR_INIT;

        assert_null(document_parse("doc", bad[i].text, strlen(bad[i].text), json_type_object,
                                   &error));
        if (!strstr(error.message, bad[i].why))
            fail_msg("'%s' is not in '%s'", bad[i].why, error.message);
    }
    memset(deep, '[', sizeof(deep));
    assert_null(document_parse("doc", deep, sizeof(deep), json_type_array,
                               &(struct error)ERROR_INIT));
    json_object_put(parsed("{}\n"));
}

static int read_config(struct image_config *config, const char *text, struct error *error)
{
    return image_config_read(config, "config", text, strlen(text), error);
}

static void test_configuration(void **state)
{
    struct image_config *config = calloc(1, sizeof(*config));
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(read_config(config, "{\"rootfs\":{\"diff_ids\":[\"" D1 "\",\"" D2 "\"]},"
                                 "\"config\":{\"Entrypoint\":[\"/a\",\"b\\\"\"],\"Cmd\":null,"
                                 "\"Env\":[\"A=1\"],\"User\":\"7:8\"}}", &error), 0);
    assert_int_equal(config->layers, 2);
    assert_int_equal(config->diff_ids[1].bytes[0], 0x22);
    assert_string_equal(json_object_to_json_string_ext(config->run, JSON_C_TO_STRING_PLAIN |
                                                                        JSON_C_TO_STRING_NOSLASHESCAPE),
                        "{\"entrypoint\":[\"/a\",\"b\\\"\"],\"cmd\":[],\"env\":[\"A=1\"],"
                        "\"user\":\"7:8\",\"working_dir\":\"\",\"stop_signal\":\"\",\"volumes\":[],"
                        "\"health_check\":false}");
    json_object_put(config->run);
    free(config);
}

static void test_bad_configurations(void **state)
{
#define ROOTFS "\"rootfs\":{\"diff_ids\":[\"" D1 "\"]}"
    static const struct {
        const char *text, *why;
    } bad[] = {
        { "{}", "names no layers" },
        { "{\"rootfs\":[]}", "rootfs: is no object" },
        { "{\"rootfs\":{\"diff_ids\":[]}}", "names no layers" },
        { "{\"rootfs\":{\"diff_ids\":[7]}}", "is no text" },
        { "{\"rootfs\":{\"diff_ids\":[\"sha256:../../etc\"]}}", "is no sha256:HEX" },
        { "{" ROOTFS ",\"config\":7}", "config: is no object" },
        { "{" ROOTFS ",\"config\":{\"Cmd\":\"sh\"}}", "Cmd: is no list" },
        { "{" ROOTFS ",\"config\":{\"Env\":[{}]}}", "Env: has an element that is no text" },
        { "{" ROOTFS ",\"config\":{\"User\":[]}}", "User: is no text" },
        { "{" ROOTFS ",\"config\":{\"User\":\"a\\u0000b\"}}", "has a NUL character" },
        { "{" ROOTFS ",\"config\":{\"StopSignal\":3}}", "StopSignal: is no text" },
        { "{" ROOTFS ",\"config\":{\"Volumes\":[\"/data\"]}}", "Volumes: is no object" },
        { "{" ROOTFS ",\"config\":{\"Volumes\":{\"data\":{}}}}", "is no path from the root" },
        { "{" ROOTFS ",\"config\":{\"Healthcheck\":true}}", "Healthcheck: is no object" },
        { "{" ROOTFS ",\"config\":{\"Healthcheck\":{\"Test\":[1]}}}", "Test: has an element that is no text" },
        { "{" ROOTFS ",\"os\":\"windows\"}", "is for windows/" },
        { "{" ROOTFS ",\"os\":\"windows\"}", "build or fetch the image for that" },
        { "{" ROOTFS ",\"architecture\":\"vax\"}", "is for linux/vax" },
    };
    struct image_config *config = calloc(1, sizeof(*config));

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error error = ERROR_INIT;

        assert_true(read_config(config, bad[i].text, &error) < 0);
        assert_null(config->run);
        if (!strstr(error.message, bad[i].why))
            fail_msg("'%s' is not in '%s'", bad[i].why, error.message);
    }
    free(config);
}

/* What is in use for this host's, and what a run is told of a configuration. */
static void test_words_of_configurations(void **state)
{
    static const char *const words[][2] = {
        { "amd64", "x86_64" }, { "amd64", "x86-64" }, { "amd64", "AMD64" }, { "arm64", "aarch64" },
    };
    struct image_config *config = calloc(1, sizeof(*config));
    struct error error = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        assert_int_equal(image_is_for_host("Linux", words[i][1]),
                         strcmp(words[i][0], image_architecture()) == 0);
    assert_true(image_is_for_host(NULL, NULL));
    assert_true(image_is_for_host("", ""));
    assert_false(image_is_for_host("linux", "386"));
    assert_int_equal(read_config(config, "{" ROOTFS ",\"config\":{\"StopSignal\":\"SIGQUIT\",\"Volumes\":"
                                 "{\"/data\":{}},\"Labels\":{\"a\":\"b\"},\"ExposedPorts\":{\"80/tcp\":{}},"
                                 "\"Healthcheck\":{\"Test\":[\"CMD\",\"x\"]}}}", &error), 0);
    assert_non_null(strstr(json_object_to_json_string_ext(config->run, JSON_C_TO_STRING_NOSLASHESCAPE),
                           "\"stop_signal\":\"SIGQUIT\",\"volumes\":[\"/data\"],\"health_check\":true"));
    json_object_put(config->run);
    assert_int_equal(read_config(config, "{" ROOTFS ",\"config\":{\"Volumes\":null,\"Healthcheck\":"
                                 "{\"Test\":[\"NONE\"]}}}", &error), 0);
    assert_non_null(strstr(json_object_to_json_string_ext(config->run, JSON_C_TO_STRING_PLAIN),
                           "\"stop_signal\":\"\",\"volumes\":[],\"health_check\":false"));
    json_object_put(config->run);
    free(config);
}

static void test_too_many_layers(void **state)
{
    struct image_config *config = calloc(1, sizeof(*config));
    struct error error = ERROR_INIT;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    fputs("{\"rootfs\":{\"diff_ids\":[\"" D1 "\"", out);
    for (int i = 1; i < IMAGE_LAYERS_MAX + 1; i++)
        fputs(",\"" D1 "\"", out);
    fputs("]}}", out);
    fclose(out);
    assert_true(read_config(config, text, &error) < 0);
    assert_non_null(strstr(error.message, "more than 500"));
    free(text);
    free(config);
}

static void test_manifests(void **state)
{
    struct manifest *manifest = calloc(1, sizeof(*manifest));
    struct error error = ERROR_INIT;
    struct json_object *root = parsed("{\"config\":{\"digest\":\"" D1 "\",\"size\":5},"
                                      "\"layers\":[{\"digest\":\"" D2 "\",\"size\":6}]}");

    (void)state;
    assert_int_equal(manifest_media(root), MEDIA_MANIFEST);
    assert_int_equal(manifest_read(manifest, "m", root, &error), 0);
    assert_int_equal(manifest->count, 1);
    assert_int_equal(manifest->layers[0].size, 6);
    json_object_put(root);
    root = parsed("{\"config\":{\"digest\":\"" D1 "\",\"size\":-5},\"layers\":[]}");
    assert_true(manifest_read(manifest, "m", root, &error) < 0);
    assert_non_null(strstr(error.message, "size: is negative"));
    json_object_put(root);
    root = parsed("{\"config\":{\"digest\":\"" D1 "\"},\"layers\":[null]}");
    assert_true(manifest_read(manifest, "m", root, &error) < 0);
    json_object_put(root);
    root = parsed("{\"fsLayers\":[]}");
    assert_int_equal(manifest_media(root), MEDIA_SCHEMA1);
    json_object_put(root);
    free(manifest);
}

/* The first byte of the digest that is chosen of TEXT; 0 and *ERROR when none is. */
static int chosen(const char *text, const char *tag, bool layout, struct error *error)
{
    char path[] = "img";
    struct reference reference = { .path = path, .tag = tag };
    struct json_object *root = parsed(text);
    struct descriptor descriptor = { .size = 0 };
    int result = index_choose("index", root, layout ? &reference : NULL, &descriptor, error);

    json_object_put(root);
    return result < 0 ? 0 : descriptor.digest.bytes[0];
}

static void test_choice_by_platform(void **state)
{
    struct error error = ERROR_INIT;
    const char *own = image_architecture();
    char text[1024];

    (void)state;
    snprintf(text, sizeof(text), "{\"manifests\":[{" MANIFEST "\"digest\":\"" D1 "\""
             PLATFORM("linux", "vax") "},{" MANIFEST "\"digest\":\"" D2 "\",\"platform\":"
             "{\"os\":\"linux\",\"architecture\":\"%s\",\"variant\":\"v9\"}},{" MANIFEST
             "\"digest\":\"" D3 "\",\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}}]}",
             own, own);
    assert_int_equal(chosen(text, NULL, false, &error), 0x33);
    /* Of variants alone the one that asks the least of the processor. */
    snprintf(text, sizeof(text), "{\"manifests\":[{" MANIFEST "\"digest\":\"" D1 "\",\"platform\":"
             "{\"os\":\"linux\",\"architecture\":\"%s\",\"variant\":\"v3\"}},{" MANIFEST
             "\"digest\":\"" D3 "\",\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\","
             "\"variant\":\"v2\"}}]}", own, own);
    assert_int_equal(chosen(text, NULL, false, &error), 0x33);
    snprintf(text, sizeof(text), "{\"manifests\":[{" MANIFEST "\"digest\":\"" D1 "\""
             PLATFORM("linux", "vax") "},{\"mediaType\":\"x/y\",\"digest\":\"" D2 "\"}]}");
    assert_int_equal(chosen(text, NULL, false, &error), 0);
    assert_non_null(strstr(error.message, "holds nothing for linux/"));
    assert_int_equal(chosen("{\"manifests\":[]}", NULL, false, &error), 0);
    assert_int_equal(chosen("{\"manifests\":[7]}", NULL, false, &error), 0);
}

static void test_choice_by_tag(void **state)
{
    static const char two[] = "{\"manifests\":[{" MANIFEST "\"digest\":\"" D1 "\"" TAG("old") "},{"
                              MANIFEST "\"digest\":\"" D2 "\"" TAG("latest") "}]}";
    static const char one[] = "{\"manifests\":[{" MANIFEST "\"digest\":\"" D1 "\"" TAG("old") "}]}";
    static const char none[] = "{\"manifests\":[{" MANIFEST "\"digest\":\"" D1 "\"}]}";
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(chosen(two, "old", true, &error), 0x11);
    assert_int_equal(chosen(two, NULL, true, &error), 0x22);
    assert_int_equal(chosen(one, NULL, true, &error), 0x11);
    assert_int_equal(chosen(none, NULL, true, &error), 0x11);
    assert_int_equal(chosen(one, "odl", true, &error), 0);
    assert_non_null(strstr(error.message, "has old"));
    assert_int_equal(chosen(none, "x", true, &error), 0);
    assert_non_null(strstr(error.message, "leave the tag out"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_bad_configurations),
        cmocka_unit_test(test_words_of_configurations),
        cmocka_unit_test(test_too_many_layers),
        cmocka_unit_test(test_manifests),
        cmocka_unit_test(test_choice_by_platform),
        cmocka_unit_test(test_choice_by_tag),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
