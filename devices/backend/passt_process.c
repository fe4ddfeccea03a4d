/* SPDX-License-Identifier: Apache-2.0 */
/* passt's process: what it is told, and what its guest may reach. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/host_network.h"
#include "devices/backend/passt_internal.h"
#include "vmm/base/cleanup.h"

#define CHILD_SOCKET 3
/* Besides those of forwards: what is fixed, and each gateway. */
#define WORDS_MAX (20 + 2 * PASST_FORWARDS_MAX + 2 * 2)
/* "ADDRESS/65535:65535" */
#define WORD_SIZE (INET6_ADDRSTRLEN + 12)

/* ---- ports ---------------------------------------------------------------- */

static int bind_forward(int fd, const struct passt_forward *forward)
{
    struct sockaddr_in ipv4 = {
        .sin_family = AF_INET, .sin_port = htons(forward->host_port),
        .sin_addr.s_addr = htonl(INADDR_ANY),
    };
    struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6, .sin6_port = htons(forward->host_port) };

    if (passt_forward_is_ipv6(forward)) {
        inet_pton(AF_INET6, forward->address, &ipv6.sin6_addr);
        return bind(fd, (struct sockaddr *)&ipv6, sizeof(ipv6));
    }
    if (forward->address[0])
        inet_pton(AF_INET, forward->address, &ipv4.sin_addr);
    return bind(fd, (struct sockaddr *)&ipv4, sizeof(ipv4));
}

/*
 * passt would say later, and to nobody, that a port is taken: the guest runs by
 * then.  So the port is tried before.
 */
static int check_port(const struct passt_forward *forward, struct error *error)
{
    const char *kind = forward->udp ? "udp" : "tcp";
    cleanup_fd int fd = socket(passt_forward_is_ipv6(forward) ? AF_INET6 : AF_INET,
                               (forward->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0)
        return error_system(error, errno, "--net user: a socket");
    /* As passt: connections that ended lately do not count. */
    if (!forward->udp)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind_forward(fd, forward) == 0)
        return 0;
    if (errno == EADDRINUSE)
        return error_set(error, errno, "--net user: %s port %u of the host is in use; choose "
                         "another in forward=%s:HOSTPORT:%u", kind, forward->host_port, kind,
                         forward->guest_port);
    if (errno == EACCES)
        return error_set(error, errno, "--net user: %s port %u of the host is not permitted; "
                         "choose one from 1024 on", kind, forward->host_port);
    if (errno == EADDRNOTAVAIL)
        return error_set(error, errno, "--net user: %s is no address of the host's; choose one that "
                         "'ip address' shows", forward->address);
    return error_system(error, errno, "--net user: %s port %u of the host", kind,
                        forward->host_port);
}

static int check_forwards(const struct passt_options *options, struct error *error)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < options->forward_count; i++) {
        const struct passt_forward *forward = &options->forwards[i];

        if (options->private_network && passt_forward_is_ipv6(forward))
            return error_set(error, EAFNOSUPPORT, "--net user: the address %s is IPv6, which this "
                             "guest's network has not; give an IPv4 address of the host's, such "
                             "as 127.0.0.1", forward->address);
        result = check_port(forward, error);
    }
    return result;
}

/* ---- what may be reached -------------------------------------------------- */

static void add_text(struct address_list *list, const char *ipv4)
{
    struct in6_addr address;
    uint32_t plain;

    inet_pton(AF_INET, ipv4, &plain);
    address = address_of_ipv4(plain);
    address_list_add(list, &address);
}

/*
 * A name server at the host's loopback, as systemd-resolved is, is told to the
 * guest as the gateway's address, and reached only where that is mapped: then the
 * filter lets nothing but lookups through to it.
 */
static void make_rules(const struct passt_options *options, const struct host_network *host,
                       struct frame_rules *rules)
{
    *rules = (struct frame_rules){
        .local = options->local, .link_local = options->link_local,
        .host_loopback = options->host_loopback, .own = host->own,
    };
    if (options->private_network) {
        rules->gateways_mapped = options->host_loopback;
        add_text(&rules->gateways, PASST_PRIVATE_GATEWAY);
        add_text(&rules->forwarders, PASST_PRIVATE_NAME_SERVER);
        return;
    }
    rules->gateways = host->gateways;
    rules->resolvers = host->resolvers;
    rules->gateways_mapped = host->gateways.count > 0 &&
                             (options->host_loopback || host->loopback_resolver);
    if (rules->gateways_mapped && host->loopback_resolver)
        rules->forwarders = host->gateways;
}

