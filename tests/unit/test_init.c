/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the guest's init that read what an image or a job has made: users, and /output as an archive. */
#include "guest/init/init.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/encoded_job.h"
#include "tests/support/own_directory.h"

static jmp_buf failed;
static char failure[512];

/* In the guest these do not return; here they go back to expect_failure(). */
_Noreturn void init_failed(int number, const char *format, ...)
{
    va_list arguments;

    (void)number;
    va_start(arguments, format);
    vsnprintf(failure, sizeof(failure), format, arguments);
    va_end(arguments);
    longjmp(failed, 1);
}

_Noreturn void init_end(void)
{
    abort();
}

static void write_text(const char *name, const char *text)
{
    test_directory_write(&directory, name, text, strlen(text));
}

/* ---- users ---------------------------------------------------------------- */

static const char *const passwd =
    "# comment\n"
    "\n"
    "::::::\n"
    "bad:x:12a:5::/bad:/bin/sh\n"
    "short:x:7\n"
    "huge:x:99999999999999999999:5::/huge:/bin/sh\n"
    "minus:x:-1:5::/minus:/bin/sh\n"
    "root:x:0:0:root:/root:/bin/sh\n"
    "user:x:1000:1001::/home/user:/bin/sh\n"
    "1000:x:77:77::/seven:/bin/sh\n";
static const char *const group =
    "extra:x:2000:other,user,third\n"
    "own:x:1001:user\n"
    "nobody:x:65534:\n"
    "broken:x:zz:user\n"
    "almost:x:3000:users\n"
    "number:x:5000:777\n"
    "last:x:4000:user";

static void find(const char *spec, struct user *user)
{
    if (setjmp(failed))
        fail_msg("%s", failure);
    user_find(spec, directory.path, user);
}

static void expect_failure(const char *spec, const char *why)
{
    struct user user;

    if (setjmp(failed) == 0) {
        user_find(spec, directory.path, &user);
        fail_msg("%s was found", spec);
    }
    assert_non_null(strstr(failure, why));
}

static void test_users(void **state)
{
    struct user user;

    (void)state;
    write_text("passwd", passwd);
    write_text("group", group);
    find("user", &user);
    assert_int_equal(user.uid, 1000);
    assert_int_equal(user.gid, 1001);
    assert_string_equal(user.home, "/home/user");
    assert_int_equal(user.group_count, 3);
    assert_int_equal(user.groups[0], 1001);
    assert_int_equal(user.groups[1], 2000);
    assert_int_equal(user.groups[2], 4000);
    find("1000", &user);
    assert_int_equal(user.uid, 1000); /* the first that fits, by name or by number */
    assert_int_equal(user.group_count, 3); /* with the groups of that user */
    assert_int_equal(user.groups[1], 2000);
    find("user:", &user);
    assert_int_equal(user.group_count, 3);
    find("1000:0", &user);
    assert_int_equal(user.gid, 0);
    assert_int_equal(user.group_count, 1);
    find("777", &user); /* a number without an entry has none, whatever a group's members are called */
    assert_int_equal(user.gid, 0);
    assert_int_equal(user.group_count, 1);
    find("user:extra", &user);
    assert_int_equal(user.gid, 2000);
    assert_int_equal(user.group_count, 1);
    find("5:6", &user);
    assert_int_equal(user.uid, 5);
    assert_int_equal(user.gid, 6);
    assert_string_equal(user.home, "/");
    find(":extra", &user);
    assert_int_equal(user.uid, 0);
    assert_int_equal(user.gid, 2000);
    find("0", &user);
    assert_string_equal(user.home, "/root");
    expect_failure("nobody", "is not in the image's /etc/passwd");
    expect_failure("bad", "is not in");
    expect_failure("short", "is not in");
    expect_failure("huge", "is not in");
    expect_failure("minus", "is not in");
    expect_failure("user:none", "group none");
    expect_failure("4294967295", "is not in");
}

static void expect_text(const char *name, const char *text)
{
    char path[256], found[1024];
    int fd;
    ssize_t length;

    snprintf(path, sizeof(path), "%s/%s", directory.path, name);
    fd = open(path, O_RDONLY | O_NOFOLLOW);
    length = read(fd, found, sizeof(found) - 1);
    assert_true(length >= 0);
    found[length] = '\0';
    assert_string_equal(found, text);
    close(fd);
}

