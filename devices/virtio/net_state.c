/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loaded device has an uplink of its own: what the saved one's had taken or
 * not yet given is not here.  Should the link be up in the one and down in the
 * other, the driver hears of it.
 *
 * With another MAC address than the saved one's it is on another link: the
 * driver sees that go down, and up again a moment later, so that the guest's
 * programs ask for a new lease and give up what they had on the old one.
 */
#include <errno.h>
#include <string.h>

#include "devices/virtio/net_internal.h"
#include "vmm/machine/state.h"

void net_drain(struct virtio_device *device)
{
    struct net *net = (struct net *)device;

    for (unsigned int i = 0; i < net->pair_count; i++)
        net_release_buffers(&net->pairs[i]);
}

/* Time for a guest's driver to look, which most do at once. */
#define LINK_DOWN_MS 500

static void link_is_up(void *context)
{
    struct net *net = context;

    timer_close(&net->link_timer);
    if (net->ended)
        return;
    net->config.status |= NET_S_LINK_UP;
    virtio_config_changed(&net->virtio);
}

static int take_link_down(struct net *net, struct error *error)
{
    int result = timer_open_locked(&net->link_timer, net->virtio.env.loop, net->virtio.env.lock,
                                   link_is_up, net);

    if (result < 0)
        return error_system(error, -result, "net: a timer");
    timer_set(&net->link_timer, LINK_DOWN_MS);
    net->config.status &= (uint16_t)~NET_S_LINK_UP;
    return 0;
}

static void check_loaded(const struct net *net, struct state *state, const uint8_t *mac,
                         uint16_t status, uint32_t active)
{
    state_require(state, !(mac[0] & 1), "the MAC address"); /* of one interface */
    state_require(state, (status & ~NET_S_LINK_UP) == 0, "the link's status");
    state_require(state, active <= net->pair_count, "the number of pairs in use");
    state_require(state, active <= 1 || virtio_has(&net->virtio, NET_F_MQ),
                  "the number of pairs in use");
}

void net_state(struct virtio_device *device, struct state *state)
{
    struct net *net = (struct net *)device;
    uint8_t mac[sizeof(net->config.mac)];
    uint16_t status = net->config.status;
    uint32_t active = net->active;
    struct error error = ERROR_INIT;
    bool moved;

    memcpy(mac, net->config.mac, sizeof(mac));
    state_bytes(state, mac, sizeof(mac));
    state_u16(state, &status);
    state_u32(state, &active);
    rate_limit_state(net->receive_limit, state);
    rate_limit_state(net->transmit_limit, state);
    if (!state_is_loading(state))
        return;
    check_loaded(net, state, mac, status, active);
    if (!state_is_sound(state))
        return;
    net->active = active;
    moved = net->mac_given && memcmp(mac, net->config.mac, sizeof(mac)) != 0;
    if (moved && (status & net->config.status & NET_S_LINK_UP) && take_link_down(net, &error) < 0)
        state_fail(state, &error);
    if (moved || status != net->config.status)
        virtio_config_changed(device);
    if (!net->mac_given)
        memcpy(net->config.mac, mac, sizeof(mac));
}
