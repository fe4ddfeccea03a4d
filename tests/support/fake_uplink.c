/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_uplink.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/fixture.h"

static bool fails(struct fake_fault *fault)
{
    if (fault->failures == 0)
        return false;
    fault->failures--;
    return true;
}

static ssize_t fake_receive(struct uplink *uplink, unsigned int pair,
                            const struct iovec *segments, int count)
{
    struct fake_uplink *fake = (struct fake_uplink *)uplink;
    ssize_t result;

    fake->receives++;
    if (fails(&fake->receive))
        return fake->receive.result;
    result = readv(uplink->fds[pair], segments, count);
    return result < 0 ? -errno : result;
}

static ssize_t fake_send(struct uplink *uplink, unsigned int pair, struct iovec *segments,
                         int count)
{
    struct fake_uplink *fake = (struct fake_uplink *)uplink;
    ssize_t result;

    fake->sends++;
    if (fake->sent)
        fake->sent();
    assert_int_equal(segments[0].iov_len, sizeof(struct uplink_header));
    if (fails(&fake->send))
        return fake->send.result;
    result = writev(uplink->fds[pair], segments, count);
    return result < 0 ? -errno : result;
}

static bool fake_flush(struct uplink *uplink, unsigned int pair)
{
    struct fake_uplink *fake = (struct fake_uplink *)uplink;

    (void)pair;
    fake->flushes++;
    return !fake->unflushed;
}

static int fake_set_offloads(struct uplink *uplink, unsigned int offloads)
{
    struct fake_uplink *fake = (struct fake_uplink *)uplink;

    if (fails(&fake->set_offloads))
        return (int)fake->set_offloads.result;
    fake->offloads_set = offloads;
    return 0;
}

static int fake_set_pairs(struct uplink *uplink, unsigned int pairs)
{
    struct fake_uplink *fake = (struct fake_uplink *)uplink;

    if (fails(&fake->set_pairs))
        return (int)fake->set_pairs.result;
    fake->pairs_set = pairs;
    return 0;
}

static const char *fake_reason(struct uplink *uplink)
{
    (void)uplink;
    return "the cable was cut";
}

static void fake_destroy(struct uplink *uplink)
{
    struct fake_uplink *fake = (struct fake_uplink *)uplink;

    for (unsigned int i = 0; i < uplink->pairs; i++) {
        close(uplink->fds[i]);
        if (fake->peers[i] >= 0)
            close(fake->peers[i]);
    }
    if (fake->destroyed)
        *fake->destroyed = true;
    free(fake);
}

static const struct uplink_ops fake_ops = {
    .receive = fake_receive,
    .send = fake_send,
    .flush = fake_flush,
    .set_offloads = fake_set_offloads,
    .set_pairs = fake_set_pairs,
    .reason = fake_reason,
    .destroy = fake_destroy,
};

struct fake_uplink *fake_uplink_create(unsigned int pairs)
{
    struct fake_uplink *fake = calloc(1, sizeof(*fake));

    assert_non_null(fake);
    fake->uplink = (struct uplink){
        .ops = &fake_ops,
        .name = "fake0",
        .pairs = pairs,
        .offloads = UPLINK_CHECKSUM | UPLINK_TSO4 | UPLINK_TSO6 | UPLINK_TSO_ECN | UPLINK_UFO |
                    UPLINK_USO4 | UPLINK_USO6,
        .mtu = 1500,
    };
    for (unsigned int i = 0; i < pairs; i++) {
        int sockets[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                                    sockets), 0);
        fake->uplink.fds[i] = sockets[0];
        fake->peers[i] = sockets[1];
    }
    return fake;
}

static int fake_net_create(struct virtio_device **device, const struct virtio_env *env,
                           const void *options, struct error *error)
{
    const struct fake_net_options *fake = options;

    return net_create_with(device, env, &fake->net, fake->uplink ? &fake->uplink->uplink : NULL,
                           error);
}

void *fake_net_make(const char *pairs)
{
    struct fake_net_options *created = calloc(1, sizeof(*created));

    assert_non_null(created);
    created->uplink = fake_uplink_create((unsigned int)atoi(pairs));
    return created;
}

/* What it makes is of the real class. */
const struct virtio_device_class fake_net_class = {
    .create = fake_net_create,
};

void fake_uplink_put(struct fake_uplink *uplink, unsigned int pair, const void *frame,
                     size_t length)
{
    struct uplink_header header = { .flags = 0 };
    struct iovec pieces[2] = {
        { .iov_base = &header, .iov_len = sizeof(header) },
        { .iov_len = length },
    };
    uint8_t *copy = malloc(length ? length : 1);

    assert_non_null(copy);
    memcpy(copy, frame, length);
    pieces[1].iov_base = copy;
    assert_int_equal(writev(uplink->peers[pair], pieces, 2), sizeof(header) + length);
    free(copy);
}

size_t fake_uplink_take(struct fake_uplink *uplink, unsigned int pair, void *bytes, size_t size)
{
    ssize_t length = read(uplink->peers[pair], bytes, size);

    return length > 0 ? (size_t)length : 0;
}

static uint64_t used_microseconds(void)
{
    struct timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

void fake_uplink_expect_idle(struct event_loop *loop)
{
    uint64_t before = used_microseconds();

    run_loop_for(loop, 60);
    assert_true(used_microseconds() - before < 10000);
}
