/* SPDX-License-Identifier: Apache-2.0 */
/* Times, volumes, ports, variables: what is taken, and what is refused in which words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/test_tool.h"
#include "vmm/cleanup.h"
#include "vmm/run/env_file.h"
#include "vmm/run/run_options.h"

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {
        { "1", 1000 }, { "0.5", 500 }, { "1.5s", 1500 }, { "250ms", 250 }, { "2m", 120000 },
        { "1.25h", 4500000 }, { "3d", 259200000 }, { "0.001", 1 }, { "007", 7000 }, { "1.", 1000 },
    };
    static const char *const bad[] = {
        "", "0", "0.0001", "0.0005s", "-1", "+1", " 1", "1 ", "1x", "1ss", ".5", "1..5", "1.5.5",
        "1.2345", "0x10", "inf", "1e3", "99999999999999999999", "36501d", "0ms", "0.5ms",
    };
    uint64_t ms;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
        struct error error = ERROR_INIT;

        assert_int_equal(run_duration("timeout", good[i].text, &ms, &error), 0);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct error error = ERROR_INIT;

        assert_int_equal(run_duration("timeout", bad[i], &ms, &error), -EINVAL);
        assert_non_null(strstr(error.message, "--timeout"));
        assert_non_null(strstr(error.message, "give seconds"));
    }
}

static void test_volumes(void **state)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        { "", "lacks a part" }, { "src", "lacks a part" }, { ":/src:ro", "lacks a part" },
        { "src:/src", "writable sharing cannot be had yet" }, { "src:/src:rw", "writable sharing" },
        { "src:/src:", "is unknown" }, { "src:/src:rox", "is unknown" },
        { "src:/src:ro:ro", "is unknown" }, { "src:src:ro", "does not begin with '/'" },
        { "src::ro", "does not begin with '/'" }, { "src:/:ro", "is the root itself" },
    };
    struct run_volume volume;
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(run_volume_parse("../a dir:/b/c:ro", &volume, &error), 0);
    assert_string_equal(volume.source, "../a dir");
    assert_string_equal(volume.target, "/b/c");
    free(volume.source);
    free(volume.target);
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        assert_true(run_volume_parse(bad[i].text, &volume, &error) < 0);
        assert_non_null(strstr(error.message, bad[i].why));
    }
}

static void test_ports(void **state)
{
    static const char *const bad[] = {
        "", "80", ":80", "80:", "0:80", "80:65536", "80:80/sctp", "80:80/", "a:b", "1:2:3", "80:-1",
    };
    struct error error = ERROR_INIT;
    char *forward;

    (void)state;
    assert_int_equal(run_publish_parse("8080:80", &forward, &error), 0);
    assert_string_equal(forward, "tcp:8080:80");
    free(forward);
    assert_int_equal(run_publish_parse("127.0.0.1:8080:80/udp", &forward, &error), 0);
    assert_string_equal(forward, "udp:127.0.0.1:8080:80");
    free(forward);
    assert_int_equal(run_publish_parse("53:5353/udp", &forward, &error), 0);
    assert_string_equal(forward, "udp:53:5353");
    free(forward);
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        assert_true(run_publish_parse(bad[i], &forward, &error) < 0);
        assert_non_null(strstr(error.message, "publish"));
    }
}

static void test_variables(void **state)
{
    struct text_list list = { .count = 0 };
    struct error error = ERROR_INIT;

    (void)state;
    setenv("TEST_OWN", "mine", 1);
    unsetenv("TEST_NONE");
    assert_int_equal(env_add(&list, "env", "A=1", &error), 0);
    assert_int_equal(env_add(&list, "env", "AB=2", &error), 0);
    assert_int_equal(env_add(&list, "env", "A=b=c", &error), 0);
    assert_int_equal(env_add(&list, "env", "E=", &error), 0);
    assert_int_equal(env_add(&list, "env", "TEST_OWN", &error), 0);
    assert_int_equal(env_add(&list, "env", "TEST_NONE", &error), 0);
    assert_int_equal(list.count, 4);
    assert_string_equal(text_list_variable(&list, "A"), "b=c");
    assert_string_equal(text_list_variable(&list, "AB"), "2");
    assert_string_equal(text_list_variable(&list, "E"), "");
    assert_string_equal(text_list_variable(&list, "TEST_OWN"), "mine");
    assert_null(text_list_variable(&list, "TEST"));
    assert_null(list.items[list.count]);
    assert_int_equal(env_add(&list, "env", "=x", &error), -EINVAL);
    assert_int_equal(env_add(&list, "env", "", &error), -EINVAL);
    assert_int_equal(env_add(&list, "env", "A B=x", &error), -EINVAL);
    assert_non_null(strstr(error.message, "--env A B=x: is no variable"));
    text_list_release(&list);
}

static void test_env_file(void **state)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        { "A=1\n=x\n", "line 2" }, { "A=1\nB C=1", "line 2" },
    };
    struct test_directory directory;
    struct text_list list = { .count = 0 };
    struct error error = ERROR_INIT;
    char path[128];
    const char *text = "# comment\n\n  \t\nA=1\r\n  B=two words  \nA=\"3\"\nlast=no newline";

    (void)state;
    test_directory_create(&directory);
    snprintf(path, sizeof(path), "%s/env", directory.path);
    test_directory_write(&directory, "env", text, strlen(text));
    assert_int_equal(env_add_file(&list, path, &error), 0);
    assert_int_equal(list.count, 3);
    assert_string_equal(text_list_variable(&list, "A"), "\"3\"");
    assert_string_equal(text_list_variable(&list, "B"), "two words  ");
    assert_string_equal(text_list_variable(&list, "last"), "no newline");
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        test_directory_write(&directory, "env", bad[i].text, strlen(bad[i].text));
        assert_int_equal(env_add_file(&list, path, &error), -EINVAL);
        assert_non_null(strstr(error.message, bad[i].why));
    }
    test_directory_write(&directory, "env", "A=1\0B=2\n", 8);
    assert_int_equal(env_add_file(&list, path, &error), -EINVAL);
    assert_non_null(strstr(error.message, "line 1 has a NUL byte"));
    assert_true(env_add_file(&list, directory.path, &error) < 0);
    assert_true(env_add_file(&list, "/nowhere/env", &error) < 0);
    text_list_release(&list);
    test_directory_remove(&directory);
}

/* What the guest's init reads: counts and strings agree, and the seed is never the same. */
static void test_job_record(void **state)
{
    struct text_list arguments = { .count = 0 }, environment = { .count = 0 };
    struct error error = ERROR_INIT;
    struct job job = {
        .host_name = "h", .user = "u", .work_directory = "/w", .layer_count = 2,
        .layers = { "erofs", "ext4" }, .volume_count = 1, .volumes = { { "/v", "squashfs" } },
        .arguments = &arguments, .environment = &environment,
    };
    static const char text[] = "h\0u\0/w\0erofs\0ext4\0/v\0squashfs\0echo\0\0A=1";
    cleanup_free uint8_t *one = NULL, *other = NULL;
    struct run_header header;
    struct run_job head, head2;
    size_t length;

    (void)state;
    assert_int_equal(text_list_add(&arguments, "echo", &error), 0);
    assert_int_equal(text_list_add(&arguments, "", &error), 0);
    assert_int_equal(text_list_add(&environment, "A=1", &error), 0);
    assert_int_equal(job_encode(&job, &one, &length, &error), 0);
    memcpy(&header, one, sizeof(header));
    memcpy(&head, one + sizeof(header), sizeof(head));
    assert_int_equal(header.type, RUN_JOB);
    assert_int_equal(header.length, length - sizeof(header));
    assert_int_equal(head.layers, 2);
    assert_int_equal(head.volumes, 1);
    assert_int_equal(head.arguments, 2);
    assert_int_equal(head.variables, 1);
    assert_int_equal(head.text_length, sizeof(text));
    assert_int_equal(length, sizeof(header) + sizeof(head) + sizeof(text));
    assert_memory_equal(one + sizeof(header) + sizeof(head), text, sizeof(text));
    assert_int_equal(job_encode(&job, &other, &length, &error), 0);
    memcpy(&head2, other + sizeof(header), sizeof(head2));
    assert_memory_not_equal(head.seed, head2.seed, sizeof(head.seed));
    text_list_release(&arguments);
    text_list_release(&environment);
}

