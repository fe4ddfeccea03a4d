/* SPDX-License-Identifier: Apache-2.0 */
/* A control socket and its clients: those that ask well, badly, in pieces, all at once, and leave. */
#include "vmm/supervisor/control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json_object.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/fixture.h"
#include "tests/support/test_tool.h"
#include "vmm/base/cleanup.h"
#include "vmm/supervisor/vm_control_internal.h"

static struct test_directory directory;
static struct event_loop *loop;
static struct control_socket *control;
static int folder;
static unsigned int asked; /* how often the owner was */
static const char *last;   /* command */
static char last_folder[64];
static bool hold; /* the owner answers later */

static void owner_asked(void *context, const struct verb_request *request)
{
    (void)context;
    asked++;
    last = request->verb->name;
    last_folder[0] = '\0';
    if (strcmp(last, "snapshot") == 0)
        snprintf(last_folder, sizeof(last_folder), "%s", ((const struct snapshot_arguments *)(const void *)request->arguments)->folder);
    if (!hold || request->verb->at_once)
        control_socket_answer(control, NULL);
}

static int set_up(void **state)
{
    struct control_owner owner = { .asked = owner_asked };
    struct error error = ERROR_INIT;

    (void)state;
    asked = 0;
    hold = false;
    test_directory_create(&directory);
    folder = open(directory.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(folder >= 0);
    assert_int_equal(event_loop_create(&loop, &error), 0);
    if (control_socket_create(&control, folder, loop, &owner, &error) < 0)
        fail_msg("%s", error.message);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    control_socket_destroy(control);
    event_loop_destroy(loop);
    close(folder);
    test_directory_remove(&directory);
    return 0;
}

static int come(void)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(name.sun_path, sizeof(name.sun_path), "%s/control", directory.path);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    run_loop_for(loop, 20);
}

/* What came back so far; NULL where the socket is closed and there is nothing. */
static const char *heard(int fd)
{
    static char text[4 * CONTROL_LINE_MAX];
    ssize_t length = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

    if (length <= 0)
        return length < 0 && errno == EAGAIN ? "" : NULL;
    text[length] = '\0';
    return text;
}

static void requests_are_answered(void **state)
{
    cleanup_fd int fd = come();

    (void)state;
    say(fd, "{\"command\":\"pause\"}\n");
    assert_string_equal(heard(fd), "{\"ok\":true}\n");
    assert_string_equal(last, "pause");
    say(fd, "{\"comm");
    assert_string_equal(heard(fd), "");
    say(fd, "and\":\"snapshot\",\"folder\":\"/a/b\",\"stop\":true}\n{\"command\":\"status\"}\n{");
    assert_string_equal(heard(fd), "{\"ok\":true}\n{\"ok\":true}\n");
    assert_string_equal(last_folder, "");
    assert_string_equal(last, "status");
    say(fd, "\"command\":\"balloon\",\"target\":0}\n");
    assert_string_equal(heard(fd), "{\"ok\":true}\n");
    assert_int_equal(asked, 4);
}

static void bad_requests_are_refused(void **state)
{
    static const struct {
        const char *line, *text;
    } cases[] = {
        { "\n", "is no JSON" },
        { "hello\n", "is no JSON" },
        { "{\n", "is no JSON" },
        { "[]\n", "is no JSON object" },
        { "{}\n", "command: is missing" },
        { "{\"command\":\"fly\"}\n", "'fly' is unknown" },
        { "{\"command\":7}\n", "is a number" },
        { "{\"command\":\"pause\",\"colour\":1}\n", "unknown key" },
        { "{\"command\":\"pause\",\"folder\":\"/a\"}\n", "folder: is for snapshot" },
        { "{\"command\":\"pause\",\"stop\":true}\n", "stop: is for snapshot" },
        { "{\"command\":\"snapshot\"}\n", "is no absolute path" },
        { "{\"command\":\"snapshot\",\"folder\":\"a\"}\n", "is no absolute path" },
        { "{\"command\":\"snapshot\",\"folder\":\"/a\\u0000b\"}\n", "NUL" },
        { "{\"command\":\"snapshot\",\"folder\":{}}\n", "is an object" },
        { "{\"command\":\"balloon\"}\n", "target: is missing" },
        { "{\"command\":\"balloon\",\"target\":-1}\n", "out of range" },
        { "{\"command\":\"balloon\",\"target\":1e3}\n", "is a fraction" },
        { "{\"command\":\"stop\",\"target\":1}\n", "is for balloon" },
        { "{\"command\":\"\xff\xfe\"}\n", "is no JSON" },
        { "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
          "\"a\":{\"a\":{\"a\":{}}}}}}}}}}}}}}}}}}\n", "is no JSON" },
    };
    cleanup_fd int fd = come();

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const char *answer;

        say(fd, cases[i].line);
        answer = heard(fd);
        assert_non_null(answer);
        if (strncmp(answer, "{\"ok\":false,\"error\":\"request", 28) != 0 ||
            !strstr(answer, cases[i].text) || strchr(answer, '\n') != answer + strlen(answer) - 1)
            fail_msg("%s: %s", cases[i].line, answer);
    }
    assert_int_equal(asked, 0);
}

