/* SPDX-License-Identifier: Apache-2.0 */
/* What the words of a contender's command line stand for. */
#include "tests/support/workshop_bench.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>

#include "vmm/base/cleanup.h"

static void words_of(const char *name, enum job_mode mode, struct text_list *words, int wanted,
                     struct error *error)
{
    struct entry *entry = results_find(&bench.results, name);

    *words = (struct text_list){ .count = 0 };
    strcpy(entry->program, "/bin/program of it");
    assert_int_equal(workshop_words(&bench.workshop, entry, mode, words, error), wanted);
}

static void words_stand_for_things(void **state)
{
    struct error error = ERROR_INIT;
    struct text_list words;

    (void)state;
    strcpy(bench.workshop.kernels[KERNEL_OWN], "/a kernel");
    words_of("systemd-nspawn", JOB_IDLE, &words, 0, &error);
    assert_string_equal(words.items[0], "/bin/program of it");
    assert_int_equal(strncmp(words.items[7], "--directory=/tmp/mote-test-bench", 32), 0);
    assert_string_equal(words.items[words.count - 1], "idle");
    text_list_release(&words);
    words_of("qemu", JOB_ONCE, &words, 0, &error);
    assert_string_equal(words.items[words.count - 1], "/a kernel");
    assert_string_equal(words.items[words.count - 3],
                        "console=ttyS0 reboot=t panic=-1 quiet loglevel=1 once reset");
    assert_null(words.items[words.count]);
    text_list_release(&words);
}

/* podman's options of storage are there when it has it from us, in the folder, and else not. */
static void podman_may_have_our_storage(void **state)
{
    static const char *const wanted[] = { "--root", "podman", "--runroot", "podman-run",
                                          "--storage-driver", "vfs", "run" };
    size_t length = strlen(folder);
    struct error error = ERROR_INIT;
    struct text_list words;

    (void)state;
    words_of("podman", JOB_ONCE, &words, 0, &error);
    assert_string_equal(words.items[1], "run");
    text_list_release(&words);
    results_find(&bench.results, "podman-default")->has_lent_storage = true;
    words_of("podman-default", JOB_ONCE, &words, 0, &error);
    for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++) {
        const char *word = words.items[i + 1];

        if (strncmp(word, folder, length) == 0 && word[length] == '/')
            word += length + 1;
        assert_string_equal(word, wanted[i]);
    }
    text_list_release(&words);
}

/* Who can boot a vmlinux has a row with it, compared to Mote on the same image. */
static void each_image_is_compared_with_itself(void **state)
{
    static const char *const rows[][3] = {
        { "qemu", "mote-boot", "/a bzImage" },
        { "mote-boot", "mote-boot", "/a bzImage" },
        { "qemu-vmlinux", "mote-vmlinux", "/a vmlinux" },
        { "mote-vmlinux", "mote-vmlinux", "/a vmlinux" },
        { "cloud-hypervisor", "mote-vmlinux", "/a vmlinux" },
        { "cloud-hypervisor-bzimage", "mote-boot", "/a bzImage" },
    };
    struct error error = ERROR_INIT;

    (void)state;
    strcpy(bench.workshop.kernels[KERNEL_OWN], "/a bzImage");
    strcpy(bench.workshop.elfs[KERNEL_OWN], "/a vmlinux");
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct text_list words;
        bool found = false;

        words_of(rows[i][0], JOB_ONCE, &words, 0, &error);
        for (size_t word = 0; word < words.count; word++)
            found |= strcmp(words.items[word], rows[i][2]) == 0;
        if (!found)
            fail_msg("%s does not boot %s", rows[i][0], rows[i][2]);
        text_list_release(&words);
        assert_string_equal(results_find(&bench.results, rows[i][0])->contender->base, rows[i][1]);
    }
}

/* Whether a word of WORDS is TEXT, in which "FOLDER" is the workshop's. */
static bool has_word(const struct text_list *words, const char *text)
{
    const char *at = strstr(text, "FOLDER");
    char wanted[256];

    if (at)
        snprintf(wanted, sizeof(wanted), "%.*s%s%s", (int)(at - text), text, folder, at + 6);
    else
        snprintf(wanted, sizeof(wanted), "%s", text);
    for (size_t i = 0; i < words->count; i++)
        if (strcmp(words->items[i], wanted) == 0)
            return true;
    return false;
}

