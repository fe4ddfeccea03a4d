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
#include "vmm/base/cleanup.h"
#include "vmm/job/env_file.h"
#include "vmm/job/resolver.h"
#include "vmm/job/run_options.h"

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
        { "src://:ro", "is the root itself" },
    };
    struct run_volume volume;
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(run_volume_parse("../a dir:/b/c:ro", &volume, &error), 0);
    assert_string_equal(volume.source, "../a dir");
    assert_string_equal(volume.target, "/b/c");
    free(volume.source);
    free(volume.target);
    assert_int_equal(run_volume_parse("a:/etc/app.conf//:ro", &volume, &error), 0);
    assert_string_equal(volume.target, "/etc/app.conf");
    free(volume.source);
    free(volume.target);
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        assert_true(run_volume_parse(bad[i].text, &volume, &error) < 0);
        assert_non_null(strstr(error.message, bad[i].why));
    }
}

static void test_outputs(void **state)
{
    static const struct {
        const char *value, *folder;
        bool merge;
    } good[] = {
        { "out", "out", false },           { "out,merge", "out", true }, { "a,b", "a,b", false },
        { "out,merge/", "out,merge/", false }, { "a,merge,merge", "a,merge", true },
    };
    struct error error = ERROR_INIT;
    char *folder;
    bool merge;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(run_output_parse(good[i].value, &folder, &merge, &error), 0);
        assert_string_equal(folder, good[i].folder);
        assert_int_equal(merge, good[i].merge);
        free(folder);
    }
    assert_int_equal(run_output_parse("", &folder, &merge, &error), -EINVAL);
    assert_int_equal(run_output_parse(",merge", &folder, &merge, &error), -EINVAL);
    assert_non_null(strstr(error.message, "names no directory"));
}

static void test_ports(void **state)
{
    static const char *const bad[] = {
        "", "80", ":80", "80:", "0:80", "80:65536", "80:80/sctp", "80:80/", "a:b", "1:2:3", "80:-1",
    };
    struct error error = ERROR_INIT;
    struct passt_forward forward;

    (void)state;
    assert_int_equal(run_publish_parse("8080:80", &forward, &error), 0);
    assert_false(forward.udp);
    assert_int_equal(forward.host_port, 8080);
    assert_int_equal(forward.guest_port, 80);
    assert_string_equal(forward.address, "");
    assert_int_equal(run_publish_parse("127.0.0.1:8080:80/udp", &forward, &error), 0);
    assert_true(forward.udp);
    assert_string_equal(forward.address, "127.0.0.1");
    assert_int_equal(run_publish_parse("53:5353/udp", &forward, &error), 0);
    assert_true(forward.udp);
    assert_int_equal(forward.guest_port, 5353);
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
    static const char marked[] = "\xef\xbb\xbfMARK=1\r\n\xef\xbb\xbfSECOND=2\n", wide[] = "\xff\xfe" "A\0=\0";
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
    /* Of other systems' editors: a mark before the first line means nothing, elsewhere it is a name's. */
    test_directory_write(&directory, "env", marked, sizeof(marked) - 1);
    assert_int_equal(env_add_file(&list, path, &error), 0);
    assert_string_equal(text_list_variable(&list, "MARK"), "1");
    assert_string_equal(text_list_variable(&list, "\xef\xbb\xbfSECOND"), "2");
    test_directory_write(&directory, "env", marked, 3);
    assert_int_equal(env_add_file(&list, path, &error), 0);
    test_directory_write(&directory, "env", wide, sizeof(wide) - 1);
    assert_int_equal(env_add_file(&list, path, &error), -EINVAL);
    assert_non_null(strstr(error.message, "is UTF-16; save it as UTF-8"));
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
    struct text_list arguments = { .count = 0 }, environment = { .count = 0 }, folders = { .count = 0 };
    struct error error = ERROR_INIT;
    struct job job = {
        .host_name = "h", .user = "u", .work_directory = "/w", .resolver = "search a\n",
        .folders = &folders, .layer_count = 2,
        .layers = { "erofs", "ext4" }, .volume_count = 2,
        .volumes = { { "/v", "squashfs" }, { "/f", "erofs", true } },
        .arguments = &arguments, .environment = &environment,
    };
    static const char text[] = "h\0u\0/w\0search a\n\0erofs\0ext4\0/v\0squashfs\0/f\0erofs\0/data\0echo\0\0A=1";
    cleanup_free uint8_t *one = NULL, *other = NULL;
    struct run_header header;
    struct run_job head, head2;
    size_t length;

    (void)state;
    assert_int_equal(text_list_add(&arguments, "echo", &error), 0);
    assert_int_equal(text_list_add(&arguments, "", &error), 0);
    assert_int_equal(text_list_add(&environment, "A=1", &error), 0);
    assert_int_equal(text_list_add(&folders, "/data", &error), 0);
    assert_int_equal(job_encode(&job, &one, &length, &error), 0);
    memcpy(&header, one, sizeof(header));
    memcpy(&head, one + sizeof(header), sizeof(head));
    assert_int_equal(header.type, RUN_JOB);
    assert_int_equal(header.length, length - sizeof(header));
    assert_int_equal(head.layers, 2);
    assert_int_equal(head.volumes, 2);
    assert_int_equal(head.file_volumes, 1 << 1);
    assert_int_equal(head.arguments, 2);
    assert_int_equal(head.folders, 1);
    assert_int_equal(head.variables, 1);
    assert_int_equal(head.text_length, sizeof(text));
    assert_int_equal(length, sizeof(header) + sizeof(head) + sizeof(text));
    assert_memory_equal(one + sizeof(header) + sizeof(head), text, sizeof(text));
    assert_int_equal(job_encode(&job, &other, &length, &error), 0);
    memcpy(&head2, other + sizeof(header), sizeof(head2));
    assert_memory_not_equal(head.seed, head2.seed, sizeof(head.seed));
    text_list_release(&arguments);
    text_list_release(&environment);
    text_list_release(&folders);
}

