/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "devices/backend/tap.h"
#include "devices/virtio/net_internal.h"
#include "vmm/base/cleanup.h"

/* Enough for a frame whose MTU is 1500, where nobody says more. */
#define MTU_DEFAULT 1500u
#define ETHERNET_HEADER_MAX 22u /* two VLAN tags included */
/* The host's kernel waits for all its CPUs when a tap's queue is switched. */
#define CONTROL_IN_A_SECOND 16
#define SECOND 1000000000ull

/* What the guest may be offered for what the uplink can do. */
static const struct {
    unsigned int uplink;
    uint64_t guest; /* takes such frames */
    uint64_t host;  /* may send them */
} offloads[] = {
    { UPLINK_CHECKSUM, NET_F_GUEST_CSUM, NET_F_CSUM },
    { UPLINK_TSO4, NET_F_GUEST_TSO4, NET_F_HOST_TSO4 },
    { UPLINK_TSO6, NET_F_GUEST_TSO6, NET_F_HOST_TSO6 },
    { UPLINK_TSO_ECN, NET_F_GUEST_ECN, NET_F_HOST_ECN },
    { UPLINK_UFO, NET_F_GUEST_UFO, NET_F_HOST_UFO },
    { UPLINK_USO4, NET_F_GUEST_USO4, NET_F_HOST_USO },
    { UPLINK_USO6, NET_F_GUEST_USO6, NET_F_HOST_USO },
};

/* 5.1.3.1 */
static const struct virtio_feature_need needs[] = {
    { NET_F_GUEST_TSO4, NET_F_GUEST_CSUM },
    { NET_F_GUEST_TSO6, NET_F_GUEST_CSUM },
    { NET_F_GUEST_ECN, NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 },
    { NET_F_GUEST_UFO, NET_F_GUEST_CSUM },
    { NET_F_GUEST_USO4, NET_F_GUEST_CSUM },
    { NET_F_GUEST_USO6, NET_F_GUEST_CSUM },
    { NET_F_HOST_TSO4, NET_F_CSUM },
    { NET_F_HOST_TSO6, NET_F_CSUM },
    { NET_F_HOST_ECN, NET_F_HOST_TSO4 | NET_F_HOST_TSO6 },
    { NET_F_HOST_UFO, NET_F_CSUM },
    { NET_F_HOST_USO, NET_F_CSUM },
    { NET_F_MQ, NET_F_CTRL_VQ },
    { 0, 0 },
};

#define LARGE_FRAMES                                                                               \
    (NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | NET_F_GUEST_UFO | NET_F_GUEST_USO4 | NET_F_GUEST_USO6)

static uint64_t features_of(const struct net *net)
{
    uint64_t features = NET_F_MAC | NET_F_STATUS | NET_F_MRG_RXBUF;

    if (net->pair_count > 1)
        features |= NET_F_CTRL_VQ | NET_F_MQ;
    if (net->config.mtu)
        features |= NET_F_MTU;
    for (size_t i = 0; net->uplink && i < ARRAY_LENGTH(offloads); i++)
        if (net->uplink->offloads & offloads[i].uplink)
            features |= offloads[i].guest | offloads[i].host;
    return features;
}

struct virtqueue *net_receive_queue(struct net_pair *pair)
{
    return &pair->net->virtio.queues[2 * pair->index];
}

struct virtqueue *net_transmit_queue(struct net_pair *pair)
{
    return &pair->net->virtio.queues[2 * pair->index + 1];
}

/* ---- waiting for the uplink --------------------------------------------- */

static void unregister(struct net_pair *pair)
{
    if (pair->registered)
        event_loop_remove(pair->net->virtio.env.loop, pair->net->uplink->fds[pair->index]);
    pair->registered = false;
}

