/* SPDX-License-Identifier: Apache-2.0 */
/* --net tap:NAME|tap-fd:N|user|none[,…] */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/options.h"
#include "vmm/config/device.h"
#include "vmm/config/forward.h"
#include "vmm/config/mac.h"
#include "vmm/config/rate.h"
#include "vmm/config/settings.h"

static const char *const kind_names[] = {
    [NET_NONE] = "none", [NET_TAP] = "tap", [NET_TAP_FD] = "tap-fd", [NET_USER] = "user", NULL,
};

#define FORWARD(member) SCHEMA_FIELD(struct passt_forward, member)

static const struct schema_row forward_rows[] = {
    { "udp", SCHEMA_FLAG, FORWARD(udp) },
    { "address", SCHEMA_WORD, FORWARD(address) },
    { "host-port", SCHEMA_NUMBER, FORWARD(host_port), 1, UINT16_MAX },
    { "guest-port", SCHEMA_NUMBER, FORWARD(guest_port), 1, UINT16_MAX },
};
static const struct schema forward_schema = {
    forward_rows, ARRAY_LENGTH(forward_rows), sizeof(struct passt_forward), NULL,
};

#define FIELD(member) SCHEMA_FIELD(struct net_options, member)

static const struct schema_row rows[] = {
    { "kind", SCHEMA_CHOICE, FIELD(kind), .choices = kind_names, .is_not_for_settings = true },
    { "tap", SCHEMA_WORD, FIELD(tap), .is_not_for_settings = true },
    { "tap-fd", SCHEMA_DESCRIPTOR, FIELD(fd), .is_not_for_settings = true },
    { "mac", SCHEMA_MAC, FIELD(mac) },
    { "forward", SCHEMA_LIST, FIELD(user.forwards), .maximum = PASST_FORWARDS_MAX,
      .nested = &forward_schema, .count_offset = offsetof(struct net_options, user.forward_count),
      .is_not_for_settings = true },
    /* mote run's network, and what is open to the guest besides the outside (frame_filter.h). */
    { "private", SCHEMA_FLAG, FIELD(user.private_network) },
    { "local", SCHEMA_FLAG, FIELD(user.local) },
    { "link-local", SCHEMA_FLAG, FIELD(user.link_local) },
    { "host-loopback", SCHEMA_FLAG, FIELD(user.host_loopback) },
    { "queues", SCHEMA_NUMBER, FIELD(pairs), 1, UPLINK_PAIRS_MAX },
    { "offloads", SCHEMA_FLAG, FIELD(offloads) },
    RATE_ROW("rx-rate", struct net_options, receive_rate),
    RATE_ROW("tx-rate", struct net_options, transmit_rate),
};
static const struct net_options defaults = { .fd = -1, .offloads = true, .pairs = 1 };
static const struct schema schema = { rows, ARRAY_LENGTH(rows), sizeof(defaults), &defaults };

/* ---- the option --------------------------------------------------------- */

#define KINDS "tap:NAME, tap-fd:N, user or none"

/* The rest of TEXT after PREFIX, or NULL. */
static const char *after(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);

    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

static int no_interface(const char *name, struct error *error)
{
    return error_set(error, EINVAL, "--net tap:%s: is no interface's name; give the name "
                     "that 'ip link' shows", name);
}

static int read_kind(struct net_options *net, const char *text, struct error *error)
{
    const char *rest;
    uint64_t number;

    if (strcmp(text, "none") == 0) {
        net->kind = NET_NONE;
    } else if (strcmp(text, "user") == 0) {
        net->kind = NET_USER;
    } else if ((rest = after(text, "tap:"))) {
        net->kind = NET_TAP;
        if (strlen(rest) >= sizeof(net->tap))
            return no_interface(rest, error);
        strcpy(net->tap, rest);
    } else if ((rest = after(text, "tap-fd:"))) {
        net->kind = NET_TAP_FD;
        if (options_number("net tap-fd:", rest, 3, INT32_MAX, &number, error) < 0)
            return -EINVAL;
        net->fd = (int)number;
    } else {
        return error_set(error, EINVAL, "--net %s: is unknown; give " KINDS, text);
    }
    return 0;
}

/* "tcp:[ADDRESS:]HOSTPORT:GUESTPORT" */
static int read_forward(struct passt_options *user, const char *text, struct error *error)
{
    struct passt_forward *forward = &user->forwards[user->forward_count];
    const char *ports = after(text, "tcp:"), *fault;

    if (user->forward_count == PASST_FORWARDS_MAX)
        return error_set(error, E2BIG, "--net user: has over %d forwards; give fewer",
                         PASST_FORWARDS_MAX);
    *forward = (struct passt_forward){ .udp = !ports };
    if (!ports)
        ports = after(text, "udp:");
    if (!ports)
        return error_set(error, EINVAL, "--net …,forward=%s: is no forward; give "
                         "tcp:HOSTPORT:GUESTPORT such as tcp:8080:80, or udp:…", text);
    if ((fault = forward_parse(ports, forward)))
        return error_set(error, EINVAL, "--net …,forward=%s: %s", text, fault);
    user->forward_count++;
    return 0;
}

static int read_forwards(struct passt_options *user, struct settings *settings, struct error *error)
{
    for (;;) {
        const char *text = NULL;
        int result = settings_text(settings, "forward", &text, error);

        if (result < 0 || !text)
            return result;
        result = read_forward(user, text, error);
        if (result < 0)
            return result;
    }
}

static int read_net(struct device_config *device, struct settings *settings, struct config_pool *pool,
                    struct error *error)
{
    struct net_options *net = &device->net;
    const char *kind;
    int result;