/* What the socket and the command line read of the table. */
static void the_table_of_verbs(void **state)
{
    size_t count;
    const struct vm_verb *verbs = vm_verbs(&count);

    (void)state;
    assert_in_range(count, 1, VERBS_MAX - 1);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(vm_verb_find(verbs[i].name), &verbs[i]);
        assert_non_null(verbs[i].handle);
        assert_int_equal(verbs[i].at_once, verbs[i].request == MESSAGE_TYPE_COUNT);
        assert_true(!verbs[i].help == !verbs[i].summary && !verbs[i].help == !verbs[i].examples);
        for (size_t j = 0; j < verbs[i].key_count; j++)
            for (size_t k = 0; k < count; k++)
                for (size_t l = 0; l < verbs[k].key_count; l++)
                    assert_true((i == k && j == l) || strcmp(verbs[i].keys[j].name, verbs[k].keys[l].name) != 0);
    }
    assert_null(vm_verb_find("fly"));
}

/* A line without end is cut off; others are served. */
static void endless_lines_are_cut_off(void **state)
{
    cleanup_fd int fd = come(), other = come();
    char text[CONTROL_LINE_MAX + 1];

    (void)state;
    memset(text, ' ', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    say(fd, text);
    assert_null(heard(fd));
    say(other, "{\"command\":\"status\"}\n");
    assert_string_equal(heard(other), "{\"ok\":true}\n");
    /* A flood of good lines is served, one after the other. */
    for (int i = 0; i < 200; i++)
        assert_int_equal(send(other, "{\"command\":\"status\"}\n", 21, MSG_NOSIGNAL), 21);
    run_loop_for(loop, 200);
    assert_int_equal(asked, 201);
}

/* The owner takes its time: the others wait, each gets its own answer. */
static void clients_take_turns(void **state)
{
    cleanup_fd int first = come(), second = come();
    struct error error = ERROR_INIT;

    (void)state;
    hold = true;
    say(first, "{\"command\":\"pause\"}\n{\"command\":\"resume\"}\n");
    say(second, "{\"command\":\"pause\"}\n");
    assert_int_equal(asked, 1);
    assert_string_equal(heard(second), "");
    error_set(&error, EIO, "no \"way\"\n");
    control_socket_refuse(control, &error);
    assert_string_equal(heard(first), "{\"ok\":false,\"error\":\"no \\\"way\\\"?\"}\n");
    assert_int_equal(asked, 2);
    control_socket_answer(control, NULL);
    control_socket_answer(control, NULL);
    assert_int_equal(asked, 3);
    assert_string_equal(heard(first), "{\"ok\":true}\n");
    assert_string_equal(heard(second), "{\"ok\":true}\n");
}

/* An answer that does not come keeps nobody from status and stop, but who waits for it itself. */
static void some_are_answered_at_once(void **state)
{
    cleanup_fd int first = come(), second = come(), third = come();

    (void)state;
    hold = true;
    say(first, "{\"command\":\"pause\"}\n{\"command\":\"status\"}\n");
    say(second, "{\"command\":\"status\"}\n{\"command\":\"fly\"}\n{\"command\":\"resume\"}\n"
        "{\"command\":\"status\"}\n");
    assert_int_equal(asked, 2);
    assert_non_null(strstr(heard(second), "{\"ok\":true}\n{\"ok\":false,\"error\":\"request: command: 'fly'"));
    say(third, "{\"command\":\"stop\"}\n");
    assert_string_equal(last, "stop");
    assert_string_equal(heard(third), "{\"ok\":true}\n");
    assert_string_equal(heard(first), "");
    control_socket_answer(control, NULL);
    assert_string_equal(heard(first), "{\"ok\":true}\n{\"ok\":true}\n");
    assert_string_equal(heard(second), "");
    assert_int_equal(asked, 5);
    /* Who waited has left: its answer is for nobody else. */
    assert_int_equal(shutdown(second, SHUT_RDWR), 0);
    run_loop_for(loop, 20);
    say(third, "{\"command\":\"status\"}\n");
    assert_string_equal(heard(third), "{\"ok\":true}\n");
    control_socket_answer(control, NULL);
    assert_string_equal(heard(third), "");
}

/* Who leaves before the answer, or says nothing more, is no trouble. */
static void clients_leave(void **state)
{
    int first = come();
    cleanup_fd int second = come();

    (void)state;
    hold = true;
    say(first, "{\"command\":\"pause\"}\n");
    close(first);
    run_loop_for(loop, 20);
    say(second, "{\"command\":\"resume\"}\n");
    assert_int_equal(shutdown(second, SHUT_WR), 0);
    run_loop_for(loop, 20);
    assert_int_equal(asked, 1);
    control_socket_answer(control, NULL);
    assert_int_equal(asked, 2);
    control_socket_answer(control, NULL);
    assert_string_equal(heard(second), "{\"ok\":true}\n");
    run_loop_for(loop, 20);
    assert_null(heard(second));
}

static void more_than_there_is_room_for(void **state)
{
    int fds[CONTROL_CLIENTS_MAX + 4];
    unsigned int served = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        fds[i] = come();
        run_loop_for(loop, 5);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        const char *answer;

        send(fds[i], "{\"command\":\"status\"}\n", 21, MSG_NOSIGNAL);
        run_loop_for(loop, 5);
        answer = heard(fds[i]);
        served += answer && strcmp(answer, "{\"ok\":true}\n") == 0;
        if (i >= CONTROL_CLIENTS_MAX)
            assert_null(answer);
    }
    assert_int_equal(served, CONTROL_CLIENTS_MAX);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        close(fds[i]);
    run_loop_for(loop, 20);
    fds[0] = come();
    say(fds[0], "{\"command\":\"status\"}\n");
    assert_string_equal(heard(fds[0]), "{\"ok\":true}\n");
    close(fds[0]);
}

