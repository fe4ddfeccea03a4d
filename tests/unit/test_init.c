/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the guest's init that read what an image or a job has made: users, and /output as an archive. */
#include "guest/init/init.h"

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
        cmocka_unit_test_setup_teardown(test_too_much, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_archive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_empty_folder, set_up, tear_down),
        cmocka_unit_test(test_no_folder),
    };

    return cmocka_run_group_tests_name("guest init", tests, NULL, NULL);
}