    (void)pool;
    if ((result = settings_main(settings, "tap:NAME|tap-fd:N|user|none", &kind, error)) < 0 ||
        (result = read_kind(net, kind, error)) < 0 ||
        (result = read_forwards(&net->user, settings, error)) < 0)
        return result;
    return rate_of_directions(settings, &net->receive_rate, &net->transmit_rate, error);
}

/* ---- whether it fits together ------------------------------------------- */

static int validate_kind(const struct net_options *net, struct error *error)
{
    if (net->kind == NET_TAP ? !net->tap[0] || strchr(net->tap, '/') != NULL : net->tap[0] != '\0')
        return no_interface(net->tap, error);
    if (net->kind == NET_TAP_FD ? net->fd < 3 : net->fd >= 0)
        return error_set(error, EINVAL, "--net tap-fd:%d: is out of range; give the descriptor of a tap, from "
                         "3 on, to tap-fd: alone", net->fd);
    return 0;
}

static int validate_forward(const struct passt_options *user, size_t index, struct error *error)
{
    const struct passt_forward *forward = &user->forwards[index];
    const char *protocol = forward->udp ? "udp" : "tcp";

    if (!forward_address_is_good(forward->address))
        return error_set(error, EINVAL, "--net …,forward=%s:%.45s:%u:%u: " FORWARD_NO_ADDRESS, protocol,
                         forward->address, forward->host_port, forward->guest_port);
    for (size_t i = 0; i < index; i++)
        if (user->forwards[i].udp == forward->udp &&
            user->forwards[i].host_port == forward->host_port) /* passt wants it once, at any address */
            return error_set(error, EINVAL, "--net …,forward=%s:%u:%u: that port of the host is "
                             "forwarded already; choose another", protocol, forward->host_port,
                             forward->guest_port);
    return 0;
}

/* Only passt forwards, and only it opens something to the guest. */
static int validate_user(const struct net_options *net, struct error *error)
{
    int result = 0;

    if (net->kind == NET_USER) {
        for (size_t i = 0; result == 0 && i < net->user.forward_count; i++)
            result = validate_forward(&net->user, i, error);
        return result;
    }
    if (net->user.forward_count > 0)
        return error_set(error, EINVAL, "--net: forward= is for --net user; leave it out, or "
                         "forward with the host's firewall");
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        if (rows[i].kind == SCHEMA_FLAG && rows[i].offset >= offsetof(struct net_options, user) &&
            rows[i].offset < offsetof(struct net_options, user) + sizeof(net->user) &&
            *((const bool *)net + rows[i].offset))
            return error_set(error, EINVAL, "--net: %s is for --net user; leave it out", rows[i].key);
    return 0;
}

static int validate_net(const struct device_config *device, struct error *error)
{
    static const uint8_t any[MAC_SIZE];
    const struct net_options *net = &device->net;
    const char *fault = memcmp(net->mac, any, MAC_SIZE) == 0 ? NULL : mac_fault(net->mac);
    char mac[MAC_TEXT_SIZE];
    int result;

    if ((result = validate_kind(net, error)) < 0 || (result = validate_user(net, error)) < 0 ||
        (result = rate_validate("net", &net->receive_rate, error)) < 0 ||
        (result = rate_validate("net", &net->transmit_rate, error)) < 0)
        return result;
    mac_print(net->mac, mac);
    if (fault)
        return error_set(error, EINVAL, "--net …,mac=%s: %s", mac, fault);
    if (net->pairs > 1 && net->kind != NET_TAP)
        return error_set(error, EINVAL, "--net: queues= is for --net tap:NAME; leave it out");
    return 0;
}

/* ---- the host and clones ------------------------------------------------ */

static bool net_reaches_host(const struct device_config *device)
{
    return device->net.kind != NET_NONE;
}

static void describe_net(const struct device_config *device, FILE *stream)
{
    const struct net_options *net = &device->net;

    fprintf(stream, "--net %s", kind_names[net->kind]);
    if (net->kind == NET_TAP)
        fprintf(stream, ":%s", net->tap);
    if (net->kind == NET_TAP_FD)
        fprintf(stream, ":%d", net->fd);
}

/* With passt each has a network of its own, on which nobody calls in. */
static int net_for_clone(struct device_config *device, const char *name, struct config_pool *pool,
                         struct error *error)
{
    static const uint8_t any[MAC_SIZE];
    struct net_options *net = &device->net;

    (void)pool;
    if (!name && memcmp(net->mac, any, MAC_SIZE) != 0)
        return 0;
    if (name && net->kind == NET_TAP)
        return error_set(error, EINVAL, "--net tap:%s: clones cannot share a tap; give each its own, such "
                         "as --net tap:vm%%d, or --net user or none", net->tap);
    if (name && net->kind == NET_TAP_FD)
        return error_set(error, EINVAL, "--net tap-fd:%d: clones cannot share a tap; give each its own, such "
                         "as --net tap:vm%%d, or --net user or none", net->fd);
    if (name)
        net->user.forward_count = 0; /* a port of the host is one VM's */
    return net_random_mac(net->mac, error);
}

static const char *const known[] = {
    "forward", RATE_KEYS, RATE_KEYS_OF("rx-"), RATE_KEYS_OF("tx-"), NULL,
};

const struct device_row net_row = {
    .name = "net",
    .option = "net",
    .argument = "KIND",
    .help = "a network device: tap:NAME, tap-fd:N, user or none,\n"
            "with forward=tcp:HOST:GUEST, mac=, rate=, queues=",
    .schema = &schema,
    .read = read_net,
    .known = known,
    .validate = validate_net,
    .reaches_host = net_reaches_host,
    .for_clone = net_for_clone,
    .describe = describe_net,
};
