/* SPDX-License-Identifier: Apache-2.0 */
/* The archive as cpio(1) reads it, the modules that a stock kernel needs, and which kernel is chosen. */
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

#include "tests/support/test_tool.h"
#include "vmm/base/cleanup.h"
#include "vmm/job/disk_format.h"
#include "vmm/job/initramfs.h"
#include "vmm/job/kernel_choice.h"
#include "vmm/job/modules.h"

static struct test_directory directory;

static int set_up(void **state)
{
    (void)state;
    test_directory_create(&directory);
    unsetenv("MOTE_KERNEL");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_directory_remove(&directory);
    return 0;
}

static void write_text(const char *name, const char *text)
{
    test_directory_write(&directory, name, text, strlen(text));
}

static void make_folder(const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", directory.path, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static void test_cpio(void **state)
{
    char list[] = "cpio -t --quiet <archive; cpio -i --quiet --to-stdout odd empty <archive";
    char shell[] = "sh", option[] = "-c";
    char *arguments[] = { shell, option, list, NULL };
    struct cpio cpio = { .bytes = NULL };
    struct error error = ERROR_INIT;
    char output[256];

    (void)state;
    assert_int_equal(cpio_add(&cpio, "odd", S_IFREG | 0644, "odd!!\n", 6, &error), 0);
    assert_int_equal(cpio_add(&cpio, "empty", S_IFREG | 0644, "", 0, &error), 0);
    assert_int_equal(cpio_add(&cpio, "init", S_IFREG | 0755, "abc", 3, &error), 0);
    assert_int_equal(cpio_finish(&cpio, &error), 0);
    assert_int_equal(cpio.used % 4, 0);
    test_directory_write(&directory, "archive", cpio.bytes, cpio.used);
    test_tool_run(&directory, arguments, output, sizeof(output));
    assert_string_equal(output, "odd\nempty\ninit\nodd!!\n");
    cpio_release(&cpio);
}

/* More than its first room, and every length modulo four. */
static void test_cpio_grows(void **state)
{
    struct cpio cpio = { .bytes = NULL };
    struct error error = ERROR_INIT;
    static uint8_t bytes[100003];

    (void)state;
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(cpio_add(&cpio, &"name of any length"[i % 18], S_IFREG | 0644, bytes,
                                  sizeof(bytes) - i, &error), 0);
    assert_true(cpio.used > 64 * (sizeof(bytes) - 64));
    assert_int_equal(cpio_add(&cpio, "large", S_IFREG, bytes, (64u << 20) + 1, &error), -EFBIG);
    cpio_release(&cpio);
}

static const char *const dependencies =
    "kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/lib/crc16.ko kernel/fs/mbcache.ko\n"
    "kernel/fs/jbd2/jbd2.ko:\n"
    "kernel/drivers/virtio/virtio_mmio.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz "
    "kernel/drivers/virtio/virtio.ko.xz\n"
    "kernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz "
    "kernel/drivers/virtio/virtio.ko.xz\n"
    "kernel/net/vmw_vsock/vmw-vsock-virtio-transport.ko:\n"
    "kernel/fs/ext4/not_ext4.ko:\n"
    "kernel/fs/overlayfs/overlay2.ko:\n"
    "a line without a colon\n"
    ":\n";

static void test_modules(void **state)
{
    static const char *const wanted[] = {
        "drivers/virtio/virtio.ko.xz", "drivers/virtio/virtio_ring.ko.xz",
        "drivers/virtio/virtio_mmio.ko.xz", "drivers/block/virtio_blk.ko.xz",
        "net/vmw_vsock/vmw-vsock-virtio-transport.ko", "fs/mbcache.ko", "lib/crc16.ko",
        "fs/jbd2/jbd2.ko", "fs/ext4/ext4.ko",
    };
    struct text_list modules = { .count = 0 }, extra = { .count = 0 };
    struct error error = ERROR_INIT;

    (void)state;
    write_text("modules.dep", dependencies);
    assert_int_equal(text_list_add(&extra, "ext4", &error), 0);
    assert_int_equal(text_list_add(&extra, "squashfs", &error), 0);
    assert_int_equal(modules_resolve(directory.path, &extra, &modules, &error), 0);
    assert_int_equal(modules.count, ARRAY_LENGTH(wanted));
    for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++) {
        char path[256];

        snprintf(path, sizeof(path), "%s/kernel/%s", directory.path, wanted[i]);
        assert_string_equal(modules.items[i], path);
    }
    assert_true(modules_resolve("/nowhere", &extra, &modules, &error) < 0);
    text_list_release(&modules);
    text_list_release(&extra);
}

