/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_BOOT_INFO_H
#define MOTE_PAYLOAD_BOOT_INFO_H

/*
 * What the loader handed over, the same for both ways in: boot_params (Linux's
 * Documentation/arch/x86/zero-page.rst) or hvm_start_info (Xen's start_info.h).
 */

#include "payload.h"

#define RANGES_MAX 16
#define RANGE_RAM 1

struct boot_info {
    const char *command_line;
    uint64_t initrd;
    uint64_t initrd_size;
    uint64_t rsdp;
    uint64_t setup_data;
    size_t range_count;
    struct {
        uint64_t address, size;
        uint32_t type;
    } ranges[RANGES_MAX];
};

static inline uint32_t peek32(uint64_t address)
{
    return *(const volatile uint32_t *)address;
}

static inline uint64_t peek64(uint64_t address)
{
    return peek32(address) | (uint64_t)peek32(address + 4) << 32;
}

static inline void read_ranges(struct boot_info *info, uint64_t table, size_t count, size_t stride)
{
    info->range_count = count < RANGES_MAX ? count : RANGES_MAX;
    for (size_t i = 0; i < info->range_count; i++, table += stride) {
        info->ranges[i].address = peek64(table);
        info->ranges[i].size = peek64(table + 8);
        info->ranges[i].type = peek32(table + 16);
    }
}

static inline struct boot_info boot_info(int protocol, const void *argument)
{
    uint64_t at = (uint64_t)argument;
    struct boot_info info = { .range_count = 0 };

    if (protocol == STARTED_BY_PVH) {
        info.command_line = (const char *)peek64(at + 24);
        info.rsdp = peek64(at + 32);
        if (peek32(at + 12) > 0) {
            info.initrd = peek64(peek64(at + 16));
            info.initrd_size = peek64(peek64(at + 16) + 8);
        }
        read_ranges(&info, peek64(at + 40), peek32(at + 48), 24);
    } else {
        info.command_line = (const char *)(peek32(at + 0x228) | (uint64_t)peek32(at + 0xc8) << 32);
        info.rsdp = peek64(at + 0x70);
        info.initrd = peek32(at + 0x218) | (uint64_t)peek32(at + 0xc0) << 32;
        info.initrd_size = peek32(at + 0x21c) | (uint64_t)peek32(at + 0xc4) << 32;
        info.setup_data = peek64(at + 0x250);
        read_ranges(&info, at + 0x2d0, *(const uint8_t *)(at + 0x1e8), 20);
    }
    return info;
}

/* What follows "KEY=" in the command line, up to a blank; NULL where KEY is not given. */
static inline const char *option(const struct boot_info *info, const char *key)
{
    const char *at = info->command_line;

    while (*at) {
        const char *k = key;

        while (*k && *at == *k)
            at++, k++;
        if (!*k && *at == '=')
            return at + 1;
        while (*at && *at != ' ')
            at++;
        while (*at == ' ')
            at++;
    }
    return NULL;
}

static inline bool option_is(const char *value, const char *word)
{
    while (*word && *value == *word)
        value++, word++;
    return !*word && (*value == '\0' || *value == ' ');
}

static inline uint64_t option_number(const char *value)
{
    uint64_t number = 0;

    for (; value && *value >= '0' && *value <= '9'; value++)
        number = number * 10 + (uint64_t)(*value - '0');
    return number;
}

#endif
