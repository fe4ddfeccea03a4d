/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_H
#define MOTE_PAYLOAD_H

/*
 * What bare-metal guests share: ports, MMIO and a polled serial port.  They
 * know the machine's addresses by heart, as a guest may: nothing is included
 * from the monitor.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STARTED_BY_LINUX64, STARTED_BY_PVH };

/* ARGUMENT is boot_params or the PVH start info, as PROTOCOL tells. */
void payload_main(int protocol, const void *argument);

#define DEFINE_PORT(width, suffix)                                            \
    static inline void out##width(uint16_t port, uint##width##_t value)       \
    {                                                                         \
        __asm__ volatile("out" suffix " %0, %1" : : "a"(value), "Nd"(port));  \
    }                                                                         \
    static inline uint##width##_t in##width(uint16_t port)                    \
    {                                                                         \
        uint##width##_t value;                                                \
                                                                              \
        __asm__ volatile("in" suffix " %1, %0" : "=a"(value) : "Nd"(port));   \
        return value;                                                         \
    }
DEFINE_PORT(8, "b")
DEFINE_PORT(16, "w")
DEFINE_PORT(32, "l")

/* Plain moves, so that KVM sees each access as it is written. */
#define DEFINE_MMIO(width)                                                         \
    static inline void write##width(uint64_t address, uint##width##_t value)       \
    {                                                                              \
        __asm__ volatile("mov %0, (%1)" : : "r"(value), "r"(address) : "memory");  \
    }                                                                              \
    static inline uint##width##_t read##width(uint64_t address)                    \
    {                                                                              \
        uint##width##_t value;                                                     \
                                                                                   \
        __asm__ volatile("mov (%1), %0" : "=r"(value) : "r"(address) : "memory");  \
        return value;                                                              \
    }
DEFINE_MMIO(8)
DEFINE_MMIO(16)
DEFINE_MMIO(32)
DEFINE_MMIO(64)

static inline uint64_t rdmsr(uint32_t number)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
    return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t number, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(number), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t index)
{
    struct cpuid r;

    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                             : "a"(leaf), "c"(index));
    return r;
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* How long to wait for what may not come: some ten seconds. */
#define PATIENCE_TICKS 25000000000u

/* ---- the serial port, polled ---- */

#define SERIAL_PORT 0x3f8
#define SERIAL_IER (SERIAL_PORT + 1)
#define SERIAL_IIR (SERIAL_PORT + 2)
#define SERIAL_MCR (SERIAL_PORT + 4)
#define SERIAL_MCR_RTS 0x02 /* input comes while it is set */
#define SERIAL_LSR (SERIAL_PORT + 5)
#define SERIAL_SCRATCH (SERIAL_PORT + 7)
#define SERIAL_LSR_DATA 0x01
#define SERIAL_LSR_THRE 0x20
#define SERIAL_FIFO 16

static inline void wait_for_room(void)
{
    while (!(in8(SERIAL_LSR) & SERIAL_LSR_THRE))
        ;
}

static inline void put_bytes(const void *bytes, size_t count)
{
    __asm__ volatile("rep outsb" : "+S"(bytes), "+c"(count) : "d"(SERIAL_PORT) : "memory");
}

/* An empty transmitter takes a whole FIFO: one exit tells, one carries it. */
static inline void print(const char *text)
{
    while (*text) {
        size_t count = 0;

        while (count < SERIAL_FIFO && text[count])
            count++;
        wait_for_room();
        put_bytes(text, count);
        text += count;
    }
}

static inline void print_hex(uint64_t value)
{
    char text[19], *at = text + sizeof(text);

    *--at = '\0';
    do {
        *--at = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value);
    *--at = 'x';
    *--at = '0';
    print(at);
}

static inline void print_number(uint64_t value)
{
    char text[21], *at = text + sizeof(text);

    *--at = '\0';
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    print(at);
}

/* ---- checks ---- */

struct checks {
    unsigned int passed, failed;
};

/* Only a failed check prints: what is right needs no exits. */
static inline void check(struct checks *checks, const char *name, uint64_t got, uint64_t wanted)
{
    if (got == wanted) {
        checks->passed++;
        return;
    }
    checks->failed++;
    print("FAIL ");
    print(name);
    print(": got ");
    print_hex(got);
    print(", wanted ");
    print_hex(wanted);
    print("\n");
}

static inline void print_checks(const struct checks *checks)
{
    print_number(checks->passed);
    print(" passed, ");
    print_number(checks->failed);
    print(" failed\n");
}

/* ---- ends ---- */

static inline void halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

static inline void power_off(void)
{
    out8(0x600, 0x34); /* SLP_EN, sleep type 5 */
    halt();
}

#endif