static void uplink_ready(void *context, uint32_t events)
{
    struct net_pair *pair = context;
    struct net *net = pair->net;

    /* The driver has reset the device, or uses fewer pairs.  An unused queue of a tap
     * is an error all the time: away with it, until it is used again. */
    if (!net->running || pair->index >= net->active) {
        unregister(pair);
        return;
    }
    if (events & (EPOLLERR | EPOLLHUP)) {
        net_uplink_ended(net, net->uplink->ops->reason(net->uplink));
        return;
    }
    if (events & EPOLLOUT)
        net_transmit(pair);
    if ((events & EPOLLIN) && pair->reading)
        net_receive(pair);
}

void net_update_events(struct net_pair *pair)
{
    struct net *net = pair->net;
    struct event_source source = {
        .events = (pair->reading ? EPOLLIN : 0u) | (pair->stuck ? EPOLLOUT : 0u),
        .handler = uplink_ready,
        .context = pair,
        .lock = net->virtio.env.lock,
    };
    int result;

    if (!net->uplink || net->ended)
        return;
    source.fd = net->uplink->fds[pair->index];
    if (pair->registered)
        result = event_loop_modify(net->virtio.env.loop, source.fd, source.events);
    else
        result = event_loop_add(net->virtio.env.loop, &source);
    if (result < 0)
        net_uplink_ended(net, strerror(-result));
    else
        pair->registered = true;
}

void net_uplink_ended(struct net *net, const char *reason)
{
    if (net->ended)
        return;
    for (unsigned int i = 0; i < net->pair_count; i++)
        unregister(&net->pairs[i]);
    net->ended = true;
    log_limited(net->virtio.env.log, NULL, LOG_WARN, "net %s: %s; the guest's link is down",
                net->uplink->name, reason);
    net->config.status &= (uint16_t)~NET_S_LINK_UP;
    virtio_config_changed(&net->virtio);
}

/* Whoever was refused by a limit: either queue of each pair. */
static void may_receive(void *context)
{
    struct net *net = context;

    for (unsigned int i = 0; i < net->active; i++)
        net_receive(&net->pairs[i]);
}

static void may_transmit(void *context)
{
    struct net *net = context;

    for (unsigned int i = 0; i < net->active; i++)
        net_transmit(&net->pairs[i]);
}

/* Right behind the pairs, of which there is one without MQ. */
static unsigned int control_queue(const struct net *net)
{
    return virtio_has(&net->virtio, NET_F_MQ) ? 2 * net->pair_count : 2;
}

static void may_control(void *context)
{
    struct net *net = context;

    virtio_kick_again(&net->virtio, control_queue(net));
}

/* ---- the life of the device --------------------------------------------- */

int net_set_pairs(struct net *net, unsigned int pairs)
{
    int result = 0;

    if (net->uplink && !net->ended && net->uplink->ops->set_pairs)
        result = net->uplink->ops->set_pairs(net->uplink, pairs);
    if (result < 0)
        return result;
    net->active = pairs;
    for (unsigned int i = 0; i < pairs; i++) {
        virtio_kick_again(&net->virtio, 2 * i);
        virtio_kick_again(&net->virtio, 2 * i + 1);
    }
    return 0;
}

void net_run(struct net *net, unsigned int pairs)
{
    const struct virtio_device *device = &net->virtio;
    unsigned int wanted = 0;
    size_t mtu = net->config.mtu > MTU_DEFAULT ? net->config.mtu : MTU_DEFAULT;

    for (size_t i = 0; i < ARRAY_LENGTH(offloads); i++)
        if (virtio_has(device, offloads[i].guest))
            wanted |= offloads[i].uplink;
    /* A combination that the host refuses: then frames come whole and with their sums. */
    if (net->uplink && !net->ended && net->uplink->ops->set_offloads &&
        net->uplink->ops->set_offloads(net->uplink, wanted) < 0)
        net->uplink->ops->set_offloads(net->uplink, 0);
    /* An uplink that names no MTU may send frames of any. */
    net->window_bytes = sizeof(struct uplink_header) + ETHERNET_HEADER_MAX + mtu;
    if ((device->negotiated & LARGE_FRAMES) || net->config.mtu == 0)
        net->window_bytes = sizeof(struct uplink_header) + UPLINK_FRAME_MAX;
    net->running = true;
    net->announced = !net->uplink || !net->uplink->ops->announce;
    /* By the loop's thread, which alone sends frames. */
    if (!net->announced)
        virtio_kick_again(&net->virtio, 1);
    if (net_set_pairs(net, pairs) < 0)
        virtio_needs_reset(&net->virtio, "the tap's queues cannot be switched");
}

