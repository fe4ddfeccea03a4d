/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

#define TUN_PATH "/dev/net/tun"

/* Since Linux 6.2: older headers do not have them. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

struct tap {
    struct uplink uplink;
    unsigned int enabled; /* queues that get frames */
};

static unsigned int tun_flags(unsigned int offloads)
{
    static const struct {
        unsigned int offload, flag;
    } pairs[] = {
        { UPLINK_CHECKSUM, TUN_F_CSUM },   { UPLINK_TSO4, TUN_F_TSO4 },
        { UPLINK_TSO6, TUN_F_TSO6 },       { UPLINK_TSO_ECN, TUN_F_TSO_ECN },
        { UPLINK_UFO, TUN_F_UFO },         { UPLINK_USO4, TUN_F_USO4 },
        { UPLINK_USO6, TUN_F_USO6 },
    };
    unsigned int flags = 0;

    for (size_t i = 0; i < ARRAY_LENGTH(pairs); i++)
        if (offloads & pairs[i].offload)
            flags |= pairs[i].flag;
    return flags;
}

/* Queues share the interface's offloads: one descriptor stands for all. */
static int tap_set_offloads(struct uplink *uplink, unsigned int offloads)
{
    return ioctl(uplink->fds[0], TUNSETOFFLOAD, (unsigned long)tun_flags(offloads)) < 0 ? -errno
                                                                                      : 0;
}