/* No descriptor is left for whom comes: the connection ends, and the loop has nothing more to do for it. */
static void no_descriptor_is_left(void **state)
{
    struct rlimit limit, none;
    int first = come(), late, lowest;

    (void)state;
    say(first, "{\"command\":\"status\"}\n");
    assert_string_equal(heard(first), "{\"ok\":true}\n");
    late = come();
    lowest = dup(0);
    assert_true(lowest >= 0);
    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    /* The one that is left is for the clock of run_loop_for(). */
    none = (struct rlimit){ .rlim_cur = (rlim_t)lowest + 1, .rlim_max = limit.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    run_loop_for(loop, 20);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_null(heard(late));
    close(late);
    /* Who is there is served, and so is the next. */
    say(first, "{\"command\":\"status\"}\n");
    assert_string_equal(heard(first), "{\"ok\":true}\n");
    close(first);
    first = come();
    say(first, "{\"command\":\"status\"}\n");
    assert_string_equal(heard(first), "{\"ok\":true}\n");
    close(first);
}

/* ---- the client's side ----------------------------------------------------- */

/* A VM that ends when it is asked: the end it hears of is the same whatever had been read by then. */
static void who_is_hung_up_on_hears_of_the_end(void **state)
{
    static const char *const reads[] = { "", "x", "all" };
    struct sockaddr_un name = { .sun_family = AF_UNIX };

    (void)state;
    snprintf(name.sun_path, sizeof(name.sun_path), "%s/other", directory.path);
    assert_int_equal(mkdir(name.sun_path, 0700), 0);
    strcat(name.sun_path, "/control");
    for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
        cleanup_fd int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), other = -1;
        struct error error = ERROR_INIT;
        struct json_object *reply = NULL;
        char bytes[256], path[sizeof(name.sun_path)];
        pid_t child;

        assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof(name)), 0);
        assert_int_equal(listen(listener, 1), 0);
        child = fork();
        if (child == 0) {
            int client = accept(listener, NULL, NULL);

            /* Closed with nothing sent yet, with some unread, or with all read. */
            _exit(reads[i][0] ? recv(client, bytes, reads[i][0] == 'x' ? 1 : sizeof(bytes), 0) <= 0 : 0);
        }
        snprintf(path, sizeof(path), "%.*s", (int)(strlen(name.sun_path) - strlen("/control")), name.sun_path);
        other = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(other >= 0);
        assert_true(control_socket_ask(other, json_object_new_object(), &reply, NULL, &error) < 0);
        assert_non_null(strstr(error.message, "the VM ended before it answered"));
        assert_int_equal(waitpid(child, NULL, 0), child);
        unlink(name.sun_path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_are_answered, set_up, tear_down),
        cmocka_unit_test(the_table_of_verbs),
        cmocka_unit_test_setup_teardown(bad_requests_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(endless_lines_are_cut_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(clients_take_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(some_are_answered_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(clients_leave, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_than_there_is_room_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_descriptor_is_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_hung_up_on_hears_of_the_end, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
