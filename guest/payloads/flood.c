/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floods and storms, as the command line asks for them:
 *
 *   serial=KB     to the serial port, without looking whether there is room
 *   console=KB    to the virtio console, by whole queues
 *   log=N         so many messages that the monitor would log
 *   storm=timer   interrupts of the local APIC's timer, for ever
 *   storm=exits   accesses that leave the guest, for ever
 *
 * The first sixteenth of the first two is followed by mark 1, their end by mark 2;
 * then the guest sleeps.
 */
#include "boot_info.h"
#include "driver.h"
#include "paging.h"

#define PIECE (64u << 10)
#define TEXT (4ull << 20) /* where the text lies that is sent */

#define APIC 0xfee00000u
#define APIC_EOI 0xb0
#define APIC_SVR 0xf0
#define APIC_TIMER 0x320
#define APIC_COUNT 0x380
#define APIC_DIVIDE 0x3e0
#define VECTOR 0x41

static void fill_text(void)
{
    char *text = (char *)TEXT;

    for (size_t i = 0; i < PIECE; i++)
        text[i] = i % 64 == 63 ? '\n' : (char)('0' + i % 64);
}

static void flood_serial(uint64_t kilobytes)
{
    for (uint64_t i = 0; i < kilobytes; i++) {
        put_bytes((const char *)TEXT, 1 << 10);
        if (i == kilobytes / 16)
            mark(1);
    }
}

static void flood_console(uint64_t kilobytes)
{
    struct virtio v = find_device(ID_CONSOLE);
    uint64_t pieces = (kilobytes << 10) / PIECE;

    v.queue = 1;
    start(&v);
    for (uint16_t i = 0; i < QUEUE_SIZE; i++)
        describe(i, TEXT, PIECE, 0, 0);
    for (uint64_t i = 0; i < pieces; i++) {
        offer((uint16_t)(i % QUEUE_SIZE));
        if (i % QUEUE_SIZE < QUEUE_SIZE - 1 && i + 1 < pieces)
            continue;
        notify(&v);
        if (!wait_used(&v, &rings, rings.avail.index))
            return;
        if (i / QUEUE_SIZE == pieces / QUEUE_SIZE / 16)
            mark(1);
    }
}

static void flood_log(uint64_t messages)
{
    for (uint64_t i = 0; i < messages; i++)
        mark(0);
    power_off(); /* a mark would be left out as well */
}

/* ---- storms --------------------------------------------------------------- */

struct frame; /* what the processor pushes; the handler does not look */

static struct {
    uint16_t offset_low, selector;
    uint8_t stack, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
} idt[256] __attribute__((aligned(16)));

/* The next one at once. */
__attribute__((interrupt)) static void timer_interrupt(struct frame *frame)
{
    (void)frame;
    write32(APIC + APIC_EOI, 0);
    write32(APIC + APIC_COUNT, 1);
}

static void storm_of_timer(void)
{
    uint64_t address = (uint64_t)timer_interrupt;
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) pointer = { sizeof(idt) - 1, (uint64_t)idt };

    idt[VECTOR].offset_low = (uint16_t)address;
    idt[VECTOR].offset_middle = (uint16_t)(address >> 16);
    idt[VECTOR].offset_high = (uint32_t)(address >> 32);
    __asm__ volatile("mov %%cs, %0" : "=r"(idt[VECTOR].selector));
    idt[VECTOR].type = 0x8e;
    __asm__ volatile("lidt %0" : : "m"(pointer));
    write32(APIC + APIC_SVR, 0x1ff);
    write32(APIC + APIC_DIVIDE, 0xb); /* by 1 */
    write32(APIC + APIC_TIMER, VECTOR);
    write32(APIC + APIC_COUNT, 1);
    for (;;)
        __asm__ volatile("sti; pause");
}

static void storm_of_exits(void)
{
    for (;;)
        write32(0xd8000000, 1);
}

void payload_main(int protocol, const void *argument)
{
    struct boot_info info = boot_info(protocol, argument);
    const char *storm = option(&info, "storm");

    map_memory();
    fill_text();
    print("started\n");
    if (option(&info, "serial"))
        flood_serial(option_number(option(&info, "serial")));
    if (option(&info, "console"))
        flood_console(option_number(option(&info, "console")));
    if (option(&info, "log"))
        flood_log(option_number(option(&info, "log")));
    if (storm && option_is(storm, "timer"))
        storm_of_timer();
    if (storm && option_is(storm, "exits"))
        storm_of_exits();
    mark(2);
    halt();
}