static int tap_set_pairs(struct uplink *uplink, unsigned int pairs)
{
    struct tap *tap = (struct tap *)uplink;

    while (tap->enabled != pairs) {
        bool more = tap->enabled < pairs;
        unsigned int queue = more ? tap->enabled : tap->enabled - 1;
        struct ifreq request = { .ifr_flags = more ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

        if (ioctl(uplink->fds[queue], TUNSETQUEUE, &request) < 0)
            return -errno;
        tap->enabled = more ? tap->enabled + 1 : queue;
    }
    return 0;
}

/* An interrupted call is as one that would block: the descriptor says when to try again. */
static ssize_t moved(ssize_t result)
{
    if (result >= 0)
        return result;
    switch (errno) {
    case EINTR:
        return -EAGAIN;
    /* The interface was deleted. */
    case EBADFD:
    case EFAULT:
    case ENODEV:
        return -EPIPE;
    default:
        return -errno;
    }
}

static ssize_t tap_receive(struct uplink *uplink, unsigned int pair, const struct iovec *segments,
                           int count)
{
    return moved(readv(uplink->fds[pair], segments, count));
}

static ssize_t tap_send(struct uplink *uplink, unsigned int pair, struct iovec *segments,
                        int count)
{
    return moved(writev(uplink->fds[pair], segments, count));
}

static const char *tap_reason(struct uplink *uplink)
{
    (void)uplink;
    return "the interface was deleted";
}

static void tap_destroy(struct uplink *uplink)
{
    for (unsigned int i = 0; i < uplink->pairs; i++)
        close(uplink->fds[i]);
    free(uplink);
}

static const struct uplink_ops tap_ops = {
    .receive = tap_receive,
    .send = tap_send,
    .set_offloads = tap_set_offloads,
    .set_pairs = tap_set_pairs,
    .reason = tap_reason,
    .destroy = tap_destroy,
};

/* The interface's own; 0 where it cannot be asked, as from another network namespace. */
static uint16_t read_mtu(const char *name)
{
    cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = { .ifr_mtu = 0 };

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (fd < 0 || ioctl(fd, SIOCGIFMTU, &request) < 0 || request.ifr_mtu < 68 ||
        request.ifr_mtu > UINT16_MAX)
        return 0;
    return (uint16_t)request.ifr_mtu;
}

/* The header's size, and what the host's kernel can do, from most to least. */
static int prepare(struct tap *tap, struct error *error)
{
    static const unsigned int offers[] = {
        UPLINK_CHECKSUM | UPLINK_TSO4 | UPLINK_TSO6 | UPLINK_TSO_ECN | UPLINK_UFO | UPLINK_USO4 |
            UPLINK_USO6,
        UPLINK_CHECKSUM | UPLINK_TSO4 | UPLINK_TSO6 | UPLINK_TSO_ECN | UPLINK_UFO,
        UPLINK_CHECKSUM | UPLINK_TSO4 | UPLINK_TSO6 | UPLINK_TSO_ECN,
        UPLINK_CHECKSUM,
    };
    int header = sizeof(struct uplink_header);

    for (unsigned int i = 0; i < tap->uplink.pairs; i++)
        if (ioctl(tap->uplink.fds[i], TUNSETVNETHDRSZ, &header) < 0)
            return error_system(error, errno, "--net tap %s: the size of its header",
                                tap->uplink.name);
    for (size_t i = 0; i < ARRAY_LENGTH(offers); i++) {
        if (tap_set_offloads(&tap->uplink, offers[i]) < 0)
            continue;
        tap->uplink.offloads = offers[i];
        break;
    }
    tap_set_offloads(&tap->uplink, 0);
    tap->uplink.mtu = read_mtu(tap->uplink.name);
    return 0;
}

static int open_failed(const char *name, int number, struct error *error)
{
    switch (number) {
    case EBUSY:
        return error_set(error, number, "--net tap:%s: is in use by another program; end that, "
                         "or make another tap", name);
    case EPERM:
        return error_set(error, number, "--net tap:%s: permission denied; give it to this user: "
                         "'ip tuntap add %s mode tap user \"$USER\"' (as root, after 'ip link "
                         "del %s')", name, name, name);
    case EINVAL:
        return error_set(error, number, "--net tap:%s: is no tap, or has one queue only; make "
                         "it by 'ip tuntap add NAME mode tap multi_queue user \"$USER\"'", name);
    default:
        return error_system(error, number, "--net tap:%s", name);
    }
}

static int tun_failed(int number, struct error *error)
{
    if (number == ENOENT || number == ENODEV || number == ENXIO)
        return error_set(error, number, "--net: " TUN_PATH " is missing; load the kernel's "
                         "module: modprobe tun");
    return error_system(error, number, "--net: " TUN_PATH);
}

static int open_queue(struct tap *tap, bool many, struct error *error)
{
    short kind = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    struct ifreq request = { .ifr_flags = (short)(kind | (many ? IFF_MULTI_QUEUE : 0)) };
    cleanup_fd int fd = open(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    int result;

    if (fd < 0)
        return tun_failed(errno, error);
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", tap->uplink.name);
    result = ioctl(fd, TUNSETIFF, &request);
    if (result < 0 && errno == EINVAL && !many) {
        /* A tap that was made for several queues takes no descriptor that does not say so. */
        request.ifr_flags = (short)(kind | IFF_MULTI_QUEUE);
        result = ioctl(fd, TUNSETIFF, &request);
    }
    if (result < 0)
        return open_failed(tap->uplink.name, errno, error);
    tap->uplink.fds[tap->uplink.pairs++] = steal_fd(&fd);
    return 0;
}

static int create(struct tap **tap, const char *name, struct error *error)
{
    *tap = calloc(1, sizeof(**tap));
    if (!*tap)
        return error_system(error, ENOMEM, "--net tap:%s", name);
    (*tap)->uplink.ops = &tap_ops;
    snprintf((*tap)->uplink.name, sizeof((*tap)->uplink.name), "%s", name);
    return 0;
}

static int finish(struct tap *tap, int result, struct uplink **uplink, struct error *error)
{
    if (result == 0)
        result = prepare(tap, error);
    if (result < 0) {
        tap_destroy(&tap->uplink);
        return result;
    }
    tap->enabled = tap->uplink.pairs;
    *uplink = &tap->uplink;
    return 0;
}

int tap_open(struct uplink **uplink, const char *name, unsigned int pairs, struct error *error)
{
    struct tap *tap;
    int result = 0;

    /* TUNSETIFF makes what is not there: a mistyped name would become an interface. */
    if (strlen(name) >= IFNAMSIZ)
        return error_set(error, EINVAL, "--net tap:%s: the name is too long; an interface's has "
                         "15 characters at most", name);
    if (if_nametoindex(name) == 0)
        return error_set(error, ENODEV, "--net tap:%s: does not exist; make it: 'ip tuntap add "
                         "%s mode tap%s user \"$USER\"' (as root)", name, name,
                         pairs > 1 ? " multi_queue" : "");
    result = create(&tap, name, error);
    if (result < 0)
        return result;
    for (unsigned int i = 0; result == 0 && i < pairs; i++)
        result = open_queue(tap, pairs > 1, error);
    return finish(tap, result, uplink, error);
}

int tap_adopt(struct uplink **uplink, int fd, struct error *error)
{
    struct ifreq request = { .ifr_flags = 0 };
    int flags = fcntl(fd, F_GETFL), result;
    struct tap *tap;

    if (flags < 0)
        return error_set(error, EBADF, "--net tap-fd:%d: no such descriptor is open; open the tap "
                         "in the program that starts mote", fd);
    if (ioctl(fd, TUNGETIFF, &request) < 0)
        return error_set(error, EINVAL, "--net tap-fd:%d: is no tap; pass a descriptor of "
                         TUN_PATH " after TUNSETIFF", fd);
    if (!(request.ifr_flags & IFF_TAP) || !(request.ifr_flags & IFF_VNET_HDR) ||
        !(request.ifr_flags & IFF_NO_PI))
        return error_set(error, EINVAL, "--net tap-fd:%d: has the wrong mode; open it with "
                         "IFF_TAP, IFF_NO_PI and IFF_VNET_HDR", fd);
    result = create(&tap, request.ifr_name, error);
    if (result < 0)
        return result;
    /* A copy: a VM that is restarted finds the first one again. */
    tap->uplink.fds[0] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (tap->uplink.fds[0] >= 0)
        tap->uplink.pairs = 1;
    if (tap->uplink.pairs == 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        result = error_system(error, errno, "--net tap-fd:%d", fd);
    return finish(tap, result, uplink, error);
}