static void net_activate(struct virtio_device *device, bool loaded)
{
    struct net *net = (struct net *)device;

    /* 5.1.6.5.6: one pair until the driver asks for more, which it may have done before it was saved. */
    net_run(net, loaded && net->active > 0 ? net->active : 1);
}

static void net_reset(struct virtio_device *device)
{
    struct net *net = (struct net *)device;

    net->running = false;
    net->active = 0;
    rate_limit_cancel(net->receive_limit);
    rate_limit_cancel(net->transmit_limit);
    rate_limit_cancel(net->control_limit);
    for (unsigned int i = 0; i < net->pair_count; i++) {
        struct net_pair *pair = &net->pairs[i];

        pair->reading = pair->stuck = false;
        pair->errors = 0;
        net_window_clear(&pair->window);
        /* Not removed, which is for the loop's thread. */
        if (pair->registered)
            event_loop_modify(device->env.loop, net->uplink->fds[i], 0);
    }
}

/* The control queue follows the pairs that the driver could use (5.1.2). */
static bool is_control(const struct net *net, unsigned int queue)
{
    if (!virtio_has(&net->virtio, NET_F_CTRL_VQ))
        return false;
    return queue == control_queue(net);
}

static void net_kick(struct virtio_device *device, unsigned int queue)
{
    struct net *net = (struct net *)device;

    if (is_control(net, queue))
        net_control(net, queue);
    else if (queue / 2 >= net->pair_count)
        return;
    else if (queue % 2 == 0)
        net_receive(&net->pairs[queue / 2]);
    else
        net_transmit(&net->pairs[queue / 2]);
}

static void net_destroy(struct virtio_device *device)
{
    struct net *net = (struct net *)device;
    const struct net_counters *counters = &net->counters;

    for (unsigned int i = 0; i < net->pair_count; i++)
        unregister(&net->pairs[i]);
    timer_close(&net->link_timer);
    rate_limit_destroy(net->receive_limit);
    rate_limit_destroy(net->transmit_limit);
    rate_limit_destroy(net->control_limit);
    log_debug(device->env.log, "net: %llu frames to the guest, %llu dropped; %llu from it, %llu "
              "dropped", (unsigned long long)counters->received,
              (unsigned long long)counters->received_dropped, (unsigned long long)counters->sent,
              (unsigned long long)counters->sent_dropped);
    if (net->uplink)
        net->uplink->ops->destroy(net->uplink);
    free(net);
}

/* ---- creation ----------------------------------------------------------- */

static struct rate_limit_options limit_options(struct net *net, const struct rate_limit_config *config,
                                               void (*ready)(void *context))
{
    return (struct rate_limit_options){
        .config = *config, .loop = net->virtio.env.loop, .lock = net->virtio.env.lock, .ready = ready,
        .context = net,
    };
}

static int create_limits(struct net *net, const struct net_options *options, struct error *error)
{
    static const struct rate_limit_config control = { .operations = { CONTROL_IN_A_SECOND, SECOND, 0 } };
    struct rate_limit_options receive = limit_options(net, &options->receive_rate, may_receive);
    struct rate_limit_options transmit = limit_options(net, &options->transmit_rate, may_transmit);
    struct rate_limit_options ours = limit_options(net, &control, may_control);
    int result = rate_limit_create(&net->receive_limit, &receive, error);

    if (result == 0)
        result = rate_limit_create(&net->transmit_limit, &transmit, error);
    if (result == 0 && net->pair_count > 1)
        result = rate_limit_create(&net->control_limit, &ours, error);
    return result;
}

