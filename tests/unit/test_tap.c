/* SPDX-License-Identifier: Apache-2.0 */
/* The tap, with a kernel that answers what each test wants: linked with --wrap. */
#include "devices/backend/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#define QUEUES_SEEN 32

static struct kernel {
    int open_error, setiff_error, getiff_error, offload_error;
    unsigned int offloads_known; /* more are EINVAL */
    bool missing;                /* the interface */
    bool multi_queue_only;
    short adopted_flags;
    int call_error; /* of readv and writev */
    unsigned int offloads, header_size;
    short flags[QUEUES_SEEN];
    unsigned int queues;
    char switched[128]; /* "+1+2-2": queues attached and detached, by descriptor order */
    int first_fd;
} kernel;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
unsigned int __wrap_if_nametoindex(const char *name);
ssize_t __wrap_readv(int fd, const struct iovec *segments, int count);
ssize_t __wrap_writev(int fd, const struct iovec *segments, int count);

int __wrap_open(const char *path, int flags, ...)
{
    if (strcmp(path, "/dev/net/tun") != 0)
        return __real_open(path, flags, 0600);
    if (kernel.open_error) {
        errno = kernel.open_error;
        return -1;
    }
    return __real_open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int fail_with(int number)
{
    errno = number;
    return number ? -1 : 0;
}

static int set_interface(int fd, struct ifreq *request)
{
    assert_string_equal(request->ifr_name, "tap7");
    if (kernel.multi_queue_only && !(request->ifr_flags & IFF_MULTI_QUEUE))
        return fail_with(EINVAL);
    if (kernel.setiff_error)
        return fail_with(kernel.setiff_error);
    if (kernel.queues == 0)
        kernel.first_fd = fd;
    kernel.flags[kernel.queues++] = request->ifr_flags;
    return 0;
}

static int switch_queue(int fd, const struct ifreq *request)
{
    size_t length = strlen(kernel.switched);

    snprintf(kernel.switched + length, sizeof(kernel.switched) - length, "%c%d",
             request->ifr_flags & IFF_ATTACH_QUEUE ? '+' : '-', fd - kernel.first_fd);
    return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    unsigned long number;
    void *pointer;

    va_start(arguments, request);
    pointer = va_arg(arguments, void *);
    va_end(arguments);
    number = (unsigned long)pointer;
    switch (request) {
    case TUNSETIFF:
        return set_interface(fd, pointer);
    case TUNGETIFF:
        if (kernel.getiff_error)
            return fail_with(kernel.getiff_error);
        strcpy(((struct ifreq *)pointer)->ifr_name, "tap7");
        ((struct ifreq *)pointer)->ifr_flags = kernel.adopted_flags;
        return 0;
    case TUNSETVNETHDRSZ:
        kernel.header_size = (unsigned int)*(int *)pointer;
        return 0;
    case TUNSETOFFLOAD:
        if (number & ~(unsigned long)kernel.offloads_known)
            return fail_with(EINVAL);
        kernel.offloads = (unsigned int)number;
        return 0;
    case TUNSETQUEUE:
        return switch_queue(fd, pointer);
    case SIOCGIFMTU:
        ((struct ifreq *)pointer)->ifr_mtu = 9000;
        return 0;
    }
    return fail_with(ENOTTY);
}

unsigned int __wrap_if_nametoindex(const char *name)
{
    (void)name;
    return kernel.missing ? 0 : 5;
}

ssize_t __wrap_readv(int fd, const struct iovec *segments, int count)
{
    (void)fd;
    (void)segments;
    (void)count;
    return kernel.call_error ? fail_with(kernel.call_error) : 77;
}

ssize_t __wrap_writev(int fd, const struct iovec *segments, int count)
{
    return __wrap_readv(fd, segments, count);
}

static struct uplink *uplink;
static struct error error;

static int set_up(void **state)
{
    (void)state;
    kernel = (struct kernel){
        .offloads_known = 0x7f, .adopted_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR,
    };
    error = (struct error)ERROR_INIT;
    uplink = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (uplink)
        uplink->ops->destroy(uplink);
    return 0;
}

static void expect_error(int result, int number, const char *reason, const char *remedy)
{
    if (result != -number || !strstr(error.message, reason) || !strstr(error.message, remedy))
        fail_msg("%d: %s", result, error.message);
    assert_null(uplink);
}

static void test_one_queue(void **state)
{
    (void)state;
    assert_int_equal(tap_open(&uplink, "tap7", 1, &error), 0);
    assert_int_equal(kernel.queues, 1);
    assert_int_equal(kernel.flags[0], IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
    assert_int_equal(kernel.header_size, 12);
    assert_int_equal(uplink->offloads, 0x7f);
    assert_int_equal(uplink->mtu, 9000);
    assert_int_equal(kernel.offloads, 0);
}

static void test_one_queue_of_a_tap_made_for_more(void **state)
{
    (void)state;
    kernel.multi_queue_only = true;
    assert_int_equal(tap_open(&uplink, "tap7", 1, &error), 0);
    assert_int_equal(kernel.flags[0], IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE);
}

static void test_queues_are_switched_one_by_one(void **state)
{
    (void)state;
    assert_int_equal(tap_open(&uplink, "tap7", 3, &error), 0);
    assert_int_equal(kernel.queues, 3);
    assert_int_equal(uplink->pairs, 3);
    assert_int_equal(uplink->ops->set_pairs(uplink, 1), 0);
    assert_int_equal(uplink->ops->set_pairs(uplink, 1), 0);
    assert_int_equal(uplink->ops->set_pairs(uplink, 3), 0);
    assert_int_equal(uplink->ops->set_pairs(uplink, 2), 0);
    assert_string_equal(kernel.switched, "-2-1+1+2-2");
}

/* What the host's kernel is too old for is not offered. */
static void test_offloads_of_older_kernels(void **state)
{
    (void)state;
    kernel.offloads_known = 0x1f;
    assert_int_equal(tap_open(&uplink, "tap7", 1, &error), 0);
    assert_int_equal(uplink->offloads, UPLINK_CHECKSUM | UPLINK_TSO4 | UPLINK_TSO6 |
                                           UPLINK_TSO_ECN | UPLINK_UFO);
    assert_int_equal(uplink->ops->set_offloads(uplink, UPLINK_CHECKSUM | UPLINK_TSO6), 0);
    assert_int_equal(kernel.offloads, TUN_F_CSUM | TUN_F_TSO6);
    assert_int_equal(uplink->ops->set_offloads(uplink, UPLINK_USO4), -EINVAL);
    tear_down(NULL);
    kernel.offloads_known = 0;
    assert_int_equal(tap_open(&uplink, "tap7", 1, &error), 0);
    assert_int_equal(uplink->offloads, 0);
}

static void test_errors_name_a_remedy(void **state)
{
    (void)state;
    expect_error(tap_open(&uplink, "a-name-of-16-chr", 1, &error), EINVAL, "too long", "15");
    kernel.missing = true;
    expect_error(tap_open(&uplink, "tap7", 1, &error), ENODEV, "does not exist",
                 "ip tuntap add tap7 mode tap user");
    expect_error(tap_open(&uplink, "tap7", 2, &error), ENODEV, "does not exist", "multi_queue");
    kernel.missing = false;
    kernel.setiff_error = EBUSY;
    expect_error(tap_open(&uplink, "tap7", 1, &error), EBUSY, "in use", "another tap");
    kernel.setiff_error = EPERM;
    expect_error(tap_open(&uplink, "tap7", 1, &error), EPERM, "permission denied",
                 "ip tuntap add tap7 mode tap user");
    kernel.setiff_error = EINVAL;
    expect_error(tap_open(&uplink, "tap7", 1, &error), EINVAL, "is no tap", "multi_queue");
    kernel.open_error = ENOENT;
    expect_error(tap_open(&uplink, "tap7", 1, &error), ENOENT, "/dev/net/tun is missing",
                 "modprobe tun");
    kernel.open_error = EACCES;
    expect_error(tap_open(&uplink, "tap7", 1, &error), EACCES, "/dev/net/tun", "");
}

static void test_a_descriptor_that_was_passed(void **state)
{
    int fd = __real_open("/dev/null", O_RDWR);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(tap_adopt(&uplink, fd, &error), 0);
    assert_string_equal(uplink->name, "tap7");
    assert_int_equal(uplink->pairs, 1);
    /* It stays open, for a VM that is restarted, and for no other program. */
    uplink->ops->destroy(uplink);
    uplink = NULL;
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    kernel.adopted_flags = IFF_TAP | IFF_NO_PI;
    expect_error(tap_adopt(&uplink, fd, &error), EINVAL, "wrong mode", "IFF_VNET_HDR");
    kernel.adopted_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    expect_error(tap_adopt(&uplink, fd, &error), EINVAL, "wrong mode", "IFF_TAP");
    kernel.getiff_error = ENOTTY;
    expect_error(tap_adopt(&uplink, fd, &error), EINVAL, "is no tap", "TUNSETIFF");
    close(fd);
    expect_error(tap_adopt(&uplink, fd, &error), EBADF, "no such descriptor", "open the tap");
}

static void test_what_errors_mean(void **state)
{
    static const struct {
        int number;
        ssize_t result;
    } cases[] = {
        { 0, 77 },          { EAGAIN, -EAGAIN },       { EINTR, -EAGAIN },
        { EIO, -EIO },      { ENETDOWN, -ENETDOWN },   { ENOBUFS, -ENOBUFS },
        { EBADFD, -EPIPE }, { ENODEV, -EPIPE },        { EFAULT, -EPIPE },
        { EINVAL, -EINVAL },
    };
    struct iovec segment = { .iov_len = 0 };

    (void)state;
    assert_int_equal(tap_open(&uplink, "tap7", 1, &error), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        kernel.call_error = cases[i].number;
        assert_int_equal(uplink->ops->receive(uplink, 0, &segment, 1), cases[i].result);
        assert_int_equal(uplink->ops->send(uplink, 0, &segment, 1), cases[i].result);
    }
}

#define TAP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TAP_TEST(test_one_queue),
        TAP_TEST(test_one_queue_of_a_tap_made_for_more),
        TAP_TEST(test_queues_are_switched_one_by_one),
        TAP_TEST(test_offloads_of_older_kernels),
        TAP_TEST(test_errors_name_a_remedy),
        TAP_TEST(test_a_descriptor_that_was_passed),
        TAP_TEST(test_what_errors_mean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