/* A template's guest hears of the disks, and of nothing that is one job's alone. */
static void test_prepare_record(void **state)
{
    struct text_list arguments = { .count = 0 }, environment = { .count = 0 };
    struct error error = ERROR_INIT;
    struct job job = {
        .head = { .flags = RUN_STDIN | RUN_OUTPUT, .pids_max = 7, .disk_limit = 4096, .rows = 25,
                  .address = 1 },
        .host_name = "secret", .user = "secret", .work_directory = "/secret", .resolver = "secret",
        .folders = &arguments, .layer_count = 1,
        .layers = { "erofs" }, .volume_count = 1, .volumes = { { "/v", "squashfs" } },
        .arguments = &arguments, .environment = &environment,
    };
    static const char text[] = "\0\0\0\0erofs\0/v\0squashfs";
    static const uint8_t no_seed[32];
    cleanup_free uint8_t *bytes = NULL, *other = NULL;
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
    assert_int_equal(head.flags | head.pids_max | head.rows | head.address | head.arguments | head.folders, 0);
    assert_int_equal(head.disk_limit, 4096);
    assert_int_equal(head.clock, 0);
    assert_memory_equal(head.seed, no_seed, sizeof(no_seed));
    /* A file of the same name is another volume than a folder: the key of templates has all of this. */
    job.volumes[0].file = true;
    assert_int_equal(job_encode_prepare(&job, &other, &length, &error), 0);
    assert_memory_not_equal(bytes, other, length);
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

/* As podman reads it: an array of words, or one word whatever is in it. */
static void test_entrypoints(void **state)
{
    static const struct {
        const char *text, *words[4];
    } cases[] = {
        { "sh", { "sh" } }, { "sh -c", { "sh -c" } }, { "", { NULL } }, { "[]", { NULL } }, { "[", { "[" } },
        { "[\"sh\",\"-c\"]", { "sh", "-c" } }, { " [\"sh\"]", { " [\"sh\"]" } },
        { "[\"a\",\"\",\"b c\"]", { "a", "", "b c" } }, { "[1]", { "[1]" } }, { "[\"a\",null]", { "[\"a\",null]" } },
        { "['a']", { "['a']" } }, { "[\"a\"]x", { "[\"a\"]x" } }, { "[\"a\\u0000b\"]", { "[\"a\\u0000b\"]" } },
        { "[[\"a\"]]", { "[[\"a\"]]" } }, { "[[[[[[[[", { "[[[[[[[[" } }, { "{}", { "{}" } }, { "[\"a\"", { "[\"a\"" } },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct text_list words = { .count = 0 };
        struct error error = ERROR_INIT;
        size_t count = 0;

        assert_int_equal(run_entrypoint_parse(cases[i].text, &words, &error), 0);
        while (count < 4 && cases[i].words[count])
            count++;
        if (words.count != count)
            fail_msg("%s: %zu words", cases[i].text, words.count);
        for (size_t j = 0; j < count; j++)
            assert_string_equal(words.items[j], cases[i].words[j]);
        text_list_release(&words);
    }
}

static void test_networks(void **state)
{
    static const char *const bad[] = {
        "", "users", "none,local", "user,", "user,lan", "user,local,", "user,,local", "user,local,x",
        "user,private", "user,forward=tcp:1:1", "user ,local",
    };
    struct error error = ERROR_INIT;
    struct passt_options network = { .forward_count = 3 };
    unsigned int net;

    (void)state;
    assert_int_equal(run_net_parse("none", &net, &network, &error), 0);
    assert_int_equal(net, RUN_NET_NONE);
    assert_int_equal(run_net_parse("user,local,link-local,host-loopback", &net, &network, &error), 0);
    assert_int_equal(net, RUN_NET_USER);
    assert_true(network.local && network.link_local && network.host_loopback);
    /* The last one given holds; ports that were published stay. */
    assert_int_equal(run_net_parse("user", &net, &network, &error), 0);
    assert_int_equal(net, RUN_NET_USER);
    assert_false(network.local || network.link_local || network.host_loopback);
    assert_int_equal(network.forward_count, 3);
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        if (run_net_parse(bad[i], &net, &network, &error) != -EINVAL)
            fail_msg("'%s' was taken", bad[i]);
        assert_non_null(strstr(error.message, "is unknown; give"));
    }
}

