/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/base/settings.h"
#include "devices/virtio/net_internal.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/options.h"

/* Flags of --net user: mote run's network, and what is open to the guest besides the outside (frame_filter.h). */
static const struct {
    const char *name;
    size_t offset;
} user_words[] = {
    { "private", offsetof(struct net_options, user.private_network) },
    { "local", offsetof(struct net_options, user.local) },
    { "link-local", offsetof(struct net_options, user.link_local) },
    { "host-loopback", offsetof(struct net_options, user.host_loopback) },
};

#define KINDS "give tap:NAME, tap-fd:N, user or none"

/* The rest of TEXT after PREFIX, or NULL. */
static const char *after(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);

    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

static int parse_kind(struct net_options *options, const char *text, struct error *error)
{
    const char *rest;
    uint64_t number;

    if (strcmp(text, "none") == 0) {
        options->kind = NET_NONE;
    } else if (strcmp(text, "user") == 0) {
        options->kind = NET_USER;
    } else if ((rest = after(text, "tap:"))) {
        options->kind = NET_TAP;
        if (*rest == '\0' || strlen(rest) >= sizeof(options->tap) || strchr(rest, '/'))
            return error_set(error, EINVAL, "--net tap:%s: is no interface's name; give the name "
                             "that 'ip link' shows", rest);
        snprintf(options->tap, sizeof(options->tap), "%s", rest);
    } else if ((rest = after(text, "tap-fd:"))) {
        options->kind = NET_TAP_FD;
        if (options_number("net tap-fd:", rest, 3, INT32_MAX, &number, error) < 0)
            return -EINVAL;
        options->fd = (int)number;
    } else {
        return error_set(error, EINVAL, "--net %s: is unknown; " KINDS, text);
    }
    return 0;
}

static int parse_mac(struct net_options *options, const char *text, struct error *error)
{
    unsigned int bytes[6], sum = 0;
    int end = 0;

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &bytes[0], &bytes[1], &bytes[2], &bytes[3],
               &bytes[4], &bytes[5], &end) != 6 ||
        end != 17 || text[end] != '\0' || strspn(text, "0123456789abcdefABCDEF:") != 17)
        return error_set(error, EINVAL, "--net …,mac=%s: is no MAC address; give six pairs of hex "
                         "digits such as 52:54:00:12:34:56", text);
    for (int i = 0; i < 6; i++) {
        options->mac[i] = (uint8_t)bytes[i];
        sum |= bytes[i];
    }
    if (sum == 0 || (bytes[0] & 1))
        return error_set(error, EINVAL, "--net …,mac=%s: belongs to no single interface; give one "
                         "whose first byte is even, such as 52:54:00:12:34:56", text);
    options->mac_given = true;
    return 0;
}

/* "tcp:[ADDRESS:]HOSTPORT:GUESTPORT" */
static int parse_forward(struct net_options *options, const char *text, struct error *error)
{
    const char *ports = after(text, "tcp:");
    struct passt_options *user = &options->user;
    struct passt_forward *forward = &user->forwards[user->forward_count];
    enum passt_forward_fault fault;

    if (user->forward_count == PASST_FORWARDS_MAX)
        return error_set(error, E2BIG, "--net user: has over %d forwards; give fewer",
                         PASST_FORWARDS_MAX);
    *forward = (struct passt_forward){ .udp = !ports };
    if (!ports)
        ports = after(text, "udp:");
    if (!ports)
        return error_set(error, EINVAL, "--net …,forward=%s: is no forward; give "
                         "tcp:HOSTPORT:GUESTPORT such as tcp:8080:80, or udp:…", text);
    fault = passt_forward_parse(ports, forward);
    if (fault != PASST_FORWARD_GOOD)
        return error_set(error, EINVAL, "--net …,forward=%s: %s", text,
                         passt_forward_fault_text(fault));
    for (size_t i = 0; i < user->forward_count; i++)
        if (user->forwards[i].udp == forward->udp &&
            user->forwards[i].host_port == forward->host_port) /* passt wants it once, at any address */
            return error_set(error, EINVAL, "--net …,forward=%s: that port of the host is "
                             "forwarded already; choose another", text);
    user->forward_count++;
    return 0;
}

static int parse_forwards(struct net_options *options, struct settings *settings,
                          struct error *error)
{
    const char *text = NULL;
    int result;

    for (;;) {
        text = NULL;
        result = settings_text(settings, "forward", &text, error);
        if (result < 0 || !text)
            return result;
        result = parse_forward(options, text, error);
        if (result < 0)
            return result;
    }
}

/* rate= and the like are for both directions, unless one has its own. */
static int parse_limits(struct net_options *options, struct settings *settings,
                        struct error *error)
{
    int result = rate_limit_parse(settings, "", &options->receive_rate, error);

