/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints the memory map, the command line and a checksum of the initrd, and
 * checks that all RAM of the map is there and is only there once: the first
 * and the last eight bytes of each range get a pattern of their own, and only
 * then are all read back.
 */
#include "boot_info.h"
#include "paging.h"

#define PATTERN 0x5aa5c33c0ff00000u

struct probe {
    uint64_t address, before;
};

static void probe_ram(const struct boot_info *info, struct checks *checks)
{
    struct probe probes[2 * RANGES_MAX];
    size_t count = 0;

    for (size_t i = 0; i < info->range_count; i++) {
        if (info->ranges[i].type != RANGE_RAM || info->ranges[i].size < 16)
            continue;
        probes[count++].address = info->ranges[i].address;
        probes[count++].address = info->ranges[i].address + info->ranges[i].size - 8;
    }
    for (size_t i = 0; i < count; i++) {
        probes[i].before = read64(probes[i].address);
        write64(probes[i].address, PATTERN + i);
    }
    for (size_t i = 0; i < count; i++)
        check(checks, "RAM holds what was written", read64(probes[i].address), PATTERN + i);
    for (size_t i = count; i-- > 0;)
        write64(probes[i].address, probes[i].before);
}

/* Behind each range of RAM there is nothing, unless the next range begins there. */
static void probe_holes(const struct boot_info *info, struct checks *checks)
{
    for (size_t i = 0; i < info->range_count; i++) {
        uint64_t end = info->ranges[i].address + info->ranges[i].size;
        bool continued = false;

        for (size_t j = 0; j < info->range_count; j++)
            continued = continued || info->ranges[j].address == end;
        if (!continued && info->ranges[i].type == RANGE_RAM)
            check(checks, "nothing lies behind RAM", read64(end), UINT64_MAX);
    }
}

static void print_ranges(const struct boot_info *info)
{
    uint64_t ram = 0;

    for (size_t i = 0; i < info->range_count; i++) {
        print("range ");
        print_hex(info->ranges[i].address);
        print(" ");
        print_hex(info->ranges[i].address + info->ranges[i].size);
        print(info->ranges[i].type == RANGE_RAM ? " ram\n" : " reserved\n");
        if (info->ranges[i].type == RANGE_RAM)
            ram += info->ranges[i].size;
    }
    print("ram ");
    print_number(ram >> 10);
    print(" KiB\n");
}

/* Sums as "sum -s" (System V) does. */
static void print_initrd(const struct boot_info *info)
{
    const uint8_t *bytes = (const uint8_t *)info->initrd;
    uint64_t sum = 0;

    if (info->initrd_size == 0) {
        print("initrd none\n");
        return;
    }
    for (uint64_t i = 0; i < info->initrd_size; i++)
        sum += bytes[i];
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff);
    sum = (sum & 0xffff) + (sum >> 16);
    print("initrd ");
    print_number(info->initrd_size);
    print(" bytes, sum ");
    print_number(sum);
    print("\n");
}

void payload_main(int protocol, const void *argument)
{
    struct boot_info info = boot_info(protocol, argument);
    struct checks checks = { 0, 0 };

    map_memory();
    print(protocol == STARTED_BY_PVH ? "by pvh\n" : "by linux64\n");
    print("command line: ");
    print(info.command_line);
    print("\n");
    print_ranges(&info);
    print_initrd(&info);
    print(info.setup_data ? "setup_data given\n" : "");
    print(info.rsdp ? "rsdp given\n" : "");
    check(&checks, "a memory map is there", info.range_count > 0, 1);
    if (info.initrd_size)
        check(&checks, "the initrd lies on a page", info.initrd & 4095, 0);
    probe_ram(&info, &checks);
    probe_holes(&info, &checks);
    print("memory: ");
    print_checks(&checks);
    power_off();
}
