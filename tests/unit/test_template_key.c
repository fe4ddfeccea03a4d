/* SPDX-License-Identifier: Apache-2.0 */
/* What makes a guest's template another's. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/own_directory.h"
#include "vmm/base/cleanup.h"
#include "vmm/config/config.h"
#include "vmm/job/job.h"
#include "vmm/job/kernel_choice.h"
#include "vmm/job/rootfs.h"
#include "vmm/job/template_key.h"

/* A guest of files that are there. */
struct guest {
    struct vm_config vm;
    char init[128], kernel_path[128], modules[128];
    struct kernel_choice kernel;
    struct text_list wanted;
    struct rootfs rootfs;
    char names[2][8];
    struct template_parts parts;
};

static void make_guest(struct guest *guest)
{
    *guest = (struct guest){ .vm = vm_config_default(), .names = { "disk0", "disk1" } };
    test_directory_write(&directory, "init", "i", 1);
    test_directory_write(&directory, "kernel", "k", 1);
    test_directory_write(&directory, "modules.dep", "m", 1);
    snprintf(guest->init, sizeof(guest->init), "%s/init", directory.path);
    snprintf(guest->kernel_path, sizeof(guest->kernel_path), "%s/kernel", directory.path);
    snprintf(guest->modules, sizeof(guest->modules), "%s", directory.path);
    guest->vm.command_line = "quiet";
    guest->kernel = (struct kernel_choice){ .path = guest->kernel_path };
    for (size_t i = 0; i < 2; i++) {
        test_directory_write(&directory, guest->names[i], "disk", 4);
        guest->rootfs.layers[i].fd = open(path_of(guest->names[i]), O_RDONLY | O_CLOEXEC);
        guest->rootfs.layers[i].path = guest->names[i];
    }
    guest->rootfs.layer_count = 2;
    guest->parts = (struct template_parts){
        .vm = &guest->vm, .init = guest->init, .kernel = &guest->kernel, .wanted = &guest->wanted,
        .rootfs = &guest->rootfs, .scratch = -1,
    };
}

static void end_guest(struct guest *guest)
{
    for (size_t i = 0; i < 2; i++)
        close(guest->rootfs.layers[i].fd);
    text_list_release(&guest->wanted);
}

static char *key_of(const struct guest *guest)
{
    struct error error = ERROR_INIT;
    char *key = NULL;

    if (template_key(&guest->parts, &key, &error) < 0)
        fail_msg("%s", error.message);
    return key;
}

/* The key is another than FORMER, which it takes the place of. */
static void becomes_another(const struct guest *guest, char **former)
{
    char one[TEMPLATE_NAME_SIZE], other[TEMPLATE_NAME_SIZE];
    char *key = key_of(guest);

    assert_string_not_equal(key, *former);
    template_name(key, one);
    template_name(*former, other);
    assert_string_not_equal(one, other);
    assert_true(template_name_is_good(one));
    free(*former);
    *former = key;
}

/* Each part by itself makes another guest. */
static void test_key(void **state)
{
    struct error error = ERROR_INIT;
    cleanup_free char *key = NULL, *again = NULL;
    struct guest guest;
    int disk;

    (void)state;
    make_guest(&guest);
    key = key_of(&guest);
    again = key_of(&guest);
    assert_string_equal(key, again);
    guest.vm.memory *= 2;
    becomes_another(&guest, &key);
    guest.vm.cpus = 2;
    becomes_another(&guest, &key);
    guest.vm.describe = DESCRIBE_FDT;
    becomes_another(&guest, &key);
    guest.vm.command_line = "quiet loglevel=1";
    becomes_another(&guest, &key);
    guest.parts.packed = true;
    becomes_another(&guest, &key);
    guest.parts.network = true;
    becomes_another(&guest, &key);
    guest.kernel.modules = guest.modules;
    becomes_another(&guest, &key);
    assert_int_equal(text_list_add(&guest.wanted, "erofs", &error), 0);
    becomes_another(&guest, &key);
    guest.rootfs.volume_count = 1; /* as another kind of disk */
    guest.rootfs.volumes[0] = guest.rootfs.layers[1];
    guest.rootfs.layer_count = 1;
    becomes_another(&guest, &key);
    disk = open(path_of("disk0"), O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(disk, 1 << 20), 0);
    guest.parts.scratch = disk;
    becomes_another(&guest, &key);
    assert_int_equal(ftruncate(disk, 2 << 20), 0);
    becomes_another(&guest, &key);
    guest.parts.prepare = (const uint8_t *)"\0/target";
    guest.parts.prepare_length = 9;
    becomes_another(&guest, &key);
    guest.parts.prepare_length = 8;
    becomes_another(&guest, &key);
    close(disk);
    guest.parts.scratch = -1;
    end_guest(&guest);
}

/* The same size and the same name, but other contents. */
static void test_key_of_changed_files(void **state)
{
    static const char *const names[] = { "init", "kernel", "modules.dep", "disk0", "disk1" };
    cleanup_free char *key = NULL;
    struct guest guest;

    (void)state;
    make_guest(&guest);
    guest.kernel.modules = guest.modules;
    key = key_of(&guest);
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        int fd = open(path_of(names[i]), O_WRONLY | O_CLOEXEC);

        usleep(20000); /* the grain of a file's times */
        assert_int_equal(pwrite(fd, "x", 1, 0), 1);
        close(fd);
        becomes_another(&guest, &key);
    }
    end_guest(&guest);
}

/* What changes without a trace is no part of a template. */
static void test_key_of_a_device(void **state)
{
    struct error error = ERROR_INIT;
    char *key = NULL;
    struct guest guest;
    int layer;

    (void)state;
    make_guest(&guest);
    layer = guest.rootfs.layers[1].fd;
    guest.rootfs.layers[1].fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(template_key(&guest.parts, &key, &error), -EINVAL);
    assert_non_null(strstr(error.message, "disk1 is no file"));
    close(guest.rootfs.layers[1].fd);
    guest.rootfs.layers[1].fd = layer;
    snprintf(guest.kernel_path, sizeof(guest.kernel_path), "%s/nowhere", directory.path);
    assert_int_equal(template_key(&guest.parts, &key, &error), -ENOENT);
    assert_null(key);
    end_guest(&guest);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(template_name_is_good("0123456789abcdef"));
    assert_false(template_name_is_good("0123456789abcde"));
    assert_false(template_name_is_good("0123456789abcdef0"));
    assert_false(template_name_is_good("0123456789abcdeg"));
    assert_false(template_name_is_good("../456789abcdef0"));
    assert_false(template_name_is_good("0123456789abcdef.partial"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_key), TEST(test_key_of_changed_files), TEST(test_key_of_a_device),
        TEST(test_names),
    };

    return cmocka_run_group_tests_name("template's key", tests, NULL, NULL);
}