int passt_prepare(const struct passt_options *options, struct frame_rules *rules,
                  struct error *error)
{
    struct host_network host;
    int result = check_forwards(options, error);

    if (result == 0)
        result = host_network_read(&host, error);
    if (result < 0)
        return result;
    if (host.crowded && !options->local)
        return error_set(error, E2BIG, "--net user: the host has over %u public addresses, more than "
                         "can be closed to the guest; open them by --net user,local",
                         FRAME_FILTER_ADDRESSES);
    make_rules(options, &host, rules);
    return 0;
}

/* ---- its command line ----------------------------------------------------- */

/* It owns its words, as execve(2) wants them writable. */
struct arguments {
    size_t count;
    char words[WORDS_MAX][WORD_SIZE];
    char *list[WORDS_MAX + 1];
};

static void add_words(struct arguments *arguments, const char *const words[], size_t count)
{
    for (size_t i = 0; i < count && arguments->count < WORDS_MAX; i++) {
        char *word = arguments->words[arguments->count];

        snprintf(word, WORD_SIZE, "%s", words[i]);
        arguments->list[arguments->count++] = word;
    }
}

static void add_pair(struct arguments *arguments, const char *option, const char *value)
{
    const char *const words[] = { option, value };

    add_words(arguments, words, ARRAY_LENGTH(words));
}

/* An option each: an address counts for all ports of one. */
static void add_forward(struct arguments *arguments, const struct passt_forward *forward)
{
    char value[WORD_SIZE];

    snprintf(value, sizeof(value), "%s%s%u:%u", forward->address, forward->address[0] ? "/" : "",
             forward->host_port, forward->guest_port);
    add_pair(arguments, forward->udp ? "-u" : "-t", value);
}

/* The first of each kind are those that passt would find, and those that it maps. */
static void add_gateways(struct arguments *arguments, const struct address_list *gateways)
{
    char text[INET6_ADDRSTRLEN];
    bool done[2] = { false, false };

    for (size_t i = 0; i < gateways->count; i++) {
        const struct in6_addr *address = &gateways->items[i];
        bool ipv4 = IN6_IS_ADDR_V4MAPPED(address);

        if (done[ipv4])
            continue;
        done[ipv4] = true;
        inet_ntop(ipv4 ? AF_INET : AF_INET6, address->s6_addr + (ipv4 ? 12 : 0), text, sizeof(text));
        add_pair(arguments, "--gateway", text);
    }
}

static const char *const first_words[] = {
    PASST_PROGRAM, "--foreground", "--quiet", "--stderr", "--fd", "3",
};
static const char *const private_words[] = {
    "--ipv4-only", "--address", PASST_PRIVATE_ADDRESS, "--netmask", "255.255.255.0",
    "--dns-forward", PASST_PRIVATE_NAME_SERVER,
};
static const char *const unmapped_words[] = { "--no-map-gw" };

static void make_arguments(struct arguments *arguments, const struct passt_options *options,
                           const struct frame_rules *rules)
{
    *arguments = (struct arguments){ .count = 0 };
    add_words(arguments, first_words, ARRAY_LENGTH(first_words));
    if (options->private_network)
        add_words(arguments, private_words, ARRAY_LENGTH(private_words));
    if (options->private_network || rules->gateways_mapped)
        add_gateways(arguments, &rules->gateways);
    if (!rules->gateways_mapped)
        add_words(arguments, unmapped_words, ARRAY_LENGTH(unmapped_words));
    for (size_t i = 0; i < options->forward_count; i++)
        add_forward(arguments, &options->forwards[i]);
}

/* ---- its start ------------------------------------------------------------ */

/*
 * Away from the terminal's signals, with our mask and handlers undone; the
 * messages go into a pipe that is read when it has ended.
 */
static int spawn(pid_t *pid, int socket_fd, int messages_fd, char *const arguments[])
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int result;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, messages_fd, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, socket_fd, CHILD_SOCKET);
    posix_spawn_file_actions_addclosefrom_np(&actions, CHILD_SOCKET + 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSID);
    result = posix_spawnp(pid, PASST_PROGRAM, &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -result;
}

int passt_spawn(pid_t *pid, int socket_fd, int messages_fd, const struct passt_options *options,
                const struct frame_rules *rules, struct error *error)
{
    struct arguments arguments;
    int result;

    make_arguments(&arguments, options, rules);
    result = spawn(pid, socket_fd, messages_fd, arguments.list);
    if (result == 0)
        return 0;
    *pid = 0;
    if (result == -ENOENT)
        return error_set(error, ENOENT, "--net user: passt is not installed; install Debian's "
                         "package: apt-get install passt");
    return error_system(error, -result, "--net user: cannot start passt");
}