/* What the axes block and network need is in the command lines there, and there alone. */
static void axes_have_words_of_their_own(void **state)
{
    static const struct {
        const char *name;
        enum job_mode mode;
        const char *word;
    } rows[] = {
        { "process", JOB_BLOCK, "FOLDER/root/mote-data" },
        { "mote-boot", JOB_BLOCK, "FOLDER/root/mote-data,ro" },
        { "qemu", JOB_BLOCK, "id=data,file=FOLDER/root/mote-data,format=raw,if=none,readonly=on" },
        { "crun", JOB_BLOCK, "FOLDER/bundle-block" },
        { "mote", JOB_NETWORK, "network-7f000001-1f90" },
        { "mote", JOB_NETWORK, "user,local" },
        { "bubblewrap", JOB_NETWORK, "--share-net" },
        { "mote-boot", JOB_NETWORK, "user,private,local" },
        { "mote-boot", JOB_NETWORK,
          "console=ttyS0 reboot=t panic=-1 quiet loglevel=1 network-7f000001-1f90 reset" },
    };
    struct error error = ERROR_INIT;
    struct text_list words;

    (void)state;
    strcpy(bench.workshop.kernels[KERNEL_OWN], "/a kernel");
    strcpy(bench.workshop.peer, "7f000001-1f90");
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        words_of(rows[i].name, rows[i].mode, &words, 0, &error);
        if (!has_word(&words, rows[i].word))
            fail_msg("%s lacks %s", rows[i].name, rows[i].word);
        text_list_release(&words);
        words_of(rows[i].name, JOB_ONCE, &words, 0, &error);
        assert_false(has_word(&words, rows[i].word));
        text_list_release(&words);
    }
    assert_null(contender_extra(results_find(&bench.results, "crun")->contender, JOB_NETWORK));
    assert_null(contender_extra(results_find(&bench.results, "qemu-stock")->contender, JOB_BLOCK));
}

static void kernels_may_be_missing(void **state)
{
    struct error error = ERROR_INIT;
    struct text_list words;

    (void)state;
    words_of("mote", JOB_ONCE, &words, -ENOENT, &error);
    assert_non_null(strstr(error.message, "scripts/guest-kernel"));
    text_list_release(&words);
    words_of("mote-stock", JOB_ONCE, &words, -ENOENT, &error);
    assert_non_null(strstr(error.message, "--stock-kernel"));
    text_list_release(&words);
    strcpy(bench.workshop.kernels[KERNEL_OWN], "/a kernel");
    words_of("firecracker", JOB_ONCE, &words, -ENOENT, &error);
    assert_non_null(strstr(error.message, "vmlinux"));
    text_list_release(&words);
}

/* The configuration that the last word of NAME's command line names. */
static struct json_object *configuration_of(const char *name, enum job_mode mode)
{
    struct error error = ERROR_INIT;
    struct text_list words;
    struct json_object *document;

    words_of(name, mode, &words, 0, &error);
    document = json_object_from_file(words.items[words.count - 1]);
    text_list_release(&words);
    assert_non_null(document);
    return document;
}

static struct json_object *member(struct json_object *object, const char *name)
{
    struct json_object *value = NULL;

    if (!json_object_object_get_ex(object, name, &value))
        fail_msg("%s is missing", name);
    return value;
}

/* Firecracker 1.17 insists on all three sections; drives is a list, empty without a disk. */
static void firecracker_has_its_file(void **state)
{
    struct json_object *document, *source;

    (void)state;
    strcpy(bench.workshop.elfs[KERNEL_OWN], "/a \"kernel\"");
    strcpy(bench.workshop.kernels[KERNEL_STOCK], "/a bzImage");
    document = configuration_of("firecracker", JOB_IDLE);
    source = member(document, "boot-source");
    assert_string_equal(json_object_get_string(member(source, "kernel_image_path")),
                        "/a \"kernel\"");
    assert_non_null(strstr(json_object_get_string(member(source, "boot_args")), " rest"));
    assert_int_equal(json_object_get_int(member(member(document, "machine-config"), "vcpu_count")),
                     1);
    assert_true(json_object_is_type(member(document, "drives"), json_type_array));
    assert_int_equal(json_object_array_length(member(document, "drives")), 0);
    json_object_put(document);
    document = configuration_of("firecracker", JOB_BLOCK);
    assert_int_equal(json_object_array_length(member(document, "drives")), 1);
    json_object_put(document);
    document = configuration_of("firecracker-bzimage-stock", JOB_ONCE);
    source = member(document, "boot-source");
    assert_string_equal(json_object_get_string(member(source, "kernel_image_path")), "/a bzImage");
    json_object_put(document);
}

/* A host without XSAVE has a CPU template that says so, and no other host has one. */
static void firecracker_knows_of_a_lack_of_xsave(void **state)
{
    struct json_object *document, *template;

    (void)state;
    strcpy(bench.workshop.elfs[KERNEL_OWN], "/a kernel");
    document = configuration_of("firecracker", JOB_ONCE);
    assert_false(json_object_object_get_ex(document, "cpu-config", NULL));
    json_object_put(document);
    bench.workshop.kvm_lacks_xcrs = true;
    document = configuration_of("firecracker", JOB_IDLE);
    template = json_object_from_file(json_object_get_string(member(document, "cpu-config")));
    assert_string_equal(json_object_get_string(json_object_array_get_idx(
                            member(template, "kvm_capabilities"), 0)), "!56");
    json_object_put(template);
    json_object_put(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(axes_have_words_of_their_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(words_stand_for_things, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_image_is_compared_with_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(podman_may_have_our_storage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kernels_may_be_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(firecracker_has_its_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(firecracker_knows_of_a_lack_of_xsave, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
