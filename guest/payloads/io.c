/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses of every width to ports and MMIO: to registers, beside them, across
 * a window's end and where nothing is, singly and by string instructions.
 */
#include "paging.h"
#include "payload.h"

#define PVPANIC 0xcfff0000u
#define BOOT_MARK 0xcfff1000u
#define IOAPIC 0xfec00000u
#define NOTHING 0xd8000000u
#define NO_PORT 0x1234
#define POWER_PORT 0x600
/* A value that as a mark is out of range: the monitor keeps and ignores it. */
#define MARK 0x87654321u

static void check_mmio(struct checks *checks)
{
    write32(BOOT_MARK, MARK);
    check(checks, "mmio 8", read8(BOOT_MARK), 0x21);
    check(checks, "mmio 8 at 3", read8(BOOT_MARK + 3), 0x87);
    check(checks, "mmio 16", read16(BOOT_MARK), 0x4321);
    check(checks, "mmio 16 unaligned", read16(BOOT_MARK + 1), 0x6543);
    check(checks, "mmio 32", read32(BOOT_MARK), MARK);
    check(checks, "mmio 32 across a window's end", read32(BOOT_MARK + 2), 0xffffffff);
    write32(IOAPIC, 1);
    check(checks, "mmio 64", read64(IOAPIC), 1);
    write64(BOOT_MARK, UINT64_MAX);
    check(checks, "mmio 64 write across a window's end", read32(BOOT_MARK), MARK);
    write16(BOOT_MARK, 0x7ee1);
    check(checks, "mmio 16 write", read32(BOOT_MARK), 0x7ee1);
    write8(BOOT_MARK, 0xe1);
    check(checks, "mmio 8 write", read32(BOOT_MARK), 0xe1);
    write32(BOOT_MARK + 2, MARK);
    check(checks, "mmio 32 write across a window's end", read32(BOOT_MARK), 0xe1);
    check(checks, "pvpanic tells of two events", read8(PVPANIC), 3);
    check(checks, "ioapic version by select and window",
          (write32(IOAPIC, 1), read32(IOAPIC + 0x10) & 0xff), 0x20);
    write8(IOAPIC, 0x10);
    check(checks, "ioapic pin 0 is masked", read32(IOAPIC + 0x10), 1u << 16);
    write64(IOAPIC + 0x10, 0);
    check(checks, "ioapic takes no wide write", read32(IOAPIC + 0x10), 1u << 16);
}

static void check_no_mmio(struct checks *checks)
{
    uint8_t bytes[16] = { 0 };
    void *to = bytes;
    uint64_t from = NOTHING, count = sizeof(bytes);

    check(checks, "nothing, mmio 8", read8(NOTHING), 0xff);
    check(checks, "nothing, mmio 16", read16(NOTHING + 3), 0xffff);
    check(checks, "nothing, mmio 32", read32(NOTHING + 5), 0xffffffff);
    check(checks, "nothing, mmio 64", read64(NOTHING + 8), UINT64_MAX);
    /* A page's end splits one instruction into two exits. */
    check(checks, "nothing, across a page", read64(NOTHING + 0xffc), UINT64_MAX);
    write8(NOTHING, 0);
    write16(NOTHING + 1, 0);
    write32(NOTHING + 0xffe, 0);
    write64(NOTHING + 0xff9, 0);
    check(checks, "nothing remembers nothing", read64(NOTHING), UINT64_MAX);
    check(checks, "nothing just below 4 GiB", read64(0xfffffff8), UINT64_MAX);
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    check(checks, "rep movsb from mmio", *(const uint64_t *)(bytes + 8), UINT64_MAX);
}

static void check_ports(struct checks *checks)
{
    out8(SERIAL_SCRATCH, 0x5a);
    check(checks, "port 8", in8(SERIAL_SCRATCH), 0x5a);
    /* Two registers by one access: the scratch register is the upper one. */
    check(checks, "port 16", in16(SERIAL_SCRATCH - 1) >> 8, 0x5a);
    check(checks, "port 32", in32(SERIAL_SCRATCH - 3) >> 24, 0x5a);
    out16(SERIAL_SCRATCH - 1, 0xa500);
    check(checks, "port 16 write", in8(SERIAL_SCRATCH), 0xa5);
    /* One byte too far: no device holds the whole access. */
    check(checks, "port 16 across a window's end", in16(SERIAL_SCRATCH), 0xffff);
    out16(SERIAL_SCRATCH, 0x1111);
    check(checks, "port write across a window's end", in8(SERIAL_SCRATCH), 0xa5);
    check(checks, "nothing, port 8", in8(NO_PORT), 0xff);
    check(checks, "nothing, port 16", in16(NO_PORT + 1), 0xffff);
    check(checks, "nothing, port 32", in32(NO_PORT + 2), 0xffffffff);
    check(checks, "the last port", in8(0xffff), 0xff);
    out8(NO_PORT, 1);
    out16(NO_PORT + 1, 1);
    out32(NO_PORT + 2, 1);
    out8(POWER_PORT, 0x14); /* a sleep type without SLP_EN: kept, no sleep */
    check(checks, "sleep control reads back", in8(POWER_PORT), 0x14);
    out8(POWER_PORT + 2, 2); /* not the reset value */
    out8(0x64, 0xd1);        /* not the reset command */
}

static void check_strings(struct checks *checks)
{
    uint8_t bytes[64] = { 0 };
    uint16_t words[4] = { 0 };
    uint32_t longs[4] = { 0 };
    void *to;
    const void *from = longs;
    uint64_t count = sizeof(bytes);

    out8(SERIAL_SCRATCH, 0x77);
    to = bytes;
    __asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(SERIAL_SCRATCH) : "memory");
    check(checks, "rep insb, first", bytes[0], 0x77);
    check(checks, "rep insb, last", bytes[63], 0x77);
    check(checks, "rep insb, end", (uint64_t)to - (uint64_t)bytes, 64);
    to = words;
    count = 3;
    __asm__ volatile("rep insw" : "+D"(to), "+c"(count) : "d"(NO_PORT) : "memory");
    check(checks, "rep insw", words[2], 0xffff);
    check(checks, "rep insw, not further", words[3], 0);
    to = longs;
    count = 3;
    __asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(NO_PORT) : "memory");
    check(checks, "rep insl", longs[2], 0xffffffff);
    check(checks, "rep insl, not further", longs[3], 0);
    count = 2;
    __asm__ volatile("rep outsw" : "+S"(from), "+c"(count) : "d"(NO_PORT) : "memory");
    count = 1;
    __asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(NO_PORT) : "memory");
    check(checks, "rep outs, end", (uint64_t)from - (uint64_t)longs, 8);
    wait_for_room();
    put_bytes("by rep outsb\n", 13);
}

void payload_main(int protocol, const void *argument)
{
    struct checks checks = { 0, 0 };

    (void)protocol;
    (void)argument;
    map_memory();
    check_mmio(&checks);
    check_no_mmio(&checks);
    check_ports(&checks);
    check_strings(&checks);
    print("io: ");
    print_checks(&checks);
    power_off();
}
