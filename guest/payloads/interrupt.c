/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts from the serial port's chip through an IOAPIC pin and the local
 * APIC to a handler: a text is sent by "transmitter empty" interrupts alone,
 * with the pin edge- and level-triggered; a masked pin and a closed gate (OUT2)
 * must let nothing through.
 */
#include "paging.h"
#include "payload.h"

#define APIC 0xfee00000u
#define APIC_EOI 0xb0
#define APIC_SVR 0xf0
#define IOAPIC 0xfec00000u
#define IOAPIC_WINDOW 0x10
#define IOAPIC_EOI 0x40
#define PIN 4
#define MASKED (1u << 16)
#define LEVEL (1u << 15)
#define VECTOR 0x41
#define IER_TRANSMIT 2
#define MCR_OUT2 8
#define IIR_TRANSMIT 2

struct frame; /* what the processor pushes; the handler does not look */

static struct {
    uint16_t offset_low, selector;
    uint8_t stack, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
} idt[256] __attribute__((aligned(16)));

static volatile const char *text;
static volatile unsigned int interrupts, others;
static volatile bool sent;
static bool level;

__attribute__((interrupt)) static void serial_interrupt(struct frame *frame)
{
    (void)frame;
    interrupts++;
    if ((in8(SERIAL_IIR) & 0xf) != IIR_TRANSMIT)
        others++;
    else if (text && *text)
        out8(SERIAL_PORT, (uint8_t)*text++);
    else
        sent = true; /* the last byte's own interrupt has come too */
    write32(APIC + APIC_EOI, 0);
    if (level)
        write32(IOAPIC + IOAPIC_EOI, VECTOR);
}

static void set_handler(void)
{
    uint64_t address = (uint64_t)serial_interrupt;
    uint16_t selector;
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) pointer = { sizeof(idt) - 1, (uint64_t)idt };

    __asm__ volatile("mov %%cs, %0" : "=r"(selector));
    idt[VECTOR].offset_low = (uint16_t)address;
    idt[VECTOR].offset_middle = (uint16_t)(address >> 16);
    idt[VECTOR].offset_high = (uint32_t)(address >> 32);
    idt[VECTOR].selector = selector;
    idt[VECTOR].type = 0x8e;
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

static void set_pin(uint32_t low)
{
    write32(IOAPIC, 0x10 + 2 * PIN + 1);
    write32(IOAPIC + IOAPIC_WINDOW, read32(APIC + 0x20)); /* the id: bits 31 to 24 in both */
    write32(IOAPIC, 0x10 + 2 * PIN);
    write32(IOAPIC + IOAPIC_WINDOW, low);
}

static void wait_while_sending(const char *what)
{
    text = what;
    sent = false;
    out8(SERIAL_IER, IER_TRANSMIT);
    for (uint64_t start = rdtsc(); !sent && rdtsc() - start < PATIENCE_TICKS;)
        __asm__ volatile("pause");
    out8(SERIAL_IER, 0);
}

/* Long enough for an interrupt that should not come. */
static void idle(void)
{
    for (uint32_t i = 0; i < 3000; i++)
        __asm__ volatile("pause");
}

static void check_closed(struct checks *checks)
{
    out8(SERIAL_MCR, MCR_OUT2);
    set_pin(VECTOR | MASKED);
    out8(SERIAL_IER, IER_TRANSMIT);
    idle();
    check(checks, "a masked pin", interrupts, 0);
    out8(SERIAL_IER, 0);
    out8(SERIAL_MCR, 0);
    set_pin(VECTOR);
    interrupts = 0; /* the edge that came while the pin was masked may be delivered */
    out8(SERIAL_IER, IER_TRANSMIT);
    idle();
    check(checks, "a closed gate", interrupts, 0);
    out8(SERIAL_IER, 0);
    in8(SERIAL_IIR);
    others = 0;
}

void payload_main(int protocol, const void *argument)
{
    static const char by_edge[] = "one edge a byte\n", by_level[] = "one level a byte\n";
    struct checks checks = { 0, 0 };

    (void)protocol;
    (void)argument;
    map_memory();
    set_handler();
    write32(APIC + APIC_SVR, 0x1ff);
    __asm__ volatile("sti");
    check_closed(&checks);

    out8(SERIAL_MCR, MCR_OUT2);
    interrupts = 0;
    wait_while_sending(by_edge);
    check(&checks, "all bytes left, edge", text == by_edge + sizeof(by_edge) - 1, 1);
    check(&checks, "interrupts, edge", interrupts >= sizeof(by_edge) - 1, 1);

    set_pin(MASKED);
    level = true;
    set_pin(VECTOR | LEVEL);
    interrupts = 0;
    wait_while_sending(by_level);
    check(&checks, "all bytes left, level", text == by_level + sizeof(by_level) - 1, 1);
    check(&checks, "interrupts, level", interrupts >= sizeof(by_level) - 1, 1);
    check(&checks, "no other cause", others, 0);

    __asm__ volatile("cli");
    print("interrupt: ");
    print_checks(&checks);
    power_off();
}
