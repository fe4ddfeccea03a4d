/* SPDX-License-Identifier: Apache-2.0 */
/* Options, the socket's file, and connections handed over. */
#include "tests/support/vsock_bench.h"
#include "tests/support/device_options.h"

#include <sys/stat.h>

#include "devices/backend/socket_handoff.h"

/* ---- connections handed over ---------------------------------------------- */

static void test_handoff(void **state)
{
    struct world *world = *state;
    uint32_t port;
    int fd;

    start(world, 4);
    assert_int_equal(socket_handoff_receive(world->supervisor, &port), -EAGAIN);
    send_op(world, VSOCK_OP_REQUEST);
    expect(world, VSOCK_OP_RESPONSE);
    fd = socket_handoff_receive(world->supervisor, &port);
    assert_true(fd >= 0);
    assert_int_equal(port, HOST_PORT);
    send_bytes(world, "from the guest", 14);
    assert_hears(world, fd, "from the guest");
    say(fd, "from the host");
    expect(world, VSOCK_OP_RW);
    assert_memory_equal(world->payload, "from the host", 13);
    send_flags(world, VSOCK_OP_SHUTDOWN, VSOCK_SHUTDOWN_SEND);
    assert_ended(world, fd);
    assert_idle(world);
    close(fd);
    expect(world, VSOCK_OP_SHUTDOWN);
}

/* Nobody is there any more, or does not look: the guest is refused, and nothing waits. */
static void test_handoff_refused(void **state)
{
    struct world *world = *state;
    unsigned int accepted = 0;
    uint32_t port;
    int fd;

    start(world, 4);
    for (uint32_t source = 1; source < 2000; source++) {
        struct vsock_header header = packet_of(VSOCK_OP_REQUEST);

        header.source_port = source;
        send_packet(world, header);
        assert_true(next_packet(world));
        if (world->packet.op == VSOCK_OP_RST)
            break;
        accepted++;
    }
    assert_true(accepted > 0 && accepted <= VSOCK_CONNECTIONS_MAX);
    assert_int_equal(world->packet.op, VSOCK_OP_RST);
    while ((fd = socket_handoff_receive(world->supervisor, &port)) >= 0)
        close(fd);
    close(world->supervisor);
    world->supervisor = -1;
    while (next_packet(world))
        ;
    send_op(world, VSOCK_OP_REQUEST);
    expect(world, VSOCK_OP_RST);
}

/* What comes over the socket is a descriptor and a port, or nothing. */
static void test_handoff_messages(void **state)
{
    uint32_t port = 5;
    int ends[2], fd;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(send(ends[0], &port, sizeof(port), 0), sizeof(port));
    assert_int_equal(socket_handoff_receive(ends[1], &port), -EPROTO);
    assert_int_equal(send(ends[0], "x", 1, 0), 1);
    assert_int_equal(socket_handoff_receive(ends[1], &port), -EPROTO);
    fd = socket_handoff_send(ends[0], UINT32_MAX);
    assert_true(fd >= 0);
    close(fd);
    fd = socket_handoff_receive(ends[1], &port);
    assert_true(fd >= 0);
    assert_int_equal(port, UINT32_MAX);
    close(fd);
    close(ends[0]);
    assert_int_equal(socket_handoff_receive(ends[1], &port), -ENOTCONN);
    assert_true(socket_handoff_send(ends[1], 1) < 0);
    close(ends[1]);
}

static void test_handoff_options(void **state)
{
    struct error error = ERROR_INIT;
    void *options = NULL;
    char text[64];
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    snprintf(text, sizeof(text), "9,handoff=%d", ends[0]);
    assert_int_equal(device_options_parse("vsock", text, &options, &error), 0);
    assert_int_equal(((struct vsock_options *)options)->cid, 9);
    assert_int_equal(((struct vsock_options *)options)->handoff, ends[0]);
    assert_null(((struct vsock_options *)options)->path);
    device_options_release(options);
    close(ends[0]);
    close(ends[1]);
    options = NULL;
    assert_true(device_options_parse("vsock", "3,handoff=999999", &options, &error) < 0);
    assert_non_null(strstr(error.message, "SOCK_SEQPACKET"));
    assert_true(device_options_parse("vsock", "3:/x,handoff=0", &options, &error) < 0);
    assert_non_null(strstr(error.message, "give one of them"));
    assert_true(device_options_parse("vsock", "2,handoff=0", &options, &error) < 0);
    assert_true(device_options_parse("vsock", "3,handoff=-1", &options, &error) < 0);
    assert_null(options);
}

