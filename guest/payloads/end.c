/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does what the command line asks for, then ends as it asks for:
 *
 *   flood=KB    sends so much without looking whether there is room
 *   send=KB     sends so much, 64 bytes a line, as fast as there is room
 *   echo=1      sends back what it receives, up to a byte 4
 *   end=HOW     one of the table below; power-off where nothing is said
 */
#include "boot_info.h"
#include "paging.h"

#define SERIAL_RTS_DTR 3
#define END_OF_TEXT 4

static char block[4096];

static void flood(uint64_t kilobytes)
{
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = i % 64 == 63 ? '\n' : (char)('0' + i % 64);
    for (uint64_t i = 0; i < kilobytes << 10; i += sizeof(block))
        put_bytes(block, sizeof(block));
    wait_for_room();
    print("flood done\n");
}

static void send(uint64_t kilobytes)
{
    char line[65] = "................................................................";

    line[63] = '\n';
    for (uint64_t i = 0; i < kilobytes * 16; i++) {
        for (unsigned int digit = 0; digit < 4; digit++)
            line[digit] = "0123456789abcdef"[i >> (12 - 4 * digit) & 15];
        print(line);
    }
}

static void echo(void)
{
    out8(SERIAL_MCR, SERIAL_RTS_DTR);
    for (;;) {
        uint8_t byte;

        while (!(in8(SERIAL_LSR) & SERIAL_LSR_DATA))
            __asm__ volatile("pause");
        byte = in8(SERIAL_PORT);
        if (byte == END_OF_TEXT)
            return;
        wait_for_room();
        out8(SERIAL_PORT, byte);
    }
}

static void reset_register(void)
{
    out8(0x602, 1);
    halt();
}

static void i8042(void)
{
    out8(0x64, 0xfe);
    halt();
}

static void triple_fault(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) none = { 0, 0 };

    __asm__ volatile("lidt %0; ud2" : : "m"(none));
}

static void pvpanic(void)
{
    write8(0xcfff0000, 1);
    halt();
}

/* KVM cannot fetch an instruction from where no memory is. */
static void mmio_jump(void)
{
    __asm__ volatile("jmp *%0" : : "r"(0xd8000000ull));
}

static void spin(void)
{
    for (;;)
        __asm__ volatile("pause");
}

static void mmio_storm(void)
{
    for (;;)
        write32(0xd8000000, 1);
}

static const struct {
    const char *name;
    void (*end)(void);
} ends[] = {
    { "power-off", power_off },   { "reset-register", reset_register },
    { "i8042", i8042 },           { "triple-fault", triple_fault },
    { "pvpanic", pvpanic },       { "mmio-jump", mmio_jump },
    { "halt", halt },             { "spin", spin },
    { "mmio-storm", mmio_storm },
};

void payload_main(int protocol, const void *argument)
{
    struct boot_info info = boot_info(protocol, argument);
    const char *how = option(&info, "end");

    map_memory();
    print("started\n");
    if (option(&info, "flood"))
        flood(option_number(option(&info, "flood")));
    if (option(&info, "send"))
        send(option_number(option(&info, "send")));
    if (option(&info, "echo"))
        echo();
    for (size_t i = 0; how && i < sizeof(ends) / sizeof(ends[0]); i++)
        if (option_is(how, ends[i].name))
            ends[i].end();
    if (how)
        print("end=: is none of those that this guest knows\n");
    power_off();
}
