/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/mac.h"

#include <stdio.h>
#include <string.h>

const char *mac_fault(const uint8_t mac[MAC_SIZE])
{
    static const uint8_t none[MAC_SIZE];

    return memcmp(mac, none, MAC_SIZE) == 0 || (mac[0] & 1)
               ? "belongs to no single interface; give one whose first byte is even, such as 52:54:00:12:34:56"
               : NULL;
}

const char *mac_parse(const char *text, uint8_t mac[MAC_SIZE])
{
    unsigned int bytes[MAC_SIZE];
    int end = 0;

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &bytes[0], &bytes[1], &bytes[2], &bytes[3],
               &bytes[4], &bytes[5], &end) != MAC_SIZE ||
        end != 17 || text[end] != '\0' || strspn(text, "0123456789abcdefABCDEF:") != 17)
        return "is no MAC address; give six pairs of hex digits such as 52:54:00:12:34:56";
    for (int i = 0; i < MAC_SIZE; i++)
        mac[i] = (uint8_t)bytes[i];
    return mac_fault(mac);
}

void mac_print(const uint8_t mac[MAC_SIZE], char text[MAC_TEXT_SIZE])
{
    snprintf(text, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
             mac[4], mac[5]);
}