/* ---- options and the socket's file ---------------------------------------- */

static void assert_refused(const char *text, const char *reason, const char *remedy)
{
    struct error error = ERROR_INIT;
    void *options = NULL;

    assert_true(device_options_parse("vsock", text, &options, &error) < 0);
    assert_null(options);
    if (!strstr(error.message, reason) || !strstr(error.message, remedy))
        fail_msg("%s: %s", text, error.message);
}

static void test_options(void **state)
{
    struct error error = ERROR_INIT;
    void *options = NULL;
    char path[256];

    (void)state;
    assert_refused("2:/x", "out of range", "from 3 to");
    assert_refused("4294967295:/x", "out of range", "to 4294967294");
    assert_refused("abc:/x", "no whole number", "from 3");
    assert_refused("3", "path is missing", "CID:PATH");
    assert_refused("3:", "path is missing", "CID:PATH");
    assert_refused("", "is missing", "CID:PATH");
    assert_refused("3:/x,ro", "'ro' is unknown", "as ,,");
    snprintf(path, sizeof(path), "3:/%0*d", 97, 0);
    assert_refused(path, "longer than 96 bytes", "shorter");
    assert_int_equal(device_options_parse("vsock", "3:/x", &options, &error), 0);
    assert_int_equal(((struct vsock_options *)options)->cid, 3);
    assert_string_equal(((struct vsock_options *)options)->path, "/x");
    device_options_release(options);
}

static void assert_open_fails(const char *path, const char *reason, const char *remedy)
{
    struct unix_listener listener;
    struct error error = ERROR_INIT;

    assert_true(unix_listener_open(&listener, "vsock", path, &error) < 0);
    if (!strstr(error.message, reason) || !strstr(error.message, remedy))
        fail_msg("%s: %s", path, error.message);
}

static void test_socket_file(void **state)
{
    struct world *world = *state;
    struct error error = ERROR_INIT;
    struct unix_listener listener;
    struct stat status;
    char path[96];

    assert_open_fails(world->path, "in use by another", "choose another path");
    snprintf(path, sizeof(path), "%s/missing/s", world->directory.path);
    assert_open_fails(path, "directory does not exist", "create it");
    test_directory_write(&world->directory, "file", "x", 1);
    snprintf(path, sizeof(path), "%s/file", world->directory.path);
    assert_open_fails(path, "is no socket", "choose another path");
    assert_int_equal(stat(path, &status), 0);
    /* A killed process leaves a socket: closed, but still there. */
    snprintf(path, sizeof(path), "%s/stale", world->directory.path);
    assert_int_equal(unix_listener_open(&listener, "vsock", path, &error), 0);
    close(dup2(world->listener.fd, listener.fd));
    assert_int_equal(stat(path, &status), 0);
    free(listener.path);
    assert_int_equal(unix_listener_open(&listener, "vsock", path, &error), 0);
    /* Somebody else's file stays. */
    assert_int_equal(unlink(path), 0);
    test_directory_write(&world->directory, "stale", "x", 1);
    unix_listener_close(&listener);
    assert_int_equal(stat(path, &status), 0);
}

static void test_file_goes_with_the_device(void **state)
{
    struct world *world = *state;
    struct stat status;

    assert_int_equal(stat(world->path, &status), 0);
    fake_driver_destroy(&world->driver);
    assert_int_equal(stat(world->path, &status), -1);
    fake_driver_create(&world->driver, &world->fixture, &virtio_vsock_class, &world->options);
    assert_int_equal(stat(world->path, &status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_handoff, set_up_handoff, tear_down_handoff),
        cmocka_unit_test_setup_teardown(test_handoff_refused, set_up_handoff, tear_down_handoff),
        cmocka_unit_test(test_handoff_messages),
        cmocka_unit_test(test_handoff_options),
        cmocka_unit_test(test_options),
        TEST(test_socket_file),
        TEST(test_file_goes_with_the_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
