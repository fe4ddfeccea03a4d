/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_SMP_H
#define MOTE_PAYLOAD_SMP_H

/*
 * The other processors: turn_apic_on(), then start_others(), after map_memory();
 * each of them comes to other_cpu_main(), which is the payload's.
 */

#include "paging.h"

#define CPUS_MAX 64
#define STACK_SIZE 4096
#define APIC 0xfee00000u
#define APIC_ID 0x20
#define APIC_SVR 0xf0
#define APIC_ICR_LOW 0x300
#define APIC_ICR_PENDING (1u << 12)
#define X2APIC_MSR(offset) (0x800 + (offset) / 16)
#define APIC_BASE_MSR 0x1b
#define APIC_BASE_X2APIC (1u << 10)
#define ALL_BUT_SELF (3u << 18)
#define ASSERT_INIT 0x4500u
#define START_UP 0x4600u
#define TRAMPOLINE 0x8000u

static bool x2apic; /* by the MSRs, not by the page */

/* Referred to by the trampoline. */
extern const uint8_t trampoline[], trampoline_end[];
uint8_t cpu_stacks[CPUS_MAX][STACK_SIZE] __attribute__((aligned(16)));
uint32_t next_stack;
uint64_t trampoline_tables;
void other_cpu_main(void);

/* From real mode at 0x8000 to long mode, with page tables that are ready. */
__asm__(".section .rodata\n"
        ".code16\n"
        ".globl trampoline\n"
        "trampoline:\n"
        "    cli\n"
        "    xor %ax, %ax\n"
        "    mov %ax, %ds\n"
        "    lgdtl 0x8000 + smp_gdt_pointer - trampoline\n"
        "    mov $1, %eax\n"
        "    mov %eax, %cr0\n"
        "    ljmpl $0x10, $(0x8000 + smp_protected - trampoline)\n"
        ".code32\n"
        "smp_protected:\n"
        "    mov $0x18, %eax\n"
        "    mov %eax, %ds\n"
        "    mov %eax, %ss\n"
        "    mov $0x20, %eax\n"
        "    mov %eax, %cr4\n"
        "    mov trampoline_tables, %eax\n"
        "    mov %eax, %cr3\n"
        "    mov $0xc0000080, %ecx\n"
        "    rdmsr\n"
        "    or $0x100, %eax\n"
        "    wrmsr\n"
        "    mov $0x80000011, %eax\n"
        "    mov %eax, %cr0\n"
        "    ljmp $0x20, $smp_long\n"
        ".balign 8\n"
        "smp_gdt:\n"
        "    .quad 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff\n"
        "smp_gdt_pointer:\n"
        "    .word . - smp_gdt - 1\n"
        "    .long 0x8000 + smp_gdt - trampoline\n"
        ".globl trampoline_end\n"
        "trampoline_end:\n"
        ".text\n"
        ".code64\n"
        "smp_long:\n"
        "    mov $1, %eax\n"
        "    lock xadd %eax, next_stack\n"
        "    inc %eax\n"
        "    shl $12, %rax\n"
        "    lea cpu_stacks(%rax), %rsp\n"
        "    call other_cpu_main\n"
        "1:  cli\n"
        "    hlt\n"
        "    jmp 1b\n");

static uint32_t apic_read(uint32_t offset)
{
    return x2apic ? (uint32_t)rdmsr(X2APIC_MSR(offset)) : read32(APIC + offset);
}

static void apic_write(uint32_t offset, uint32_t value)
{
    if (x2apic)
        wrmsr(X2APIC_MSR(offset), value);
    else
        write32(APIC + offset, value);
}

static void turn_apic_on(void)
{
    if (x2apic)
        wrmsr(APIC_BASE_MSR, rdmsr(APIC_BASE_MSR) | APIC_BASE_X2APIC);
    apic_write(APIC_SVR, 0x1ff);
}

static void send_to_others(uint32_t command)
{
    apic_write(APIC_ICR_LOW, ALL_BUT_SELF | command);
    while (!x2apic && apic_read(APIC_ICR_LOW) & APIC_ICR_PENDING)
        ;
}

static void start_others(void)
{
    for (size_t i = 0; i < (size_t)(trampoline_end - trampoline); i++)
        write8(TRAMPOLINE + i, trampoline[i]);
    trampoline_tables = (uint64_t)&page_tables;
    send_to_others(ASSERT_INIT);
    send_to_others(START_UP | TRAMPOLINE >> 12);
}

#endif
