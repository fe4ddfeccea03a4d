/* SPDX-License-Identifier: Apache-2.0 */
/* Starting passt: scripts of its name stand in for it, and do what it never would. */
#include "devices/backend/passt.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/test_tool.h"

static struct test_directory directory;
static struct uplink *uplink;
static uint8_t got[70000];
static char old_path[4096];

static int set_up(void **state)
{
    const char *path = getenv("PATH");

    (void)state;
    snprintf(old_path, sizeof(old_path), "%s", path ? path : "/usr/bin:/bin");
    test_directory_create(&directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    setenv("PATH", old_path, 1);
    if (uplink)
        uplink->ops->destroy(uplink);
    uplink = NULL;
    test_directory_remove(&directory);
    /* Nobody is left behind, not even for a moment. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    return 0;
}

/* Makes SCRIPT the passt of the PATH, and starts it. */
static int start(const char *script, const struct passt_forward *forwards, size_t count,
                 struct error *error)
{
    char path[128], text[5000];
    struct passt_options options;
    int result;

    *error = (struct error)ERROR_INIT;
    if (script) {
        test_directory_write(&directory, "passt", script, strlen(script));
        snprintf(path, sizeof(path), "%s/passt", directory.path);
        assert_int_equal(chmod(path, 0755), 0);
    }
    snprintf(text, sizeof(text), "%s:%s", directory.path, script ? old_path : "/nowhere");
    setenv("PATH", text, 1);
    options = (struct passt_options){ .forward_count = count, .private_network = true, .host_loopback = true };
    for (size_t i = 0; i < count; i++)
        options.forwards[i] = forwards[i];
    result = passt_start(&uplink, &options, error);
    setenv("PATH", old_path, 1);
    return result;
}

static ssize_t receive(void)
{
    struct iovec segment = { .iov_base = got, .iov_len = sizeof(got) };
    struct pollfd poll_fd = { .fd = uplink->fds[0], .events = POLLIN };
    ssize_t result;

    do {
        assert_int_equal(poll(&poll_fd, 1, 5000), 1);
        result = uplink->ops->receive(uplink, 0, &segment, 1);
    } while (result == -EAGAIN);
    return result;
}

static void test_a_missing_passt_names_the_package(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(start(NULL, NULL, 0, &error), -ENOENT);
    assert_string_equal(error.message, "--net user: passt is not installed; install Debian's "
                                       "package: apt-get install passt");
}

static void test_its_arguments_and_descriptors(void **state)
{
    static const struct passt_forward forwards[] = {
        { false, 18080, 80, "" }, { true, 15353, 53, "127.0.0.1" }, { false, 12222, 22, "127.0.0.1" },
    };
    struct error error;

    (void)state;
    /* One that nobody marked to be closed. */
    assert_int_equal(dup2(STDERR_FILENO, 77), 77);
    /* A frame that holds the arguments and the descriptors that are open. */
    assert_int_equal(start("#!/bin/sh\n"
                           "text=\"$*|$(echo $(ls /proc/$$/fd | sort -n))\"\n"
                           "printf '\\000\\000\\001\\054%-300s' \"$text\" >&3\n"
                           "cat <&3 >/dev/null\n", forwards, 3, &error), 0);
    assert_int_equal(receive(), 12 + 300);
    got[12 + 300] = '\0';
    assert_non_null(strstr((char *)got + 12, "--foreground --quiet --stderr --fd 3 --ipv4-only "));
    assert_non_null(strstr((char *)got + 12, " --gateway 10.0.2.2 -t 18080:80 -u 127.0.0.1/15353:53 -t "
                                             "127.0.0.1/12222:22|0 1 2 3"));
    /* Beyond come only the shell's own. */
    assert_null(strstr((char *)got + 12, " 77"));
    close(77);
}

/* What the private network is made of: its addresses, and no way to the host's loopback. */
static void test_the_private_network(void **state)
{
    char path[128], text[5000];
    static const char script[] = "#!/bin/sh\n"
                                 "printf '\\000\\000\\001\\054%-300s' \"$*|\" >&3\n"
                                 "cat <&3 >/dev/null\n";
    struct passt_options options = { .private_network = true };
    struct error error = ERROR_INIT;

    (void)state;
    test_directory_write(&directory, "passt", script, strlen(script));
    snprintf(path, sizeof(path), "%s/passt", directory.path);
    assert_int_equal(chmod(path, 0755), 0);
    snprintf(text, sizeof(text), "%s:%s", directory.path, old_path);
    setenv("PATH", text, 1);
    assert_int_equal(passt_start(&uplink, &options, &error), 0);
    setenv("PATH", old_path, 1);
    assert_int_equal(receive(), 12 + 300);
    got[12 + 300] = '\0';
    assert_non_null(strstr((char *)got + 12, "--fd 3 --ipv4-only --address 10.0.2.15 --netmask "
                                             "255.255.255.0 --dns-forward 10.0.2.3 --gateway "
                                             "10.0.2.2 --no-map-gw|"));
}

static void test_frames_both_ways(void **state)
{
    struct uplink_header header = { .flags = 1, .gso_type = 1 };
    uint8_t frame[100];
    struct iovec segments[2] = {
        { .iov_base = &header, .iov_len = sizeof(header) },
        { .iov_base = frame, .iov_len = sizeof(frame) },
    };
    struct error error;

    (void)state;
    memset(frame, 0x5a, sizeof(frame));
    memcpy(frame + 12, "\x08\x06", 2); /* ARP */
    assert_int_equal(start("#!/bin/sh\nexec cat <&3 >&3\n", NULL, 0, &error), 0);
    assert_int_equal(uplink->offloads, 0);
    assert_int_equal(uplink->ops->send(uplink, 0, segments, 2), sizeof(frame));
    assert_true(uplink->ops->flush(uplink, 0));
    assert_int_equal(receive(), sizeof(header) + sizeof(frame));
    memset(&header, 0, sizeof(header));
    assert_memory_equal(got, &header, sizeof(header));
    assert_memory_equal(got + sizeof(header), frame, sizeof(frame));
}

/* It learns where the guest is from us, and need not wait for a frame of the guest's. */
static void test_the_guest_is_announced(void **state)
{
    static const uint8_t mac[6] = { 2, 1, 2, 3, 4, 5 };
    const uint8_t *frame = (const uint8_t *)got + sizeof(struct uplink_header);
    struct error error;

    (void)state;
    assert_int_equal(start("#!/bin/sh\nexec cat <&3 >&3\n", NULL, 0, &error), 0);
    assert_true(uplink->ops->announce(uplink, mac));
    assert_int_equal(receive(), sizeof(struct uplink_header) + 60);
    assert_memory_equal(frame, "\xff\xff\xff\xff\xff\xff", 6);
    assert_memory_equal(frame + 6, mac, 6);
    assert_memory_equal(frame + 12, "\x80\x35\0\1\x08\0\6\4\0\3", 10);
    assert_memory_equal(frame + 22, mac, 6);
    assert_memory_equal(frame + 32, mac, 6);
}

static void test_it_ends_and_says_why(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(start("#!/bin/sh\n"
                           "echo 'first words' >&2\n"
                           "echo 'No external interface' >&2\n"
                           "echo 'Failed to send 31 bytes to syslog' >&2\n"
                           "exit 1\n", NULL, 0, &error), 0);
    assert_int_equal(receive(), -EPIPE);
    assert_string_equal(uplink->ops->reason(uplink), "passt ended ('No external interface')");
    assert_string_equal(uplink->ops->reason(uplink), "passt ended ('No external interface')");
}

/* What it said before is not the reason then. */
static void test_it_is_killed(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(start("#!/bin/sh\necho 'No external interface' >&2\nkill -KILL $$\n", NULL, 0,
                           &error), 0);
    assert_int_equal(receive(), -EPIPE);
    assert_string_equal(uplink->ops->reason(uplink), "passt was ended by SIGKILL");
}

static void test_it_lies_about_a_length(void **state)
{
    static const char *const lies[] = {
        "\\000\\000\\000\\000", "\\377\\377\\377\\377", "\\000\\001\\000\\101", "\\000\\000\\000\\001",
    };
    struct error error;
    char script[128];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        snprintf(script, sizeof(script), "#!/bin/sh\nprintf '%s' >&3\nexec sleep 100\n", lies[i]);
        assert_int_equal(start(script, NULL, 0, &error), 0);
        assert_int_equal(receive(), -EPIPE);
        assert_string_equal(uplink->ops->reason(uplink), "it sent a length that no frame has");
        uplink->ops->destroy(uplink);
        uplink = NULL;
    }
}

/* Neither its silence nor its stubbornness keeps the monitor. */
static void test_it_does_not_want_to_end(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(start("#!/bin/sh\ntrap '' TERM HUP INT\nexec 3<&-\n"
                           "while :; do sleep 100; done\n", NULL, 0, &error), 0);
    assert_int_equal(receive(), -EPIPE);
}

static void test_a_port_in_use(void **state)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof(address);
    struct passt_forward forward = { .guest_port = 80 };
    struct error error;
    char expected[128];
    int fd;

    (void)state;
    for (int udp = 0; udp < 2; udp++) {
        fd = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
        address.sin_port = 0;
        assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
        if (!udp)
            assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        forward.udp = udp;
        forward.host_port = ntohs(address.sin_port);
        assert_int_equal(start("#!/bin/sh\n", &forward, 1, &error), -EADDRINUSE);
        snprintf(expected, sizeof(expected), "--net user: %s port %u of the host is in use; ",
                 udp ? "udp" : "tcp", forward.host_port);
        assert_memory_equal(error.message, expected, strlen(expected));
        close(fd);
    }
}

