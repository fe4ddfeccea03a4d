/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

struct waiter {
    struct event_loop *loop;
    pthread_mutex_t lock;
    int fd;
    int other; /* a descriptor that the handler removes, or -1 */
    unsigned int calls;
    uint32_t events;
    bool drains;
};

static int set_up(void **state)
{
    struct event_loop *loop;
    struct error error = ERROR_INIT;

    assert_int_equal(event_loop_create(&loop, &error), 0);
    *state = loop;
    return 0;
}

static int tear_down(void **state)
{
    event_loop_destroy(*state);
    return 0;
}

static void handle(void *context, uint32_t events)
{
    struct waiter *waiter = context;
    eventfd_t count;

    assert_int_equal(pthread_mutex_trylock(&waiter->lock), EBUSY);
    waiter->calls++;
    waiter->events = events;
    if (waiter->other >= 0)
        event_loop_remove(waiter->loop, waiter->other);
    if (waiter->drains)
        eventfd_read(waiter->fd, &count);
    else
        event_loop_stop(waiter->loop);
}

static void add(struct event_loop *loop, struct waiter *waiter, uint32_t events)
{
    struct event_source source = {
        .events = events, .handler = handle, .context = waiter, .lock = &waiter->lock,
    };

    *waiter = (struct waiter){ .loop = loop, .other = -1, .drains = true };
    pthread_mutex_init(&waiter->lock, NULL);
    source.fd = waiter->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(waiter->fd >= 0);
    assert_int_equal(event_loop_add(loop, &source), 0);
}

static void end(struct waiter *waiter)
{
    event_loop_remove(waiter->loop, waiter->fd);
    close(waiter->fd);
    pthread_mutex_destroy(&waiter->lock);
}

static void test_calls_with_lock(void **state)
{
    struct waiter waiter;

    add(*state, &waiter, EPOLLIN);
    run_loop_for(*state, 5);
    assert_int_equal(waiter.calls, 0);
    eventfd_write(waiter.fd, 1);
    run_loop_for(*state, 5);
    assert_int_equal(waiter.calls, 1);
    assert_int_equal(waiter.events, EPOLLIN);
    assert_int_equal(pthread_mutex_trylock(&waiter.lock), 0);
    pthread_mutex_unlock(&waiter.lock);
    end(&waiter);
}

static void test_modify(void **state)
{
    struct waiter waiter;

    add(*state, &waiter, 0);
    eventfd_write(waiter.fd, 1);
    run_loop_for(*state, 5);
    assert_int_equal(waiter.calls, 0);
    assert_int_equal(event_loop_modify(*state, waiter.fd, EPOLLIN), 0);
    assert_int_equal(event_loop_modify(*state, waiter.fd, EPOLLIN), 0);
    run_loop_for(*state, 5);
    assert_int_equal(waiter.calls, 1);
    assert_int_equal(event_loop_modify(*state, 1000, EPOLLIN), -ENOENT);
    assert_int_equal(event_loop_modify(*state, -1, EPOLLIN), -ENOENT);
    end(&waiter);
}

/* Two are ready at once and each removes the other: only one is called. */
static void test_remove_within_a_batch(void **state)
{
    struct waiter first, second;

    add(*state, &first, EPOLLIN);
    add(*state, &second, EPOLLIN);
    first.other = second.fd;
    second.other = first.fd;
    eventfd_write(first.fd, 1);
    eventfd_write(second.fd, 1);
    run_loop_for(*state, 5);
    assert_int_equal(first.calls + second.calls, 1);
    end(&first);
    end(&second);
}

struct replacer {
    struct waiter *victim;
    struct waiter *successor;
};

static void replace(void *context, uint32_t events)
{
    struct replacer *replacer = context;
    struct event_loop *loop = replacer->victim->loop;
    int number = replacer->victim->fd;

    (void)events;
    if (replacer->successor->fd >= 0)
        return;
    end(replacer->victim);
    add(loop, replacer->successor, EPOLLIN);
    assert_int_equal(replacer->successor->fd, number);
}

/* An event of the descriptor's previous owner does not reach the new one. */
static void test_reused_number(void **state)
{
    struct waiter victim, successor = { .fd = -1 };
    struct replacer replacer = { &victim, &successor };
    struct event_source source = {
        .events = EPOLLIN, .handler = replace, .context = &replacer,
    };

    source.fd = eventfd(1, EFD_CLOEXEC);
    assert_int_equal(event_loop_add(*state, &source), 0);
    add(*state, &victim, EPOLLIN);
    eventfd_write(victim.fd, 1);
    run_loop_for(*state, 5);
    assert_true(successor.fd >= 0);
    assert_int_equal(successor.calls, 0);
    event_loop_remove(*state, source.fd);
    close(source.fd);
    end(&successor);
}

