/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "devices/backend/socket_broker.h"
#include "devices/backend/unix_listener.h"
#include "vmm/base/cleanup.h"

/* A supervisor's loop on a thread of its own. */
struct world {
    struct event_loop *loop;
    struct socket_broker *broker;
    pthread_t thread;
    char folder[32], prefix[48], path[64];
};

static void *supervise(void *context)
{
    struct error error = ERROR_INIT;

    event_loop_run(((struct world *)context)->loop, &error);
    return NULL;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct error error = ERROR_INIT;

    strcpy(world->folder, "/tmp/broker.XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    snprintf(world->prefix, sizeof(world->prefix), "%s/vm", world->folder);
    snprintf(world->path, sizeof(world->path), "%s_80", world->prefix);
    assert_int_equal(event_loop_create(&world->loop, &error), 0);
    assert_int_equal(socket_broker_create(&world->broker, world->prefix, world->loop, &error), 0);
    assert_int_equal(pthread_create(&world->thread, NULL, supervise, world), 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    event_loop_stop(world->loop);
    pthread_join(world->thread, NULL);
    socket_broker_destroy(world->broker);
    event_loop_destroy(world->loop);
    rmdir(world->folder);
    free(world);
    return 0;
}

static void test_a_port_that_listens(void **state)
{
    struct world *world = *state;
    struct unix_listener listener;
    struct error error = ERROR_INIT;
    char byte = 'x';

    assert_int_equal(unix_listener_open(&listener, "test", world->path, &error), 0);
    for (int i = 0; i < 3; i++) {
        cleanup_fd int ours = socket_broker_connect(world->broker, 80);
        cleanup_fd int theirs = unix_listener_accept(&listener);

        assert_true(ours >= 0);
        assert_true(theirs >= 0);
        assert_int_equal(send(ours, &byte, 1, 0), 1);
        byte = 0;
        assert_int_equal(recv(theirs, &byte, 1, 0), 1);
        assert_int_equal(byte, 'x');
    }
    unix_listener_close(&listener);
}

static void test_ports_that_do_not(void **state)
{
    struct world *world = *state;

    assert_int_equal(socket_broker_connect(world->broker, 80), -ENOENT);
    assert_int_equal(socket_broker_connect(world->broker, 0), -ENOENT);
    assert_int_equal(socket_broker_connect(world->broker, UINT32_MAX), -ENOENT);
}

/* A monitor that asks without end has its supervisor work so often in a second, and waits. */
static void test_questions_have_a_rate(void **state)
{
    struct world *world = *state;
    struct timespec before, after;

    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int i = 0; i < 4500; i++)
        assert_int_equal(socket_broker_connect(world->broker, 80), -ENOENT);
    clock_gettime(CLOCK_MONOTONIC, &after);
    /* 2,000 at once, and 2,000 a second. */
    assert_true((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= 1200);
}

/* The monitor's end: the second of the pair, which was made last. */
static int asking_end(void)
{
    for (int fd = 63; fd > 2; fd--) {
        socklen_t size = sizeof(int);
        int domain;

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX)
            return fd;
    }
    return -1;
}

/* One that is no question costs as much work: a flood of them waits as well. */
static void test_what_is_no_question_counts(void **state)
{
    int asking = asking_end();
    struct timespec before, after;

    (void)state;
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int i = 0; i < 4500; i++)
        assert_int_equal(send(asking, "x", 1, MSG_NOSIGNAL), 1);
    clock_gettime(CLOCK_MONOTONIC, &after);
    /* 2,000 at once, 2,000 a second, and some hundred in the socket. */
    assert_true((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= 900);
}

static void test_a_borrowed_listener_leaves_the_path(void **state)
{
    struct world *world = *state;
    struct unix_listener *owner, borrowed;
    struct error error = ERROR_INIT;
    cleanup_fd int client = -1;

    assert_int_equal(unix_listener_make(&owner, "test", world->path, &error), 0);
    assert_int_equal(unix_listener_borrow(&borrowed, owner, &error), 0);
    client = unix_connect(world->path);
    assert_true(client >= 0);
    {
        cleanup_fd int accepted = unix_listener_accept(&borrowed);

        assert_true(accepted >= 0);
    }
    unix_listener_close(&borrowed);
    assert_int_equal(access(world->path, F_OK), 0);
    unix_listener_destroy(owner);
    assert_int_equal(access(world->path, F_OK), -1);
}

int main(void)
{
#define BROKER_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        BROKER_TEST(test_a_port_that_listens),
        BROKER_TEST(test_ports_that_do_not),
        BROKER_TEST(test_questions_have_a_rate),
        BROKER_TEST(test_what_is_no_question_counts),
        BROKER_TEST(test_a_borrowed_listener_leaves_the_path),
    };

    return cmocka_run_group_tests_name("socket_broker", tests, NULL, NULL);
}
