/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest's init makes in the job's root for a volume to be mounted at. */
#include "guest/init/init.h"

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

_Noreturn void init_failed(int number, const char *format, ...)
{
    fprintf(stderr, "init_failed: %s: %s\n", format, strerror(number));
    abort();
}

/* An empty file of mode 0644 is at PATH. */
static void is_made(const char *path)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0644);
    assert_int_equal(status.st_size, 0);
}

static void test_a_file_with_its_parents(void **state)
{
    struct stat status;

    (void)state;
    umask(022);
    assert_int_equal(mounts_make_file(path_of("app.conf")), 0);
    is_made(path_of("app.conf"));
    assert_int_equal(mounts_make_file(path_of("etc/deep/app.conf")), 0);
    is_made(path_of("etc/deep/app.conf"));
    assert_int_equal(stat(path_of("etc/deep"), &status), 0);
    assert_int_equal(status.st_mode, S_IFDIR | 0755);
    assert_int_equal(mounts_make_file(path_of("etc//odd\n\377")), 0);
    is_made(path_of("etc/odd\n\377"));
}

/* What is there already stays as it is, whatever it is. */
static void test_what_is_there(void **state)
{
    char text[8];
    int fd;

    (void)state;
    test_directory_write(&directory, "old", "old", 3);
    assert_int_equal(mounts_make_file(path_of("old")), 0);
    fd = open(path_of("old"), O_RDONLY);
    assert_int_equal(read(fd, text, sizeof(text)), 3);
    close(fd);
    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    assert_int_equal(mounts_make_file(path_of("fifo")), 0); /* and does not wait for a reader */
    assert_int_equal(mounts_make_file("/dev/null"), 0);
}

/* A link that leads to nothing is followed, as an image's /etc/resolv.conf. */
static void test_links(void **state)
{
    struct stat status;

    (void)state;
    assert_int_equal(mkdir(path_of("etc"), 0755), 0);
    assert_int_equal(symlink("../run/stub/resolv.conf", path_of("etc/resolv.conf")), 0);
    assert_int_equal(mounts_make_file(path_of("etc/resolv.conf")), 0);
    is_made(path_of("run/stub/resolv.conf"));
    assert_int_equal(symlink(path_of("far/whole"), path_of("etc/whole")), 0);
    assert_int_equal(symlink("whole", path_of("etc/two")), 0);
    assert_int_equal(mounts_make_file(path_of("etc/two")), 0);
    is_made(path_of("far/whole"));
    assert_int_equal(lstat(path_of("etc/two"), &status), 0);
    assert_true(S_ISLNK(status.st_mode));
}

static void is_refused(const char *path, int number)
{
    errno = 0;
    assert_int_equal(mounts_make_file(path), -1);
    assert_int_equal(errno, number);
}

static void test_no_place(void **state)
{
    char name[256 + 1], *path;

    (void)state;
    test_directory_write(&directory, "file", "", 0);
    assert_int_equal(mkdir(path_of("folder"), 0755), 0);
    assert_int_equal(symlink("folder", path_of("to-folder")), 0);
    assert_int_equal(symlink("loop", path_of("loop")), 0);
    is_refused(path_of("folder"), EISDIR);
    is_refused(path_of("folder/."), EISDIR);
    is_refused(path_of("to-folder"), EISDIR);
    is_refused("/", EISDIR);
    is_refused(path_of("file/below"), ENOTDIR);
    is_refused(path_of("loop"), ELOOP);
    is_refused("", ENOENT);
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_true(asprintf(&path, "%s/%s", directory.path, name) > 0);
    is_refused(path, ENAMETOOLONG);
    path[strlen(path) - 1] = '\0'; /* 255 bytes */
    assert_int_equal(mounts_make_file(path), 0);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_file_with_its_parents, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_links, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_place, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("guest init's mounts", tests, NULL, NULL);
}