    if (result < 0)
        return result;
    options->transmit_rate = options->receive_rate;
    result = rate_limit_parse(settings, "rx-", &options->receive_rate, error);
    return result < 0 ? result
                      : rate_limit_parse(settings, "tx-", &options->transmit_rate, error);
}

static int parse_user_words(struct net_options *options, struct settings *settings,
                            struct error *error)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < ARRAY_LENGTH(user_words); i++)
        result = settings_flag(settings, user_words[i].name,
                               (bool *)((char *)options + user_words[i].offset), error);
    return result;
}

/* What fits together: only passt forwards, only a tap by name has several queues. */
static int check(const struct net_options *options, struct error *error)
{
    if (options->user.forward_count > 0 && options->kind != NET_USER)
        return error_set(error, EINVAL, "--net: forward= is for --net user; leave it out, or "
                         "forward with the host's firewall");
    for (size_t i = 0; i < ARRAY_LENGTH(user_words); i++)
        if (*(const bool *)((const char *)options + user_words[i].offset) &&
            options->kind != NET_USER)
            return error_set(error, EINVAL, "--net: %s is for --net user; leave it out",
                             user_words[i].name);
    if (options->pairs > 1 && options->kind != NET_TAP)
        return error_set(error, EINVAL, "--net: queues= is for --net tap:NAME; leave it out");
    return 0;
}

static int read_options(void *target, struct settings *settings, struct error *error)
{
    static const char *const known[] = {
        "mac", "forward", "private", "local", "link-local", "host-loopback", "queues", "offloads", RATE_LIMIT_KEYS,
        RATE_LIMIT_KEYS_OF("rx-"), RATE_LIMIT_KEYS_OF("tx-"), NULL,
    };
    struct net_options *options = target;
    const char *kind, *mac = NULL;
    uint64_t pairs = 1;
    int result;

    options->offloads = true;
    if ((result = settings_main(settings, "tap:NAME|tap-fd:N|user|none", &kind, error)) < 0 ||
        (result = parse_kind(options, kind, error)) < 0 ||
        (result = settings_text(settings, "mac", &mac, error)) < 0 ||
        (mac && (result = parse_mac(options, mac, error)) < 0) ||
        (result = parse_forwards(options, settings, error)) < 0 ||
        (result = parse_user_words(options, settings, error)) < 0 ||
        (result = settings_number(settings, "queues", 1, UPLINK_PAIRS_MAX, &pairs, error)) < 0 ||
        (result = settings_flag(settings, "offloads", &options->offloads, error)) < 0 ||
        (result = parse_limits(options, settings, error)) < 0 ||
        (result = settings_finish(settings, known, error)) < 0)
        return result;
    options->pairs = (unsigned int)pairs;
    return check(options, error);
}

int net_options_parse(const char *text, void **options, struct error *error)
{
    static const struct settings_reader reader = {
        .option = "net", .size = sizeof(struct net_options), .read = read_options, .release = free,
    };

    return settings_read(&reader, text, options, error);
}

int net_random_mac(uint8_t mac[6], struct error *error)
{
    if (getrandom(mac, 6, 0) != 6)
        return error_system(error, errno, "--net: a random MAC address");
    /* Locally administered, of one interface. */
    mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
    return 0;
}

/* With passt each has a network of its own, on which nobody calls in. */
int net_for_clone(struct settings *settings, const char *name, char **copy, struct error *error)
{
    struct net_options options = { .kind = NET_NONE };
    const char *kind, *given = NULL;
    char mac[sizeof("mac=00:00:00:00:00:00")];
    int result;

    if ((result = settings_main(settings, "tap:NAME|tap-fd:N|user|none", &kind, error)) < 0 ||
        (result = parse_kind(&options, kind, error)) < 0 ||
        (result = settings_text(settings, "mac", &given, error)) < 0 ||
        (result = net_random_mac(options.mac, error)) < 0)
        return result;
    if (!name && given)
        return 0;
    if (name && (options.kind == NET_TAP || options.kind == NET_TAP_FD))
        return error_set(error, EINVAL, "--net %s: clones cannot share a tap; give each its own, such "
                         "as --net tap:vm%%d, or --net user or none", kind);
    /* A port of the host is one VM's. */
    while (name && settings_take(settings, "forward"))
        ;
    snprintf(mac, sizeof(mac), "mac=%02x:%02x:%02x:%02x:%02x:%02x", options.mac[0], options.mac[1],
             options.mac[2], options.mac[3], options.mac[4], options.mac[5]);
    return settings_again(settings, kind, mac, copy, error);
}