static void test_named_kernel(void **state)
{
    struct kernel_choice choice;
    struct error error = ERROR_INIT;
    char path[256], modules[256];

    (void)state;
    snprintf(path, sizeof(path), "%s/bzImage", directory.path);
    snprintf(modules, sizeof(modules), "%s/modules", directory.path);
    assert_int_equal(kernel_choose(path, &choice, &error), 0);
    assert_string_equal(choice.path, path);
    assert_null(choice.modules);
    kernel_choice_release(&choice);

    make_folder("modules");
    write_text("modules/modules.dep", "");
    setenv("MOTE_KERNEL", path, 1);
    assert_int_equal(kernel_choose(NULL, &choice, &error), 0);
    assert_string_equal(choice.path, path);
    assert_string_equal(choice.modules, modules);
    kernel_choice_release(&choice);
    /* The option goes before the variable. */
    assert_int_equal(kernel_choose("other", &choice, &error), 0);
    assert_string_equal(choice.path, "other");
    kernel_choice_release(&choice);
}

static void test_built_kernel(void **state)
{
    struct kernel_choice choice;
    struct error error = ERROR_INIT;
    struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    char path[256];

    (void)state;
    setenv("MOTE_CACHE", directory.path, 1);
    make_folder("guest-kernels");
    make_folder("guest-kernels/a");
    make_folder("guest-kernels/b");
    make_folder("guest-kernels/c");
    write_text("guest-kernels/a/vmlinux", "new");
    write_text("guest-kernels/b/vmlinux", "old");
    write_text("guest-kernels/c/bzImage", "unpacks itself first");
    snprintf(path, sizeof(path), "%s/guest-kernels/b/vmlinux", directory.path);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    assert_int_equal(kernel_choose(NULL, &choice, &error), 0);
    snprintf(path, sizeof(path), "%s/guest-kernels/a/vmlinux", directory.path);
    assert_string_equal(choice.path, path);
    kernel_choice_release(&choice);
}

static void test_disk_formats(void **state)
{
    static const struct {
        size_t offset;
        const char *magic, *format;
    } known[] = {
        { 1024, "\xe2\xe1\xf5\xe0", "erofs" }, { 0, "hsqs", "squashfs" },
        { 1024 + 56, "\x53\xef", "ext4" }, { 0, "QFI\xfb", NULL }, { 0, "", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
        struct error error = ERROR_INIT;
        const char *format = NULL;
        char bytes[2048] = "", path[256];
        cleanup_fd int fd = -1;

        memcpy(bytes + known[i].offset, known[i].magic, strlen(known[i].magic));
        test_directory_write(&directory, "disk", bytes, sizeof(bytes));
        snprintf(path, sizeof(path), "%s/disk", directory.path);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (known[i].format) {
            assert_int_equal(disk_format_detect(fd, path, &format, &error), 0);
            assert_string_equal(format, known[i].format);
        } else {
            assert_true(disk_format_detect(fd, path, &format, &error) < 0);
            assert_non_null(strstr(error.message, known[i].magic[0] ? "qcow2" : "no file system"));
        }
    }
    assert_string_equal(disk_format_named("ext4"), "ext4");
    assert_null(disk_format_named("xfs"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cpio, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cpio_grows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_modules, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_named_kernel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_built_kernel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_disk_formats, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("run initramfs", tests, NULL, NULL);
}