static void test_refusals(void **state)
{
    struct waiter waiter;
    struct event_source source = { .fd = -1, .events = EPOLLIN, .handler = handle };
    int file = memfd_create("file", MFD_CLOEXEC);

    assert_int_equal(event_loop_add(*state, &source), -EBADF);
    source.fd = 900; /* not open */
    assert_int_equal(event_loop_add(*state, &source), -EBADF);
    source.fd = file;
    assert_int_equal(event_loop_add(*state, &source), -EPERM);
    assert_int_equal(event_loop_modify(*state, file, EPOLLIN), -ENOENT);
    add(*state, &waiter, EPOLLIN);
    source.fd = waiter.fd;
    assert_int_equal(event_loop_add(*state, &source), -EEXIST);
    event_loop_remove(*state, 900);
    event_loop_remove(*state, -1);
    event_loop_remove(*state, 1 << 30);
    end(&waiter);
    close(file);
}

static void test_many_sources(void **state)
{
    enum { COUNT = 200 };
    static struct waiter waiters[COUNT];

    for (unsigned int i = 0; i < COUNT; i++)
        add(*state, &waiters[i], EPOLLIN);
    for (unsigned int i = 0; i < COUNT; i++)
        eventfd_write(waiters[i].fd, 1);
    run_loop_for(*state, 20);
    for (unsigned int i = 0; i < COUNT; i++) {
        assert_int_equal(waiters[i].calls, 1);
        end(&waiters[i]);
    }
}

static void *stop_later(void *context)
{
    usleep(5000);
    event_loop_stop(context);
    return NULL;
}

static void test_stop(void **state)
{
    struct event_loop *loop = *state;
    struct error error = ERROR_INIT;
    struct waiter waiter;
    pthread_t thread;

    /* By another thread, by a handler, and before the loop runs. */
    assert_int_equal(pthread_create(&thread, NULL, stop_later, loop), 0);
    assert_int_equal(event_loop_run(loop, &error), 0);
    pthread_join(thread, NULL);
    add(loop, &waiter, EPOLLIN);
    waiter.drains = false;
    eventfd_write(waiter.fd, 1);
    assert_int_equal(event_loop_run(loop, &error), 0);
    assert_in_range(waiter.calls, 1, 2); /* epoll may tell of it again before the stop */
    end(&waiter);
    event_loop_stop(loop);
    event_loop_stop(loop);
    assert_int_equal(event_loop_run(loop, &error), 0);
    event_loop_destroy(NULL);
}

/* An edge that comes with a stop is not lost: nothing would tell of it again. */
static void test_an_edge_beside_a_stop(void **state)
{
    struct event_loop *loop = *state;
    struct error error = ERROR_INIT;
    struct waiter waiter;

    add(loop, &waiter, EPOLLIN | EPOLLET);
    event_loop_stop(loop);
    eventfd_write(waiter.fd, 1);
    assert_int_equal(event_loop_run(loop, &error), 0);
    assert_int_equal(waiter.calls, 1);
    end(&waiter);
}

static void *add_and_remove(void *context)
{
    struct event_loop *loop = context;
    struct event_source source = { .events = EPOLLIN, .handler = handle };
    int descriptors[50];

    for (unsigned int i = 0; i < 50; i++) {
        source.fd = descriptors[i] = eventfd(0, EFD_CLOEXEC);
        assert_int_equal(event_loop_add(loop, &source), 0);
        assert_int_equal(event_loop_modify(loop, source.fd, 0), 0);
    }
    event_loop_stop(loop);
    for (unsigned int i = 0; i < 50; i++)
        close(descriptors[i]);
    return NULL;
}

/* The table grows on one thread while another one looks into it. */
static void test_add_while_running(void **state)
{
    struct event_loop *loop = *state;
    struct error error = ERROR_INIT;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, add_and_remove, loop), 0);
    assert_int_equal(event_loop_run(loop, &error), 0);
    pthread_join(thread, NULL);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_calls_with_lock),
        LOOP_TEST(test_modify),
        LOOP_TEST(test_remove_within_a_batch),
        LOOP_TEST(test_reused_number),
        LOOP_TEST(test_refusals),
        LOOP_TEST(test_many_sources),
        LOOP_TEST(test_stop),
        LOOP_TEST(test_an_edge_beside_a_stop),
        LOOP_TEST(test_add_while_running),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