/* A template's guest hears of the disks, and of nothing that is one job's alone. */
static void test_prepare_record(void **state)
{
    struct text_list arguments = { .count = 0 }, environment = { .count = 0 };
    struct error error = ERROR_INIT;
    struct job job = {
        .head = { .flags = RUN_STDIN | RUN_OUTPUT, .pids_max = 7, .disk_limit = 4096, .rows = 25,
                  .address = 1 },
        .host_name = "secret", .user = "secret", .work_directory = "/secret", .layer_count = 1,
        .layers = { "erofs" }, .volume_count = 1, .volumes = { { "/v", "squashfs" } },
        .arguments = &arguments, .environment = &environment,
    };
    static const char text[] = "\0\0\0erofs\0/v\0squashfs";
    static const uint8_t no_seed[32];
    cleanup_free uint8_t *bytes = NULL;
    struct run_header header;
    struct run_job head;
    size_t length;

    (void)state;
    assert_int_equal(text_list_add(&arguments, "secret", &error), 0);
    assert_int_equal(text_list_add(&environment, "A=secret", &error), 0);
    assert_int_equal(job_encode_prepare(&job, &bytes, &length, &error), 0);
    memcpy(&header, bytes, sizeof(header));
    memcpy(&head, bytes + sizeof(header), sizeof(head));
    assert_int_equal(header.type, RUN_PREPARE);
    assert_int_equal(length, sizeof(header) + sizeof(head) + sizeof(text));
    assert_memory_equal(bytes + sizeof(header) + sizeof(head), text, sizeof(text));
    assert_int_equal(head.flags | head.pids_max | head.rows | head.address | head.arguments, 0);
    assert_int_equal(head.disk_limit, 4096);
    assert_int_equal(head.clock, 0);
    assert_memory_equal(head.seed, no_seed, sizeof(no_seed));
    assert_null(memmem(bytes, length, "secret", 6));
    text_list_release(&arguments);
    text_list_release(&environment);
}

