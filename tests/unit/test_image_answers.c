/* SPDX-License-Identifier: Apache-2.0 */
/* What mote-image answers, which an archive may have broken into. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json_tokener.h>
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
#include "vmm/job/image_resolve.h"

static struct test_directory directory;

static const char *path_of(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", directory.path, name);
    return path;
}

static void make_file(const char *name)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    close(fd);
}

static int set_up(void **state)
{
    (void)state;
    test_directory_create(&directory);
    assert_int_equal(setenv("XDG_CACHE_HOME", directory.path, 1), 0);
    assert_int_equal(mkdir(path_of("mote"), 0700), 0);
    assert_int_equal(mkdir(path_of("mote/images"), 0700), 0);
    make_file("mote/images/layer");
    make_file("secret");
    assert_int_equal(symlink("../../secret", path_of("mote/images/link")), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_directory_remove(&directory);
    return 0;
}

/* How many layers are opened of an answer to KIND with the one file NAME of the folder. */
static int opened(const char *kind, const char *name)
{
    struct rootfs_disk disks[2];
    struct error error = ERROR_INIT;
    struct json_object *answer;
    char text[600], spec[300];
    int count;

    snprintf(text, sizeof(text), "{\"layers\":[{\"path\":\"%s\",\"format\":\"erofs\"}]}", path_of(name));
    snprintf(spec, sizeof(spec), "%s%s", kind, path_of("secret"));
    answer = json_tokener_parse(text);
    assert_non_null(answer);
    count = image_open_layers(answer, "image", spec, disks, 2, &error);
    if (count > 0)
        rootfs_release_disks(disks, (size_t)count);
    json_object_put(answer);
    return count;
}

static void files_of_the_cache_alone(void **state)
{
    (void)state;
    assert_int_equal(opened("oci:", "mote/images/layer"), 1);
    assert_int_equal(opened("dir:", "mote/images/layer"), 1);
    assert_int_equal(opened("oci:", "secret"), -EPROTO);
    assert_int_equal(opened("docker-archive:", "mote/images/../../secret"), -EPROTO);
    assert_int_equal(opened("oci:", "mote/images/link"), -ELOOP);
    assert_int_equal(opened("disk:", "secret"), 1);
    assert_int_equal(opened("disk:", "mote/images/layer"), -EPROTO);
}

static void lists_without_texts(void **state)
{
    struct json_object *answer = json_tokener_parse("{\"config\":{\"cmd\":[\"a\",null]}}");
    struct image_config config = { .user = NULL };
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(image_read_config(answer, &config, &error), -EPROTO);
    text_list_release(&config.command);
    json_object_put(answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_of_the_cache_alone, set_up, tear_down),
        cmocka_unit_test(lists_without_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
