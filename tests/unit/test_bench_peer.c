/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the jobs speak to, and others who find it: they hold up nobody for ever. */
#include "vmm/bench/peer.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

static struct sockaddr_in address;

/* NULL where this host has no address; a test that hangs ends by SIGALRM. */
static struct peer *start(void)
{
    struct error error = ERROR_INIT;
    struct peer *peer = NULL;
    unsigned int host, port;
    char name[32];

    alarm(20);
    if (peer_start(&peer, name, sizeof(name), &error) < 0) {
        print_message("%s\n", error.message);
        return NULL;
    }
    assert_int_equal(sscanf(name, "%x-%x", &host, &port), 2);
    address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    address.sin_addr.s_addr = htonl(host);
    return peer;
}

static int open_connection(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Its word comes back. */
static void check_echo(int fd)
{
    char bytes[2] = "";

    assert_int_equal(send(fd, "exy", 3, MSG_NOSIGNAL), 3);
    assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_WAITALL), sizeof(bytes));
    assert_memory_equal(bytes, "xy", 2);
}

static void one_that_never_ends(void **state)
{
    struct peer *peer = start();
    pid_t child;

    (void)state;
    if (!peer)
        return;
    child = fork();
    if (child == 0) {
        int fd = open_connection();

        while (send(fd, "s", 1, MSG_NOSIGNAL) == 1)
            usleep(1000);
        _exit(0);
    }
    usleep(300000);
    peer_stop(peer);
    /* Its connection has ended with the server. */
    assert_int_equal(waitpid(child, NULL, 0), child);
    alarm(0);
}

static void no_descriptor_is_left(void **state)
{
    struct rlimit before, limit;
    struct peer *peer = start();
    int fd, next;

    (void)state;
    if (!peer)
        return;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    next = dup(fd);
    close(next);
    limit = before;
    limit.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    usleep(300000);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    check_echo(fd);
    close(fd);
    fd = open_connection();
    check_echo(fd);
    close(fd);
    peer_stop(peer);
    alarm(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_never_ends),
        cmocka_unit_test(no_descriptor_is_left),
    };

    return cmocka_run_group_tests_name("bench peer", tests, NULL, NULL);
}
