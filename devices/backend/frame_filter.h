/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_FRAME_FILTER_H
#define MOTE_FRAME_FILTER_H

/*
 * Where a guest's frames may go that leave by passt, which makes connections of
 * the host's own of them: it would reach whatever the host reaches, its loopback
 * included (passt of 2023 takes a frame to 127.0.0.1 or 0.0.0.0 as it comes).
 *
 * Open without being asked for: all other networks, and the host's name servers
 * at port 53.  Closed unless a word of --net opens it:
 *
 *   local          private networks, other addresses of the host's own, multicast
 *   link-local     169.254.0.0/16, fe80::/10 and other places where clouds keep
 *                  their metadata, and with it credentials
 *   host-loopback  the host's 127.0.0.1, by the gateway's address
 *
 * Answers go wherever the question came from: a forwarded port serves clients on
 * closed networks, too.  So of TCP only the first segment is held back, and who
 * sent one, or a datagram, to the guest is remembered.
 *
 * Frames come from a hostile guest.  They must not change while they are looked
 * at and sent: HEAD is a copy.  Who takes the monitor over has passt's socket and
 * goes round the filter; what passt closes by itself stays closed.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As much of a frame as the filter looks at: Ethernet, the longest IPv4 header, TCP. */
#define FRAME_FILTER_HEAD (14u + 60u + 20u)

#define FRAME_FILTER_ADDRESSES 64

/* IPv4 addresses are here as ::ffff:a.b.c.d. */
struct address_list {
    size_t count;
    struct in6_addr items[FRAME_FILTER_ADDRESSES];
};

struct frame_rules {
    bool local, link_local, host_loopback;
    bool gateways_mapped;         /* passt has them lead to the host's loopback */
    struct address_list own;      /* the host's */
    struct address_list gateways;
    struct address_list resolvers; /* UDP and TCP, port 53 */
    struct address_list forwarders; /* passt's: UDP, port 53 */
};

/* False: there is no room for it. */
bool address_list_add(struct address_list *list, const struct in6_addr *address);
struct in6_addr address_of_ipv4(uint32_t address); /* in network byte order */
/* Not closed for the network that it is on. */
bool address_is_outside(const struct in6_addr *address);

#define FRAME_FILTER_FLOWS 512

struct frame_flow {
    struct in6_addr address;
    uint16_t port, own_port; /* as in the header */
    uint8_t protocol;        /* 0: none */
};

struct frame_filter {
    struct frame_rules rules;
    unsigned int told; /* of each kind of place once */
    char refusal[200];
    struct frame_flow flows[FRAME_FILTER_FLOWS]; /* who called the guest, the last of each slot */
};

/*
 * Whether the frame that begins with the LENGTH bytes of HEAD (FRAME_FILTER_HEAD,
 * or the whole of a shorter frame) may leave.  If not, `refusal` says why, for the
 * user, or is empty: it was said before, or is nothing that a user would miss.
 */
bool frame_filter_passes(struct frame_filter *filter, const uint8_t *head, size_t length);

/* A frame that goes to the guest: its answers may leave. */
void frame_filter_learn(struct frame_filter *filter, const uint8_t *head, size_t length);

#endif
