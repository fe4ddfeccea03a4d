/* SPDX-License-Identifier: Apache-2.0 */
/* Relays between real descriptors: slow readers, readers that leave, files, limits, full disks. */
#include "vmm/job/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/fixture.h"
#include "vmm/base/cleanup.h"

static struct event_loop *loop;
static struct relay *relay;
static bool ended;
static enum relay_end how;
static int number;

static int set_up(void **state)
{
    struct error error = ERROR_INIT;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    relay = NULL;
    ended = false;
    return event_loop_create(&loop, &error);
}

static int tear_down(void **state)
{
    (void)state;
    relay_destroy(relay);
    event_loop_destroy(loop);
    return 0;
}

static void relay_ended(void *context, enum relay_end end, int error_number)
{
    (void)context;
    assert_false(ended);
    ended = true;
    how = end;
    number = error_number;
    event_loop_stop(loop);
}

static void start(int from, int to, uint64_t limit)
{
    struct error error = ERROR_INIT;
    struct relay_options options = {
        .name = "test", .from = from, .to = to, .limit = limit, .ended = relay_ended,
    };

    assert_int_equal(relay_create(&relay, loop, &options, &error), 0);
}

static void run(void)
{
    struct error error = ERROR_INIT;

    assert_int_equal(event_loop_run(loop, &error), 0);
    assert_true(ended);
}

static void make_pair(int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
}

static void fill(uint8_t *bytes, size_t length)
{
    uint64_t state = 7;

    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)next_random(&state);
}

/* A megabyte through a socket and a pipe, both of which take much less at a time. */
#define LENGTH (1u << 20)

struct end {
    pthread_t thread;
    int fd;
    uint8_t *bytes;
    size_t done;
};

static void *write_all(void *context)
{
    struct end *end = context;

    while (end->done < LENGTH) {
        ssize_t count = write(end->fd, end->bytes + end->done, LENGTH - end->done);

        if (count < 0)
            break;
        end->done += (size_t)count;
    }
    close(end->fd);
    return NULL;
}

static void *read_all(void *context)
{
    struct end *end = context;

    for (;;) {
        ssize_t count = read(end->fd, end->bytes + end->done, 777);

        if (count <= 0)
            break;
        end->done += (size_t)count;
    }
    return NULL;
}

static void test_everything_in_order(void **state)
{
    int stream[2], output[2];
    struct end writer = { .bytes = malloc(LENGTH) }, reader = { .bytes = malloc(LENGTH) };

    (void)state;
    make_pair(stream);
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    fcntl(stream[0], F_SETFL, 0); /* the writer's end alone may block */
    fill(writer.bytes, LENGTH);
    writer.fd = stream[0];
    reader.fd = output[0];
    start(stream[1], output[1], 0);
    pthread_create(&writer.thread, NULL, write_all, &writer);
    pthread_create(&reader.thread, NULL, read_all, &reader);
    run();
    assert_int_equal(how, RELAY_INPUT_ENDED);
    assert_int_equal(relay_count(relay), LENGTH);
    relay_destroy(relay);
    relay = NULL;
    close(output[1]);
    pthread_join(writer.thread, NULL);
    pthread_join(reader.thread, NULL);
    assert_int_equal(reader.done, LENGTH);
    assert_memory_equal(reader.bytes, writer.bytes, LENGTH);
    close(output[0]);
    close(stream[1]);
    free(writer.bytes);
    free(reader.bytes);
}

/* A file is always ready, so that the loop cannot wait for it. */
static void test_from_a_file(void **state)
{
    int stream[2], file = memfd_create("input", MFD_CLOEXEC);
    struct end reader = { .bytes = malloc(LENGTH) };
    uint8_t *bytes = malloc(LENGTH);

    (void)state;
    make_pair(stream);
    fill(bytes, LENGTH);
    assert_int_equal(pwrite(file, bytes, LENGTH, 0), LENGTH);
    start(file, stream[1], 0);
    fcntl(stream[0], F_SETFL, 0);
    reader.fd = stream[0];
    pthread_create(&reader.thread, NULL, read_all, &reader);
    run();
    assert_int_equal(how, RELAY_INPUT_ENDED);
    relay_destroy(relay);
    relay = NULL;
    close(stream[1]);
    pthread_join(reader.thread, NULL);
    assert_int_equal(reader.done, LENGTH);
    assert_memory_equal(reader.bytes, bytes, LENGTH);
    close(stream[0]);
    close(file);
    free(reader.bytes);
    free(bytes);
}