static void test_resolvers(void **state)
{
    static const struct {
        const char *text, *lines;
    } cases[] = {
        { "", "" },
        { "nameserver 1.1.1.1\n", "" },
        { "search a.b c.d\noptions ndots:2  edns0 \n", "search a.b c.d\noptions ndots:2  edns0\n" },
        { "domain a\nsearch b\r\n", "search b\n" },
        { "search .\noptions\n", "" },
        { "#search a\n search b\nsearchx c\n", "" },
        { "search a\x1b[2J\noptions rotate", "options rotate\n" },
    };
    struct test_directory directory;
    char path[128];

    (void)state;
    test_directory_create(&directory);
    snprintf(path, sizeof(path), "%s/resolv.conf", directory.path);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        cleanup_free char *lines = NULL;
        struct error error = ERROR_INIT;

        test_directory_write(&directory, "resolv.conf", cases[i].text, strlen(cases[i].text));
        assert_int_equal(resolver_read(path, &lines, &error), 0);
        assert_string_equal(lines, cases[i].lines);
        free(lines);
        lines = NULL;
        assert_int_equal(resolver_read("/nowhere/resolv.conf", &lines, &error), 0);
        assert_string_equal(lines, "");
    }
    test_directory_remove(&directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations), cmocka_unit_test(test_volumes),
        cmocka_unit_test(test_outputs),   cmocka_unit_test(test_ports),     cmocka_unit_test(test_variables),
        cmocka_unit_test(test_env_file),  cmocka_unit_test(test_job_record),
        cmocka_unit_test(test_prepare_record), cmocka_unit_test(test_clock),
        cmocka_unit_test(test_job_too_large),  cmocka_unit_test(test_entrypoints),
        cmocka_unit_test(test_networks),       cmocka_unit_test(test_resolvers),
    };

    return cmocka_run_group_tests_name("run values", tests, NULL, NULL);
}
