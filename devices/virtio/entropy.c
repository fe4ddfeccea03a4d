/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entropy device (virtio 1.2, 5.4): the driver offers writable buffers, the
 * device fills them from the host's getrandom(2), which is as good for a guest
 * as for a program.
 *
 * A guest that asks without pause must not keep the host's generator busy: a
 * request gets REQUEST_MAX bytes at most, which the specification allows, and
 * all requests together a rate.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "devices/rate_limit.h"
#include "devices/virtio/entropy.h"

#define QUEUE_SIZE 64
#define REQUEST_MAX (64u << 10)

struct entropy {
    struct virtio_device virtio;
    struct rate_limit *rate;
    struct log_limit failures;
};

/* ---- requests ----------------------------------------------------------- */

/* Fills PIECE; returns how much was there. */
static size_t fill_piece(struct entropy *entropy, const struct iovec *piece)
{
    size_t filled = 0;

    while (filled < piece->iov_len) {
        ssize_t got = getrandom((uint8_t *)piece->iov_base + filled, piece->iov_len - filled,
                                GRND_NONBLOCK);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            log_limited(entropy->virtio.env.log, &entropy->failures, LOG_WARN,
                        "entropy: the host gives none (%s)", strerror(errno));
            break;
        }
        filled += (size_t)got;
    }
    return filled;
}

static int fill(struct virtio_device *device, const struct virtio_chain *chain,
                struct virtio_answer *answer)
{
    struct chain_cursor cursor = chain_writable(chain);
    struct iovec pieces[QUEUE_SIZE];
    int count = chain_slice(&cursor, REQUEST_MAX, pieces, QUEUE_SIZE);

    if (chain->writable_bytes == 0)
        return -EPROTO;
    for (int i = 0; i < count; i++) {
        size_t got = fill_piece((struct entropy *)device, &pieces[i]);

        answer->written += (uint32_t)got;
        if (got < pieces[i].iov_len)
            break;
    }
    answer->cost = answer->written;
    return 0;
}

static void entropy_kick(struct virtio_device *device, unsigned int queue)
{
    virtio_serve(device, queue, ((struct entropy *)device)->rate, fill, "a request for entropy");
}

static void rate_allows_again(void *context)
{
    virtio_kick_again(context, 0);
}

/* ---- life cycle --------------------------------------------------------- */

static int entropy_create(struct virtio_device **device, const struct virtio_env *env,
                          const void *options, struct error *error)
{
    const struct entropy_options *wanted = options;
    struct entropy *entropy = calloc(1, sizeof(*entropy));
    struct rate_limit_options rate = {
        .config = wanted->rate,
        .loop = env->loop,
        .lock = env->lock,
        .ready = rate_allows_again,
        .context = entropy,
    };
    int result;

    if (!entropy)
        return error_system(error, ENOMEM, "--entropy");
    virtio_device_init(&entropy->virtio, &entropy_class, env, 1, 0, NULL);
    result = rate_limit_create(&entropy->rate, &rate, error);
    if (result < 0) {
        free(entropy);
        return result;
    }
    *device = &entropy->virtio;
    return 0;
}

static void entropy_destroy(struct virtio_device *device)
{
    rate_limit_destroy(((struct entropy *)device)->rate);
    free(device);
}

static void entropy_reset(struct virtio_device *device)
{
    rate_limit_cancel(((struct entropy *)device)->rate);
}

static void entropy_state(struct virtio_device *device, struct state *state)
{
    rate_limit_state(((struct entropy *)device)->rate, state);
}

const struct virtio_device_class entropy_class = {
    .name = "entropy",
    .id = VIRTIO_ID_ENTROPY,
    .queue_size = QUEUE_SIZE,
    .create = entropy_create,
    .destroy = entropy_destroy,
    .reset = entropy_reset,
    .kick = entropy_kick,
    .state = entropy_state,
    .state_version = 1,
};