/* The address of a port counts: another's is no hindrance, one that the host has not is. */
static void test_a_port_at_an_address(void **state)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
    socklen_t size = sizeof(address);
    struct passt_forward forward = { .guest_port = 80, .address = "127.0.0.1" };
    struct error error;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    forward.host_port = ntohs(address.sin_port);
    assert_int_equal(start("#!/bin/sh\n", &forward, 1, &error), -EADDRINUSE);
    strcpy(forward.address, "198.51.100.1");
    assert_int_equal(start("#!/bin/sh\n", &forward, 1, &error), -EADDRNOTAVAIL);
    assert_non_null(strstr(error.message, "198.51.100.1 is no address of the host's; "));
    strcpy(forward.address, "::1");
    assert_int_equal(start("#!/bin/sh\n", &forward, 1, &error), -EAFNOSUPPORT);
    assert_non_null(strstr(error.message, "the address ::1 is IPv6, which this guest's network has not; "));
    strcpy(forward.address, "127.0.0.2");
    assert_int_equal(start("#!/bin/sh\n", &forward, 1, &error), 0);
    close(fd);
}

/*
 * A frame whose pieces end where they like, in memory that the guest writes to: what
 * was looked at is what leaves, and what is closed does not.
 */
static void test_pieces_of_a_closed_frame(void **state)
{
    struct uplink_header header = { .flags = 0 };
    uint8_t frame[60] = { [12] = 0x08, [14] = 0x45, [23] = 6, [46] = 0x50, [47] = 2 };
    struct error error;

    (void)state;
    assert_int_equal(start("#!/bin/sh\nexec cat <&3 >&3\n", NULL, 0, &error), 0);
    for (size_t cut = 1; cut < sizeof(frame); cut++)
        for (unsigned int closed = 0; closed < 2; closed++) {
            struct iovec segments[3] = {
                { .iov_base = &header, .iov_len = sizeof(header) },
                { .iov_base = frame, .iov_len = cut },
                { .iov_base = frame + cut, .iov_len = sizeof(frame) - cut },
            };

            memcpy(frame + 30, closed ? "\x7f\0\0\1" : "\xc0\0\2\1", 4);
            assert_int_equal(uplink->ops->send(uplink, 0, segments, 3),
                             closed ? -EACCES : (ssize_t)sizeof(frame));
            if (closed)
                continue;
            assert_int_equal(receive(), 12 + sizeof(frame));
            assert_memory_equal(got + 12, frame, sizeof(frame));
        }
}

#define PASST_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PASST_TEST(test_a_missing_passt_names_the_package),
        PASST_TEST(test_its_arguments_and_descriptors),
        PASST_TEST(test_the_private_network),
        PASST_TEST(test_frames_both_ways),
        PASST_TEST(test_the_guest_is_announced),
        PASST_TEST(test_it_ends_and_says_why),
        PASST_TEST(test_it_is_killed),
        PASST_TEST(test_it_lies_about_a_length),
        PASST_TEST(test_it_does_not_want_to_end),
        PASST_TEST(test_a_port_in_use),
        PASST_TEST(test_a_port_at_an_address),
        PASST_TEST(test_pieces_of_a_closed_frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