int virtio_net_set_rates(struct virtio_device *device, const struct rate_limit_config *receive,
                         const struct rate_limit_config *transmit, int timer_fds[2], struct error *error)
{
    struct net *net = (struct net *)device;
    struct rate_limit_options to_guest = limit_options(net, receive, may_receive);
    struct rate_limit_options from_guest = limit_options(net, transmit, may_transmit);
    int result = rate_limit_change(&net->receive_limit, &to_guest, &timer_fds[0], error);

    return result < 0 ? result : rate_limit_change(&net->transmit_limit, &from_guest, &timer_fds[1], error);
}

int net_random_mac(uint8_t mac[6], struct error *error)
{
    if (getrandom(mac, 6, 0) != 6)
        return error_system(error, errno, "--net: a random MAC address");
    /* Locally administered, of one interface. */
    mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
    return 0;
}

static int choose_mac(struct net *net, const struct net_options *options, struct error *error)
{
    static const uint8_t none[sizeof(options->mac)];

    net->mac_given = memcmp(options->mac, none, sizeof(none)) != 0;
    memcpy(net->config.mac, options->mac, sizeof(net->config.mac));
    if (net->mac_given)
        return 0;
    return net_random_mac(net->config.mac, error);
}

int net_create_with(struct virtio_device **device, const struct virtio_env *env,
                    const struct net_options *options, struct uplink *uplink, struct error *error)
{
    unsigned int pairs = uplink ? uplink->pairs : 1;
    struct net *net = calloc(1, sizeof(*net) + pairs * sizeof(net->pairs[0]));
    int result;

    if (!net) {
        if (uplink)
            uplink->ops->destroy(uplink);
        return error_system(error, ENOMEM, "--net");
    }
    net->uplink = uplink;
    net->pair_count = pairs;
    net->link_timer = (struct timer)TIMER_INIT;
    net->config.status = uplink ? NET_S_LINK_UP : 0;
    net->config.pairs_max = (uint16_t)pairs;
    net->config.mtu = uplink ? uplink->mtu : 0;
    for (unsigned int i = 0; i < pairs; i++) {
        net->pairs[i].net = net;
        net->pairs[i].index = i;
    }
    virtio_device_init(&net->virtio, &net_class, env, (uint16_t)(pairs > 1 ? 2 * pairs + 1 : 2),
                       features_of(net), (uint8_t *)&net->config);
    result = choose_mac(net, options, error);
    if (result == 0)
        result = create_limits(net, options, error);
    if (result < 0) {
        net_destroy(&net->virtio);
        return result;
    }
    *device = &net->virtio;
    return 0;
}

static int net_create(struct virtio_device **device, const struct virtio_env *env,
                      const void *options, struct error *error)
{
    const struct net_options *net = options;
    struct uplink *uplink = NULL;
    int result = 0;

    switch (net->kind) {
    case NET_NONE:
        break;
    case NET_TAP:
        result = tap_open(&uplink, net->tap, net->pairs, error);
        break;
    case NET_TAP_FD:
        result = tap_adopt(&uplink, net->fd, error);
        break;
    case NET_USER:
        result = passt_start(&uplink, &net->user, error);
        break;
    }
    if (result < 0)
        return result;
    if (uplink && !net->offloads)
        uplink->offloads = 0;
    return net_create_with(device, env, net, uplink, error);
}

const struct virtio_device_class net_class = {
    .name = "net",
    .id = VIRTIO_ID_NET,
    .queue_size = NET_QUEUE_SIZE,
    .config_size = sizeof(struct net_config),
    .create = net_create,
    .destroy = net_destroy,
    .activate = net_activate,
    .reset = net_reset,
    .kick = net_kick,
    .state = net_state,
    .state_version = NET_STATE_VERSION,
    .needs = needs,
    /* The guest takes such frames, and need not get any. */
    .dispensable = LARGE_FRAMES | NET_F_GUEST_CSUM | NET_F_GUEST_ECN | NET_F_MTU,
    .drain = net_drain,
};
