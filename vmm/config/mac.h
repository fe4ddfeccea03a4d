/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONFIG_MAC_H
#define MOTE_CONFIG_MAC_H

#include <stdint.h>

#define MAC_SIZE 6
#define MAC_TEXT_SIZE sizeof("00:00:00:00:00:00")

/* Six pairs of hexadecimal digits, the address of one interface.  NULL, or what is wrong and what to give. */
const char *mac_parse(const char *text, uint8_t mac[MAC_SIZE]);
/* The same of an address that was none of text. */
const char *mac_fault(const uint8_t mac[MAC_SIZE]);
void mac_print(const uint8_t mac[MAC_SIZE], char text[MAC_TEXT_SIZE]);

#endif