static void test_clock(void **state)
{
    uint8_t bytes[sizeof(struct run_header) + sizeof(struct run_job)] = { 0 };
    uint64_t before = (uint64_t)time(NULL) * 1000000000;
    struct run_job head;

    (void)state;
    job_set_clock(bytes);
    memcpy(&head, bytes + sizeof(struct run_header), sizeof(head));
    assert_true(head.clock >= before && head.clock < before + 60000000000);
}

static void test_job_too_large(void **state)
{
    struct text_list arguments = { .count = 0 }, environment = { .count = 0 };
    struct error error = ERROR_INIT;
    struct job job = {
        .host_name = "", .user = "", .work_directory = "/", .arguments = &arguments,
        .environment = &environment,
    };
    cleanup_free char *large = malloc(RUN_JOB_MAX + 1);
    uint8_t *bytes;
    size_t length;

    (void)state;
    memset(large, 'x', RUN_JOB_MAX);
    large[RUN_JOB_MAX] = '\0';
    assert_int_equal(text_list_add(&arguments, large, &error), 0);
    assert_int_equal(job_encode(&job, &bytes, &length, &error), -E2BIG);
    assert_non_null(strstr(error.message, "pass less"));
    text_list_release(&arguments);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations), cmocka_unit_test(test_volumes),
        cmocka_unit_test(test_ports),     cmocka_unit_test(test_variables),
        cmocka_unit_test(test_env_file),  cmocka_unit_test(test_job_record),
        cmocka_unit_test(test_prepare_record), cmocka_unit_test(test_clock),
        cmocka_unit_test(test_job_too_large),
    };

    return cmocka_run_group_tests_name("run values", tests, NULL, NULL);
}