/* What the image has is kept, but for what is empty or leads nowhere; never is a link followed. */
/* A job of LENGTH bytes that the host sent; false: it is refused, which `failure` tells. */
static bool receive(const uint8_t *bytes, size_t length, struct job *job, bool *prepares)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(write(ends[0], bytes, length), (ssize_t)length);
    close(ends[0]);
    if (setjmp(failed))
        return false;
    assert_true(job_receive(ends[1], job, prepares));
    close(ends[1]);
    return true;
}

/* The text is the job's until the guest's end, and begins with the host's name. */
static void release_job(struct job *job)
{
    union {
        const char *text;
        char *owned;
    } text = { job->host_name };

    free(text.owned);
    free(job->arguments);
    free(job->environment);
}

static void test_a_job_from_the_host(void **state)
{
    (void)state;
    for (int prepare = 0; prepare < 2; prepare++) {
        size_t length;
        uint8_t *bytes = encoded_job(prepare, &length);
        struct job job;
        bool prepares;

        assert_non_null(bytes);
        if (!receive(bytes, length, &job, &prepares))
            fail_msg("%s", failure);
        free(bytes);
        assert_int_equal(prepares, prepare);
        assert_int_equal(job.head.layers, 3);
        assert_string_equal(job.layers[2], "squashfs");
        assert_string_equal(job.volumes[1].target, "/w");
        assert_string_equal(job.volumes[1].file_system, "ext4");
        assert_false(job.volumes[0].file);
        assert_true(job.volumes[1].file);
        assert_string_equal(job.host_name, prepare ? "" : "host");
        assert_string_equal(job.work_directory, prepare ? "" : "/work");
        assert_string_equal(job.resolver, prepare ? "" : "search a\n");
        assert_int_equal(job.head.folders, prepare ? 0 : 2);
        assert_int_equal(job.head.arguments, prepare ? 0 : 3);
        if (!prepare) {
            assert_string_equal(job.folders[1], "/more/deep");
            assert_string_equal(job.arguments[2], "last");
            assert_string_equal(job.environment[0], "A=1");
            assert_null(job.environment[1]);
        }
        release_job(&job);
    }
}

