/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of a guest on --net user, and of its clients; forwards and the host's files as text.  Whatever a frame is, what
 * no word opens stays closed, and a frame that leaves has a destination that another look at it finds open, too.
 */
#include <arpa/inet.h>
#include <string.h>

#include "devices/backend/host_network.h"
#include "vmm/config/forward.h"
#include "tests/fuzz/fuzz.h"

static struct frame_filter filter;

static void try_text(const uint8_t *data, size_t size)
{
    struct host_network network = { .crowded = false };
    struct passt_forward forward = { .udp = false };
    char text[1024];
    uint8_t bytes[16];

    if (size >= sizeof(text))
        size = sizeof(text) - 1;
    memcpy(text, data, size);
    text[size] = '\0';
    host_network_resolvers(&network, text);
    host_network_gateways(&network, text, text);
    fuzz_require(network.resolvers.count <= FRAME_FILTER_ADDRESSES);
    fuzz_require(network.gateways.count <= FRAME_FILTER_ADDRESSES);
    if (forward_parse(text, &forward))
        return;
    fuzz_require(forward.host_port > 0 && forward.guest_port > 0);
    fuzz_require(!forward.address[0] ||
                 inet_pton(passt_forward_is_ipv6(&forward) ? AF_INET6 : AF_INET, forward.address,
                           bytes) == 1);
}

/* 127.0.0.0/8, 0.0.0.0/8 and all of IPv6's ::/8 but what a translator takes. */
static bool is_nowhere(const uint8_t *frame, size_t size)
{
    static const uint8_t translated[2] = { 0x00, 0x64 };

    if (size >= 34 && frame[12] == 0x08 && frame[13] == 0x00)
        return frame[30] == 0 || frame[30] == 127;
    return size >= 54 && frame[12] == 0x86 && frame[13] == 0xdd && frame[38] == 0 &&
           memcmp(frame + 38, translated, 2) != 0 && frame[14 + 6] != IPPROTO_ICMPV6;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool passes;

    if (size < 2)
        return 0;
    try_text(data, size);
    filter = (struct frame_filter){ .rules = {
        .local = data[0] & 1, .link_local = data[0] & 2, .host_loopback = data[0] & 4,
        .gateways_mapped = data[0] & 8,
    } };
    if (data[0] & 16 && size > 40) {
        frame_filter_learn(&filter, data + 1, 40);
        data += 40;
        size -= 40;
    }
    passes = frame_filter_passes(&filter, data + 1, size - 1);
    fuzz_require(!passes || !is_nowhere(data + 1, size - 1));
    fuzz_require(passes || strnlen(filter.refusal, sizeof(filter.refusal)) < sizeof(filter.refusal));
    fuzz_require(!passes || !filter.refusal[0]);
    fuzz_require(frame_filter_passes(&filter, data + 1, size - 1) == passes);
    return 0;
}