static void test_to_a_file(void **state)
{
    int stream[2], file = memfd_create("output", MFD_CLOEXEC);
    char bytes[8] = "";

    (void)state;
    make_pair(stream);
    start(stream[1], file, 0);
    assert_int_equal(write(stream[0], "hello", 5), 5);
    close(stream[0]);
    run();
    assert_int_equal(how, RELAY_INPUT_ENDED);
    assert_int_equal(pread(file, bytes, sizeof(bytes), 0), 5);
    assert_string_equal(bytes, "hello");
    close(stream[1]);
    close(file);
}

static void test_reader_leaves(void **state)
{
    int stream[2], output[2];

    (void)state;
    make_pair(stream);
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    start(stream[1], output[1], 0);
    close(output[0]);
    /* While nothing is to be written, nobody cares. */
    run_loop_for(loop, 30);
    assert_false(ended);
    assert_int_equal(write(stream[0], "x", 1), 1);
    run();
    assert_int_equal(how, RELAY_OUTPUT_FAILED);
    assert_int_equal(number, EPIPE);
    close(output[1]);
    close(stream[0]);
    close(stream[1]);
}

static void test_full_disk(void **state)
{
    int stream[2], full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    make_pair(stream);
    start(stream[1], full, 0);
    assert_int_equal(write(stream[0], "x", 1), 1);
    run();
    assert_int_equal(how, RELAY_OUTPUT_FAILED);
    assert_int_equal(number, ENOSPC);
    close(full);
    close(stream[0]);
    close(stream[1]);
}

/* Exactly the limit is none too many; one more is. */
static void test_limit(void **state)
{
    for (size_t extra = 0; extra <= 1; extra++) {
        int stream[2], output[2];
        char bytes[16];

        set_up(state);
        make_pair(stream);
        make_pair(output);
        start(stream[1], output[1], 10);
        assert_int_equal(write(stream[0], "0123456789!", 10 + extra), 10 + extra);
        close(stream[0]);
        run();
        assert_int_equal(how, extra ? RELAY_LIMITED : RELAY_INPUT_ENDED);
        assert_int_equal(relay_count(relay), 10);
        assert_int_equal(read(output[0], bytes, sizeof(bytes)), 10);
        close(stream[1]);
        close(output[0]);
        close(output[1]);
        tear_down(state);
        relay = NULL;
    }
    set_up(state);
}

/* A reader that does not read holds the writer back, and costs no time meanwhile. */
static void test_back_pressure(void **state)
{
    int stream[2], output[2];
    size_t written = 0;
    ssize_t count;
    char bytes[4096] = "";

    (void)state;
    make_pair(stream);
    make_pair(output);
    start(stream[1], output[1], 0);
    for (int i = 0; i < 100; i++) {
        while ((count = write(stream[0], bytes, sizeof(bytes))) > 0)
            written += (size_t)count;
        run_loop_for(loop, 5);
    }
    assert_true(written < 2u << 20);
    assert_false(ended);
    close(output[0]);
    run();
    assert_int_equal(how, RELAY_OUTPUT_FAILED);
    close(output[1]);
    close(stream[0]);
    close(stream[1]);
}

static void test_unfit(void **state)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), stream[2];
    struct error error = ERROR_INIT;
    struct relay_options options = { .name = "standard input", .ended = relay_ended };

    (void)state;
    make_pair(stream);
    options.from = null;
    options.to = stream[0];
    assert_int_equal(relay_create(&relay, loop, &options, &error), -EBADF);
    assert_non_null(strstr(error.message, "standard input"));
    relay = NULL;
    close(null);
    close(stream[0]);
    close(stream[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_everything_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_from_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_to_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reader_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limit, NULL, tear_down),
        cmocka_unit_test_setup_teardown(test_back_pressure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unfit, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("run relay", tests, NULL, NULL);
}