/* One that the host would not send is none. */
static void test_a_job_that_is_none(void **state)
{
    static const struct {
        uint32_t folders, volumes, file_volumes;
    } bad[] = {
        { RUN_FOLDERS_MAX + 1, 2, 0 }, { 2, RUN_VOLUMES_MAX + 1, 0 }, { 2, 2, 1u << 2 },
        { 2, 2, 1u << 31 }, { 2, 0, 1 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        size_t length;
        uint8_t *bytes = encoded_job(0, &length);
        struct run_job head;
        struct job job;
        bool prepares;

        memcpy(&head, bytes + sizeof(struct run_header), sizeof(head));
        head.folders = bad[i].folders;
        head.volumes = bad[i].volumes;
        head.file_volumes = bad[i].file_volumes;
        memcpy(bytes + sizeof(struct run_header), &head, sizeof(head));
        failure[0] = '\0';
        assert_false(receive(bytes, length, &job, &prepares));
        assert_non_null(strstr(failure, "the job is none"));
        free(bytes);
    }
}

static void test_names(void **state)
{
    char path[256];

    (void)state;
    etc_names(directory.path, "box", 0);
    expect_text("hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.0.1\tbox\n");
    expect_text("hostname", "box\n");
    write_text("hosts", "1.2.3.4 mine\n");
    write_text("hostname", "");
    etc_names(directory.path, "other", htonl(0x0a00020f));
    expect_text("hosts", "1.2.3.4 mine\n");
    expect_text("hostname", "other\n");
    snprintf(path, sizeof(path), "%s/hosts", directory.path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/nowhere/hosts", path), 0);
    etc_names(directory.path, "box", htonl(0x0a00020f));
    expect_text("hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.2.15\tbox\n");
    snprintf(path, sizeof(path), "%s/resolv.conf", directory.path);
    assert_int_equal(symlink("hosts", path), 0);
    etc_resolver(directory.path, htonl(0x0a000203), "search a.b\noptions ndots:2\n");
    expect_text("resolv.conf", "search a.b\noptions ndots:2\nnameserver 10.0.2.3\n");
    expect_text("hostname", "other\n");
    /* A root that has no place for them goes without. */
    etc_names("/nowhere/etc", "box", 0);
}

static void test_no_files(void **state)
{
    struct user user;

    (void)state;
    find("0", &user);
    assert_int_equal(user.uid, 0);
    assert_string_equal(user.home, "/root");
    find("12", &user);
    assert_int_equal(user.gid, 0);
    expect_failure("root", "is not in");
}

/* More groups than there is room for, and a line that is longer than any. */
static void test_too_much(void **state)
{
    FILE *stream;
    char *text;
    size_t length;
    struct user user;

    (void)state;
    write_text("passwd", passwd);
    stream = open_memstream(&text, &length);
    fprintf(stream, "long:x:1:");
    for (int i = 0; i < 100000; i++)
        fputc('x', stream);
    fprintf(stream, "\n");
    for (int i = 0; i < 1000; i++)
        fprintf(stream, "g%d:x:%d:user\n", i, 5000 + i);
    fclose(stream);
    test_directory_write(&directory, "group", text, length);
    free(text);
    find("user", &user);
    assert_int_equal(user.group_count, GROUPS_MAX);
}

/* ---- the archive ---------------------------------------------------------- */

struct writer {
    pthread_t thread;
    int fd;
    const char *path;
    int result;
};

static void *write_archive(void *context)
{
    struct writer *writer = context;

    writer->result = tar_write(writer->fd, writer->path);
    close(writer->fd);
    return NULL;
}

/* The folder "out" as "archive.tar". */
static void archive(void)
{
    char source[128], bytes[65536];
    struct writer writer = { .path = source };
    int ends[2], file;
    ssize_t count;

    snprintf(source, sizeof(source), "%s/archive.tar", directory.path);
    file = open(source, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    snprintf(source, sizeof(source), "%s/out", directory.path);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    writer.fd = ends[0];
    pthread_create(&writer.thread, NULL, write_archive, &writer);
    while ((count = read(ends[1], bytes, sizeof(bytes))) > 0)
        assert_int_equal(write(file, bytes, (size_t)count), count);
    pthread_join(writer.thread, NULL);
    close(ends[1]);
    close(file);
    assert_int_equal(writer.result, 0);
}

static void shell(const char *command, const char *wanted)
{
    char text[4096], output[8192], sh[] = "sh", option[] = "-c";
    char *arguments[] = { sh, option, text, NULL };

    snprintf(text, sizeof(text), "%s", command);
    test_tool_run(&directory, arguments, output, sizeof(output));
    if (wanted)
        assert_string_equal(output, wanted);
}

/* Names and links longer than ustar's fields, odd bytes, holes, empty files; tar(1) tells the same. */
static void test_archive(void **state)
{
    (void)state;
    shell("mkdir -p out/a/b out/empty && cd out && printf one >a/b/one && : >nothing &&"
          "long=$(printf 'x%.0s' $(seq 1 120)) && mkdir -p $long/$long && printf deep >$long/$long/$long &&"
          "ln -s $long/$long/$long long-link && ln -s nowhere dangling &&"
          "printf name >\"$(printf 'a\\nb \\377')\" && truncate -s 3M hole && printf end >>hole &&"
          "head -c 100000 /dev/urandom >random && chmod 640 random && mkfifo pipe &&"
          "name100=$(printf 'y%.0s' $(seq 1 100)) && printf h >$name100", NULL);
    archive();
    shell("mkdir back && tar -xf archive.tar -C back && diff -r --no-dereference out back 2>&1 | grep -v fifo; "
          "stat -c '%a %F' back/random back/pipe back/empty",
          "640 regular file\n644 fifo\n755 directory\n");
}

static void test_empty_folder(void **state)
{
    (void)state;
    shell("mkdir out", NULL);
    archive();
    shell("tar -tf archive.tar; stat -c %s archive.tar", "1024\n");
}

static void test_no_folder(void **state)
{
    (void)state;
    assert_int_equal(tar_write(-1, "/nowhere"), -1);
    assert_int_equal(errno, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_users, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
        cmocka_unit_test(test_a_job_from_the_host),
        cmocka_unit_test(test_a_job_that_is_none),
        cmocka_unit_test_setup_teardown(test_too_much, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_archive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_empty_folder, set_up, tear_down),
        cmocka_unit_test(test_no_folder),
    };

    return cmocka_run_group_tests_name("guest init", tests, NULL, NULL);
}
